"""A fit that begins with the encoder of another domain: the body is kept, the items are new.

What the layers know of sequences (what follows what, how long a past counts) is not a matter of the
items that they learned it on. Items are: those that both domains know under one id keep their
embedding. Others begin where the source places their text, if it was trained with text, else near
the mean of its items, where its layers expect items to be; and all of them learn faster than the
body is changed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor

from model.adapters import add_adapters, check_installed, merge_adapters
from model.artifact import Manifest
from model.cold_items import ItemTextEncoder
from model.data import DataError, Sequences
from model.features import FeatureSpec
from model.item_table import ItemRow
from model.log_features import usable_features
from model.net import SequenceEncoder, load_checkpoint
from model.start import BY_CHANCE, Rated, Sizes, Start
from model.text import ItemText
from model.windows import EncodedLog

ADAPTERS = ("none", "lora")
# Learning rate of what is kept, as a share of that of new embeddings.
BODY_RATE = 0.3
ADAPTER_RATE = 1.0
# Tables of ids, by the name of their weights.
_ITEMS = "bert.embeddings.word_embeddings.weight"
_BIAS = "item_bias"
_FEATURE = "feature_embeddings.{}.weight"


def start_of(
    checkpoint: Path | None,
    adapter: str = "none",
    *,
    fresh_items: bool = False,
    items: Sequence[str] = (),
    rows: Mapping[str, ItemRow] = MappingProxyType({}),
) -> Start:
    """By chance, or from what `train --checkpoint` wrote. ValueError, one sentence.

    fresh_items: an id of the new domain never means what it means in the checkpoint. items: those
    of the new domain; rows: titles and categories by item id.
    """
    if adapter not in ADAPTERS:
        message = f"adapter {adapter!r} is none of {', '.join(ADAPTERS)}"
        raise ValueError(message)
    if checkpoint is None:
        if adapter != "none" or fresh_items:
            option = "--adapter" if adapter != "none" else "--fresh-items"
            message = f"{option} is about an encoder that is there: name one with --from"
            raise ValueError(message)
        return BY_CHANCE
    if adapter == "lora":
        check_installed()
    encoder, manifest, theirs = load_checkpoint(checkpoint)
    start = Transfer(encoder, manifest, [] if fresh_items else theirs, adapter)
    described = {item: rows[item] for item in items if item in rows and rows[item].text}
    if described and manifest.text is not None:
        text = ItemText.load(checkpoint, manifest.text)
        places = ItemTextEncoder(text.spec, text.files, dim=manifest.dim)
        start.places = _places(places, described)
    return start


class Transfer(Start):
    """In another domain's encoder, which is trained on as a whole or with adapters."""

    def __init__(
        self,
        source: SequenceEncoder,
        manifest: Manifest,
        items: Sequence[str],
        adapter: str,
    ) -> None:
        self.source, self.manifest, self.items = source, manifest, items
        self.adapter = adapter
        self.places: Mapping[str, tuple[Tensor, float]] = {}  # embedding and bias by item id

    @property
    def fingerprint(self) -> str:
        """Of what a resumed fit must have begun with too."""
        return f"from {self.manifest.version} {len(self.items)} {len(self.places)} {self.adapter}"

    def sizes(self, **asked: int | None) -> Sizes:
        """Those of the source. DataError where another one was asked for."""
        config = self.source.config
        sizes = Sizes(config.dim, config.layers, config.heads, config.max_length)
        for name, size in asked.items():
            if size not in (None, getattr(sizes, name)):
                option = f"--{name.replace('_', '-')}"
                message = (
                    f"{option} {size} is not the {getattr(sizes, name)} of the encoder that --from "
                    f"names: leave {option} out"
                )
                raise DataError(message)
        return sizes

    def feature_spec(
        self, log: Sequences, wanted: Sequence[str] | None, max_length: int, place_buckets: int
    ) -> FeatureSpec:
        """The features asked for, or those of the source that the log can feed. DataError."""
        if wanted is None:
            can = usable_features(log, None)
            wanted = [name for name in self.manifest.features if name in can]
        places = self.manifest.place_buckets or place_buckets
        return super().feature_spec(log, wanted, max_length, places)

    def begin(self, encoder: SequenceEncoder, encoded: EncodedLog) -> list[Rated]:
        """Take over the body and what both domains have under one id; with adapters, freeze it."""
        own, kept = dict(encoder.named_parameters()), dict(self.source.named_parameters())
        common = self._common_rows(encoded)
        body = {name for name in own if name not in common and _same_shape(name, own, kept)}
        with torch.no_grad():
            own[_ITEMS][1:] += self.source.item_embeddings.mean(0)  # row 0 is padding
            for row, name in enumerate(_names(encoded)):
                if name in self.places:
                    own[_ITEMS][row + 1], own[_BIAS][row] = self.places[name]
            for name, (rows, theirs) in common.items():
                own[name][rows] = kept[name][theirs]
            for name in body:
                own[name].copy_(kept[name])
        fresh = Rated([own[name] for name in own if name not in body], 1.0)
        if self.adapter == "none":
            return [fresh, Rated([own[name] for name in own if name in body], BODY_RATE)]
        for name in body:
            own[name].requires_grad_(False)
        adapters = add_adapters(encoder)
        for parameter in fresh.parameters:
            parameter.requires_grad_(True)
        return [fresh, Rated(adapters, ADAPTER_RATE)]

    def end(self, encoder: SequenceEncoder) -> None:
        """Merge the adapters, if there are any, into the weights."""
        if self.adapter == "lora":
            merge_adapters(encoder)
        encoder.requires_grad_(True)

    def record(self, spec: FeatureSpec, items: Sequence[str]) -> dict[str, object]:
        """Which encoder it was, and what of it is kept, left out and new."""
        theirs = self.manifest.features
        return {
            "name": self.manifest.name,
            "version": self.manifest.version,
            "adapter": self.adapter,
            "items_kept": len(set(items) & set(self.items)),
            "items_placed_by_text": len((set(items) & self.places.keys()) - set(self.items)),
            "features_left_out": [name for name in theirs if name not in spec.features],
            "features_new": [name for name in spec.features if name not in theirs],
        }

    def _common_rows(self, encoded: EncodedLog) -> dict[str, tuple[Tensor, Tensor]]:
        """Of every table of ids, the rows here and in the source that stand for the same thing."""
        rows, theirs = _common(_names(encoded), self.items)
        found = {_ITEMS: (rows + 1, theirs + 1), _BIAS: (rows, theirs)}
        both = set(encoded.spec.features) & set(self.manifest.features)
        if "event_type" in both:
            first = torch.arange(2)  # padding, and any other type
            rows, theirs = _common(encoded.spec.event_types, self.manifest.event_types)
            found[_FEATURE.format("event_type")] = (
                torch.cat([first, rows + 2]),
                torch.cat([first, theirs + 2]),
            )
        if "place" in both:
            every = torch.arange(self.manifest.place_buckets + 2)
            found[_FEATURE.format("place")] = (every, every)
        return found


def _places(
    encoder: ItemTextEncoder, rows: Mapping[str, ItemRow]
) -> dict[str, tuple[Tensor, float]]:
    """Where the source has the items by their text, in its own item space."""
    vectors, biases = encoder.encode(
        [row.title for row in rows.values()], [row.categories for row in rows.values()]
    )
    places = zip(torch.from_numpy(vectors), biases.tolist(), strict=True)
    return dict(zip(rows, places, strict=True))


def _names(encoded: EncodedLog) -> list[str]:
    """Item ids; place i has the encoder id i + 1."""
    return [encoded.log.items[index] for index in encoded.known.tolist()]


def _common(names: Sequence[str], theirs: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Where the names that stand in both lists stand in each."""
    index = {name: place for place, name in enumerate(theirs)}
    pairs = [(place, index[name]) for place, name in enumerate(names) if name in index]
    rows = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]


def _same_shape(name: str, own: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> bool:
    return name in kept and own[name].shape == kept[name].shape
