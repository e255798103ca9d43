"""Layers of an encoder that it can do without, by what their removal costs on validation events.

Dropping whole layers of a trained BERT costs little where they are redundant (Sajjad et al., "On
the effect of dropping layers of pre-trained transformer models", 2020); which ones is measured
here and not assumed. One layer is removed at a time, the cheapest, and the rest measured again.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from model.net import SequenceEncoder

_LAYERS = "bert.encoder.layer."

Quality = Callable[[SequenceEncoder], float]


class Removal(NamedTuple):
    """One step: what the encoder was worth without each of its layers."""

    removed: int  # layer of the original encoder, from 0
    without: dict[int, float]  # layer of the original encoder -> quality without it


class Pruned(NamedTuple):
    """An encoder with fewer layers, and how it got there."""

    encoder: SequenceEncoder
    kept: tuple[int, ...]  # layers of the original encoder, from 0
    quality: float
    quality_before: float
    removals: list[Removal]


def keep_layers(encoder: SequenceEncoder, kept: tuple[int, ...]) -> SequenceEncoder:
    """A copy of an encoder that has only these of its layers, in this order."""
    smaller = SequenceEncoder(msgspec.structs.replace(encoder.config, layers=len(kept)))
    state = encoder.state_dict()
    chosen = {name: value for name, value in state.items() if not name.startswith(_LAYERS)}
    for place, layer in enumerate(kept):
        prefix = f"{_LAYERS}{layer}."
        for name, value in state.items():
            if name.startswith(prefix):
                chosen[f"{_LAYERS}{place}.{name.removeprefix(prefix)}"] = value
    smaller.load_state_dict(chosen)
    return smaller.eval()


def prune_layers(
    encoder: SequenceEncoder,
    quality: Quality,
    *,
    layers: int | None = None,
    max_loss: float = 0.0,
) -> Pruned:
    """Remove layers until `layers` are left or, without that, while the loss stays acceptable.

    quality: of an encoder, higher is better. max_loss: share of the whole encoder's quality that
    the removals may cost together. ValueError where `layers` cannot be reached.
    """
    count = encoder.config.layers
    if layers is not None and not 1 <= layers <= count:
        message = f"the encoder has {count} layers: choose --layers from 1 to {count}"
        raise ValueError(message)
    before = quality(encoder)
    kept, found, best = tuple(range(count)), encoder, before
    removals: list[Removal] = []
    while len(kept) > (1 if layers is None else layers):
        tried = {}
        for layer in kept:
            smaller = keep_layers(encoder, tuple(each for each in kept if each != layer))
            tried[layer] = (quality(smaller), smaller)
        cheapest = max(tried, key=lambda layer: tried[layer][0])
        if layers is None and tried[cheapest][0] < before * (1 - max_loss):
            break
        best, found = tried[cheapest]
        kept = tuple(layer for layer in kept if layer != cheapest)
        removals.append(Removal(cheapest, {layer: value for layer, (value, _) in tried.items()}))
    return Pruned(found, kept, best, before, removals)
