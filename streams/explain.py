"""Explain: why an item is on a list, in the terms of what put it there."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.candidates import Candidates
from streams.events import Reason, ReasonCode

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

TREND_THRESHOLD = 2.0
"""An item trends at twice its usual rate."""

_DIGITS = 4


class Paths(NamedTuple):
    """For each of some candidates `[n]`, the strongest way to it through the graph."""

    source: Integers
    """Position in the user's sources; -1 where the graph does not lead to the item."""
    share: Floats
    """Decayed share of all that followed the source item that was this item, 0..1."""
    last_ms: Integers
    """When that was last seen."""


def strongest_paths(candidates: Candidates, positions: Integers, window_decay: float) -> Paths:
    """Strongest paths of the candidates at `positions`; a position of -1 has none.

    Strength is what the source contributed to the candidate's share; of equals the newer wins.
    """
    n = len(positions)
    at = np.maximum(positions, 0)
    if not len(candidates):
        return Paths(np.full(n, -1), np.zeros(n), np.zeros(n, dtype=np.int64))
    starts = candidates.entry_start[at]
    sizes = np.where(positions >= 0, candidates.entry_start[at + 1] - starts, 0)
    owner = np.repeat(np.arange(n), sizes)
    entries = np.arange(len(owner)) + np.repeat(starts - np.cumsum(sizes) + sizes, sizes)
    source = candidates.entry_source[entries]
    width = int(source.max(initial=-1)) + 2
    # Column 0 takes the entries without a source; they carry no share.
    cell = owner * width + source + 1
    share = np.bincount(cell, candidates.entry_share[entries], n * width)
    last_ms = np.zeros(n * width, dtype=np.int64)
    np.maximum.at(last_ms, cell, candidates.entry_last_ms[entries])
    strength = share.reshape(n, width) * np.power(window_decay, np.arange(width))
    strength[:, 0] = 0.0
    best = strength.argmax(axis=1)
    picked = np.arange(n) * width + best
    found = share[picked] > 0.0
    return Paths(
        np.where(found & (best > 0), best - 1, -1),
        np.minimum(share[picked], 1.0).round(_DIGITS),
        last_ms[picked],
    )


class ItemFacts(NamedTuple):
    """What is known of one listed item; the absent is 0, or -1 for positions."""

    item_id: str
    path_source: int
    path_share: float
    path_last_ms: int
    sequence_share: float
    """Share of the item's score that is the encoder's."""
    own_share: float
    popularity_share: float
    trend: float
    announced_ms: int
    explored: bool


def reasons_for(
    facts: ItemFacts,
    sources: Sequence[str],
    last_seen_ms: Mapping[str, int],
    last_item: str | None,
    now_ms: int,
    new_item_ms: float,
) -> list[Reason]:
    """Reasons for one item, the most telling first, at least one.

    `sources`: the user's items that the graph was entered at. `last_seen_ms`: event times of the
    user's own items. `last_item`: the newest item of the history that the encoder read.
    """
    reasons = []
    if facts.explored:
        reasons.append(Reason(ReasonCode.EXPLORATION))
    if facts.path_source >= 0:
        reasons.append(
            Reason(
                ReasonCode.CO_CLICKED,
                sources[facts.path_source],
                facts.path_share,
                None,
                _age_seconds(facts.path_last_ms, now_ms),
            )
        )
    if facts.sequence_share > 0.0:
        reasons.append(Reason(ReasonCode.SEQUENCE, last_item, None, facts.sequence_share))
    if facts.own_share > 0.0:
        seen_ms = last_seen_ms.get(facts.item_id, now_ms)
        age = _age_seconds(seen_ms, now_ms)
        reasons.append(Reason(ReasonCode.OWN_HISTORY, facts.item_id, facts.own_share, None, age))
    if facts.trend >= TREND_THRESHOLD:
        reasons.append(Reason(ReasonCode.TRENDING))
    if facts.announced_ms and 0 <= now_ms - facts.announced_ms < new_item_ms:
        age = _age_seconds(facts.announced_ms, now_ms)
        reasons.append(Reason(ReasonCode.NEW_ITEM, None, None, None, age))
    if not reasons:
        reasons.append(Reason(ReasonCode.POPULAR, None, facts.popularity_share))
    return reasons


def _age_seconds(then_ms: int, now_ms: int) -> float:
    """Seconds since `then_ms`; 0 for what is said to come from the future."""
    return max(0, now_ms - then_ms) / 1000.0
