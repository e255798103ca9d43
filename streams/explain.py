"""Explain: why an item is on a list, in the terms of what put it there."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams import kernels
from streams.candidates import Candidates
from streams.events import Reason, ReasonCode

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

TREND_THRESHOLD = 2.0
"""An item trends at twice its usual rate."""

_DIGITS = 4

# Looking a member up in its enumeration costs more than all the rest of a reason.
_CO_CLICKED = ReasonCode.CO_CLICKED
_EXPLORATION = ReasonCode.EXPLORATION
_NEW_ITEM = ReasonCode.NEW_ITEM
_OWN_HISTORY = ReasonCode.OWN_HISTORY
_POPULAR = ReasonCode.POPULAR
_SEQUENCE = ReasonCode.SEQUENCE
_TRENDING = ReasonCode.TRENDING


class Paths(NamedTuple):
    """For each of some candidates `[n]`, the strongest way to it through the graph."""

    source: Integers
    """Position in the user's sources; -1 where the graph does not lead to the item."""
    share: Floats
    """Decayed share of all that followed the source item that was this item, 0..1."""
    last_ms: Integers
    """When that was last seen."""


def strongest_paths(candidates: Candidates, positions: Integers) -> Paths:
    """Strongest paths of the candidates at `positions`; a position of -1 has none.

    Strength is what a source contributed to the candidate's share; of equals the newer wins.
    """
    source, share, last_ms = kernels.strongest_paths(
        positions, candidates.entry_start, candidates.entries, candidates.edges
    )
    return Paths(source, share.round(_DIGITS), last_ms)


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
    explored: bool = False
    from_text: bool = False
    """The encoder never saw the item: its score is of its text."""


def reasons_for(
    facts: ItemFacts,
    sources: Sequence[str],
    last_seen_ms: Mapping[str, int],
    last_item: str | None,
    now_ms: int,
    new_item_ms: float,
) -> list[Reason]:
    """Reasons for one item, at least one: what put it on the list, then what else is worth telling.

    `sources`: the user's items that the graph was entered at. `last_seen_ms`: event times of the
    user's own items. `last_item`: the newest item of the history that the encoder read.
    """
    (
        item_id,
        path_source,
        path_share,
        path_last_ms,
        sequence_share,
        own_share,
        popularity_share,
        trend,
        announced_ms,
        explored,
        from_text,
    ) = facts
    reasons = []
    if explored:
        reasons.append(Reason(_EXPLORATION))
    if path_source >= 0:
        reasons.append(
            Reason(
                _CO_CLICKED,
                sources[path_source],
                path_share,
                None,
                _age_seconds(path_last_ms, now_ms),
            )
        )
    if sequence_share > 0.0:
        reasons.append(Reason(_SEQUENCE, last_item, None, sequence_share))
    if own_share > 0.0:
        seen_ms = last_seen_ms.get(item_id, now_ms)
        age = _age_seconds(seen_ms, now_ms)
        reasons.append(Reason(_OWN_HISTORY, item_id, own_share, None, age))
    if not reasons:
        reasons.append(Reason(_POPULAR, None, popularity_share))
    if trend >= TREND_THRESHOLD:
        reasons.append(Reason(_TRENDING))
    recent = announced_ms and 0 <= now_ms - announced_ms < new_item_ms
    if recent or from_text:
        since = _age_seconds(announced_ms, now_ms) if announced_ms else None
        reasons.append(Reason(_NEW_ITEM, None, None, None, since))
    return reasons


def _age_seconds(then_ms: int, now_ms: int) -> float:
    """Seconds since `then_ms`; 0 for what is said to come from the future."""
    return max(0, now_ms - then_ms) / 1000.0
