"""What an ablation compares: one encoder as it is, and others with one thing changed."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from model.augment import Augmentation

GROUPS = ("features", "objective", "augmentation", "layers", "dim")
OBJECTIVES = ("next", "masked+next")
AUGMENTATIONS = {
    "crop": Augmentation(crop=0.3),
    "mask": Augmentation(mask=0.1),
    "reorder": Augmentation(reorder=0.3),
    "all three": Augmentation(crop=0.3, mask=0.1, reorder=0.3),
}
LAYERS = (1, 2, 3)
DIMS = (32, 64, 128)


class Variant(NamedTuple):
    """One encoder. options: arguments of `model.train.train` that differ from the base's."""

    group: str  # one of GROUPS, `base` for the encoder that all are compared with
    name: str
    options: Mapping[str, Any]


def variants(
    groups: Collection[str], base: Mapping[str, Any], also: Sequence[str] = ()
) -> list[Variant]:
    """The base first, then what the groups change, one thing at a time.

    base: arguments of `train`, of which features (a sequence, the ones that are on), objective,
    layers and dim are looked at; what is as in the base is not tried again. also: features that are
    added to the base's, one at a time.
    """
    found = [Variant("base", "as it is", {})]
    if "features" in groups:
        found += _features(base["features"], also)
    if "objective" in groups:
        found += [
            Variant("objective", name, {"objective": name})
            for name in OBJECTIVES
            if name != base["objective"]
        ]
    if "augmentation" in groups:
        found += [
            Variant("augmentation", name, {"augmentation": changed})
            for name, changed in AUGMENTATIONS.items()
        ]
    for group, sizes in (("layers", LAYERS), ("dim", DIMS)):
        if group in groups:
            found += [
                Variant(group, str(size), {group: size}) for size in sizes if size != base[group]
            ]
    return found


def _features(on: Sequence[str], also: Sequence[str]) -> list[Variant]:
    """Each feature left out, all of them, and each that may be added."""
    found = []
    if len(on) > 1:
        for feature in on:
            others = [name for name in on if name != feature]
            found.append(Variant("features", f"without {feature}", {"features": others}))
    if on:
        found.append(Variant("features", "none", {"features": []}))
    return found + [
        Variant("features", f"with {feature}", {"features": [*on, feature]})
        for feature in also
        if feature not in on
    ]
