"""What a search tries: settings of a training and their ranges, as far as the log allows."""

from collections.abc import Collection, Mapping
from typing import Any, Protocol

import numpy as np

from model.augment import UNCHANGED, Augmentation
from model.data import Sequences
from model.log_features import usable_features

# Arguments of `model.train.train`. What begins with another encoder has its sizes and features.
SEARCHED = frozenset(
    {"learning_rate", "dropout", "dim", "layers", "max_length", "batch_size", "features",
     "objective", "augmentation"}
)  # fmt: skip
FIXED_BY_SOURCE = frozenset({"dim", "layers", "max_length", "features"})

LEARNING_RATES = (3e-4, 6e-3)
DROPOUTS = (0.0, 0.6)
DIMS = (32, 48, 64, 96, 128)
LAYERS = (1, 3)
LENGTHS = (20, 50, 100, 200)
BATCH_SIZES = (32, 64, 128, 256)
OBJECTIVES = ("next", "masked+next")
# Probabilities: crop and reorder of a window, mask of an event.
CROPS, MASKS, REORDERS = (0.0, 0.6), (0.0, 0.3), (0.0, 0.6)

USUAL: Mapping[str, Any] = {
    "learning_rate": 1e-3, "dropout": 0.2, "dim": 64, "layers": 2, "max_length": 50,
    "batch_size": 64, "objective": "next", "crop": 0.0, "mask": 0.0, "reorder": 0.0,
}  # fmt: skip


class Suggestions(Protocol):
    """The part of an optuna trial that settings are drawn from."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number of a range."""

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """A whole number of a range, both ends included."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """One of the choices."""


class SearchSpace:
    """The settings that are searched on one log; those that the user gave stay what they are."""

    def __init__(self, log: Sequences, *, fixed: Collection[str], heads: int | None = None) -> None:
        """fixed: names of SEARCHED that are not searched. heads: dims must be divisible by it."""
        longest = int(np.diff(log.starts).max(initial=1))
        shorter = sum(length < longest for length in LENGTHS)
        self.names = SEARCHED - set(fixed)
        self.lengths = LENGTHS[: shorter + 1]  # one that holds all of every history, but no more
        self.dims = tuple(dim for dim in DIMS if dim % (heads or 2) == 0)
        self.features = usable_features(log, None)

    def usual(self) -> dict[str, Any]:
        """What an optuna study must try first, so that a search is no worse than no search."""
        lists = {"dim": self.dims, "max_length": self.lengths}
        known = {name: value for name, value in USUAL.items() if value in lists.get(name, [value])}
        return known | {f"feature_{name}": True for name in self.features}

    def draw(self, trial: Suggestions) -> dict[str, Any]:
        """Arguments of `train` for one trial."""
        drawn: dict[str, Any] = {}
        if "learning_rate" in self.names:
            rate = trial.suggest_float("learning_rate", *LEARNING_RATES, log=True)
            drawn["learning_rate"] = float(f"{rate:.3g}")
        if "dropout" in self.names:
            drawn["dropout"] = round(trial.suggest_float("dropout", *DROPOUTS, step=0.05), 2)
        if "layers" in self.names:
            drawn["layers"] = trial.suggest_int("layers", *LAYERS)
        for name, choices in (
            ("dim", self.dims),
            ("max_length", self.lengths),
            ("batch_size", BATCH_SIZES),
            ("objective", OBJECTIVES),
        ):
            if name in self.names and choices:
                drawn[name] = trial.suggest_categorical(name, choices)
        if "features" in self.names:
            drawn["features"] = [
                name
                for name in self.features
                if trial.suggest_categorical(f"feature_{name}", (True, False))
            ]
        if "augmentation" in self.names:
            drawn["augmentation"] = Augmentation(
                crop=round(trial.suggest_float("crop", *CROPS, step=0.2), 1),
                mask=round(trial.suggest_float("mask", *MASKS, step=0.1), 1),
                reorder=round(trial.suggest_float("reorder", *REORDERS, step=0.2), 1),
            )
        return drawn


def flags(settings: Mapping[str, Any]) -> dict[str, str]:
    """Arguments of `train` that were drawn, as options of the command: flag -> value."""
    found = {}
    for name, value in settings.items():
        if name == "features":
            found["--features"] = ",".join(value)
        elif name == "augmentation":
            if value != UNCHANGED:
                found["--augment"] = augment_text(value)
        else:
            found[f"--{name.replace('_', '-')}"] = str(value)
    return found


def augment_text(augmentation: Augmentation) -> str:
    """What `--augment` takes: `crop=0.2,mask=0.1`, without what does nothing."""
    pairs = ((name, getattr(augmentation, name)) for name in ("crop", "mask", "reorder"))
    return ",".join(f"{name}={value}" for name, value in pairs if value)
