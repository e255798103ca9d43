"""Training windows, changed at random: a crop, masked or dropped events, a shuffled span.

The three operations of CL4SRec (Xie et al., "Contrastive Learning for Sequential Recommendation",
2020, arXiv 2010.14395), here as augmentation of the input only, without its contrastive loss.

All work on right-padded ids, every array (B, L) and 0 the padding, for the whole batch at once.
What describes an event (item, event type, place) moves with it; the clock (time gap, hour of the
week) stays with the position, because the times of a window do not change when two of its events
swap places. A distance is of two events, and unknown where they no longer stand side by side.
Arrays given are never written to.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.places import UNKNOWN_DISTANCE

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Inputs = dict[str, IntArray]

TARGETS = "targets"  # what the loss asks for where `items` may be masked
PADDING = 0  # its embedding is zero, so that it serves as a mask where attention is causal
LEAST_EVENTS = 2  # that a window keeps: one to learn from, one to predict
FIRST_EVENT_GAP = 1  # id of the time gap of a window's first event, see model.features
_OF_THE_CLOCK = frozenset({"time_gaps", "hours"})


class Augmentation(NamedTuple):
    """How often and how much; the default changes nothing.

    crop, reorder: probability that a window is cropped or has a span shuffled. mask: probability
    that an event is masked or dropped. kept_share, span_share: size of the crop and of the span as
    shares of the window's events, at least two.
    """

    crop: float = 0.0
    mask: float = 0.0
    reorder: float = 0.0
    kept_share: float = 0.6
    span_share: float = 0.2

    @property
    def active(self) -> bool:
        """Whether anything is changed at all."""
        return self.crop > 0 or self.mask > 0 or self.reorder > 0

    def check(self) -> None:
        """ValueError, one sentence, unless every figure is a share and something is left."""
        for name, value in self._asdict().items():
            if not 0.0 <= value <= 1.0:
                message = f"{name} of the augmentation must lie between 0 and 1, not be {value}"
                raise ValueError(message)
        if self.mask == 1.0:
            message = "mask of the augmentation must be below 1: nothing would be left to learn"
            raise ValueError(message)


UNCHANGED = Augmentation()


def augmented(
    inputs: Mapping[str, IntArray],
    lengths: IntArray,
    random: np.random.Generator,
    config: Augmentation,
    mask_id: int | None = None,
) -> Inputs:
    """The windows of one batch, changed; `lengths` (B,) and the targets are among the result.

    In this order: crop, shuffle a span, then mask with `mask_id`, or drop where it is None. The
    result has the (B, L) array TARGETS, the items before they were masked: position t is trained
    to tell targets[:, t + 1]. A shuffled span is shuffled in the targets too, or a causal encoder
    would see what it has to tell.
    """
    config.check()
    changed, lengths = cropped(inputs, lengths, random, config.crop, config.kept_share)
    changed = reordered(changed, lengths, random, config.reorder, config.span_share)
    if mask_id is None:
        changed, lengths = dropped(changed, lengths, random, config.mask)
        targets = changed["items"]
    else:
        targets = changed["items"]
        changed = masked(changed, lengths, random, config.mask, mask_id)
    return {**changed, "lengths": lengths, TARGETS: targets}


def cropped(
    inputs: Mapping[str, IntArray],
    lengths: IntArray,
    random: np.random.Generator,
    probability: float,
    kept_share: float,
) -> tuple[Inputs, IntArray]:
    """A random contiguous part of windows drawn with `probability`, moved to the left; lengths."""
    kept = np.clip(np.ceil(kept_share * lengths).astype(np.int64), LEAST_EVENTS, None)
    drawn = random.random(len(lengths)) < probability
    kept = np.where(drawn, np.minimum(kept, lengths), lengths)
    first = random.integers(0, lengths - kept + 1)  # (B,)
    width = _arrays(inputs)["items"].shape[1]
    source = np.arange(width) + first[:, None]  # (B, L)
    return _gathered(inputs, source, kept, moved=first > 0), kept


def reordered(
    inputs: Mapping[str, IntArray],
    lengths: IntArray,
    random: np.random.Generator,
    probability: float,
    span_share: float,
) -> Inputs:
    """Windows of which those drawn with `probability` have one short span in random order."""
    arrays = _arrays(inputs)
    width = arrays["items"].shape[1]
    span = np.clip(np.ceil(span_share * lengths).astype(np.int64), LEAST_EVENTS, None)
    drawn = random.random(len(lengths)) < probability
    span = np.where(drawn, np.minimum(span, lengths), 0)  # (B,)
    first = random.integers(0, lengths - span + 1)
    position = np.broadcast_to(np.arange(width), (len(lengths), width))
    inside = (position >= first[:, None]) & (position < (first + span)[:, None])
    # Within the span random keys above its first position and below the next one's.
    chance = random.random(position.shape)
    keys = np.where(inside, first[:, None] + chance * np.maximum(span[:, None] - 1, 0), position)
    source = np.argsort(keys, axis=1, kind="stable")
    out = {
        name: array if name in _OF_THE_CLOCK else np.take_along_axis(array, source, 1)
        for name, array in arrays.items()
    }
    return _distances_known(out, source)


def masked(
    inputs: Mapping[str, IntArray],
    lengths: IntArray,
    random: np.random.Generator,
    probability: float,
    mask_id: int,
) -> Inputs:
    """Windows with the items of random events replaced by `mask_id`; features stay."""
    arrays = _arrays(inputs)
    chosen = _real(lengths, arrays["items"].shape[1])
    chosen = chosen & (random.random(chosen.shape) < probability)
    return arrays | {"items": np.where(chosen, mask_id, arrays["items"])}


def dropped(
    inputs: Mapping[str, IntArray],
    lengths: IntArray,
    random: np.random.Generator,
    probability: float,
) -> tuple[Inputs, IntArray]:
    """Windows without random events, the rest moved to the left; lengths.

    At least LEAST_EVENTS stay, or as many as there were. A time gap becomes the largest of those
    it now bridges, which is the bucket of their sum or the one below where two are bridged.
    """
    arrays = _arrays(inputs)
    real = _real(lengths, arrays["items"].shape[1])
    chance = np.where(real, random.random(real.shape), 2.0)
    # The events with the highest draws stay in any case.
    place = np.argsort(np.argsort(np.where(real, -chance, 2.0), axis=1), axis=1)
    stays = real & ((chance >= probability) | (place < LEAST_EVENTS))
    kept = stays.sum(1)
    source = np.argsort(~stays, axis=1, kind="stable")
    if "time_gaps" in arrays:
        arrays["time_gaps"] = _bridged(arrays["time_gaps"], stays)
    return _gathered(arrays, source, kept, moved=~stays[:, 0]), kept


def _bridged(gaps: IntArray, stays: BoolArray) -> IntArray:
    """(B, L) each staying event's gap, the largest since the staying event before it."""
    # Runs that end with a staying event, over the flattened batch; a row's rest is a run too.
    begins = np.ones(gaps.shape, np.bool_)
    begins[:, 1:] = stays[:, :-1]
    starts = np.flatnonzero(begins)
    if not len(starts):
        return gaps
    largest = np.maximum.reduceat(gaps.ravel(), starts)
    run = np.cumsum(begins.ravel()) - 1
    longest: IntArray = largest[run].reshape(gaps.shape)
    return longest


def _gathered(
    inputs: Mapping[str, IntArray], source: IntArray, lengths: IntArray, moved: BoolArray
) -> Inputs:
    """Column source[b, t] of every row at t, 0 from lengths[b] on.

    moved: (B,) which windows begin with another event than before, whose gap is thus unknown.
    """
    arrays = _arrays(inputs)
    width = source.shape[1]
    real = _real(lengths, width)
    within = np.minimum(source, width - 1)
    out = {
        name: np.where(real, np.take_along_axis(array, within, 1), 0)
        for name, array in arrays.items()
    }
    if "time_gaps" in out:
        out["time_gaps"][moved & (lengths > 0), 0] = FIRST_EVENT_GAP
    return _distances_known(out, source)


def _distances_known(moved: Inputs, source: IntArray) -> Inputs:
    """Events that were at `source` (B, L), with no distance from what they did not follow."""
    if "distances" in moved:
        follows = np.diff(source, axis=1, prepend=-1) == 1
        ids = moved["distances"]
        moved["distances"] = np.where(follows, ids, np.minimum(ids, UNKNOWN_DISTANCE))
    return moved


def _arrays(inputs: Mapping[str, IntArray]) -> Inputs:
    """The (B, L) inputs; lengths and targets of an earlier call are made anew."""
    return {n: array for n, array in inputs.items() if array.ndim == 2 and n != TARGETS}


def _real(lengths: IntArray, width: int) -> BoolArray:
    """(B, L) where there is an event and not padding."""
    real: BoolArray = np.arange(width) < lengths[:, None]
    return real
