"""Listed items and their reasons in Python: what the kernel means, and what runs where nothing was
compiled.
"""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.kernels.pure_popularity import take
from streams.recommendation import Reason, ReasonCode, RecommendedItem

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

TREND_THRESHOLD = 2.0
"""An item trends at twice its usual rate."""

DIGITS = 4
"""Of shares as they are told; two more of popularity, whose shares are small."""

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


class Listed(NamedTuple):
    """The items of a batch's lists, `[lists * places]`: each list begins at its first place."""

    items: Integers
    """Item numbers; what stands behind the last item of a list is not read."""
    positions: Integers
    """Positions among the candidates; -1 where the item is none."""
    paths: Paths
    scores: Floats
    """As they are told, rounded."""
    sequence: Floats
    """Share of the item's score that is the encoder's, 0..1."""
    from_text: NDArray[np.bool_] | None
    """Whether the encoder never saw the item and its score is of its text; None: it saw all."""


class Known(NamedTuple):
    """What is known of items and candidates."""

    popularity: Floats
    """Shares by item number; 0 for numbers beyond."""
    trends: Floats
    """By item number; 0 for numbers beyond."""
    announced_ms: Integers
    """By item number, every number; 0 = not known."""
    own: Floats | None
    """`[candidates]`: share of the user's own history; None where nobody's was asked for."""


class Reader(NamedTuple):
    """Who a list is for."""

    names: Sequence[str]
    """Ids of the listed items."""
    titles: Sequence[str]
    """Of the listed items, as many; "" where there is none."""
    sources: Sequence[str]
    """The user's items that the graph was entered at."""
    last_seen_ms: Mapping[str, int]
    """Event times of the user's own items."""
    last_item: str | None
    """The newest item of the history that the encoder read."""
    now_ms: int


class ItemFacts(NamedTuple):
    """What is known of one listed item; the absent is 0, or -1 for positions."""

    item_id: str
    path_source: int
    path_share: float
    path_last_ms: int
    sequence_share: float
    own_share: float
    popularity_share: float
    trend: float
    announced_ms: int
    from_text: bool = False
    explored: bool = False


class Written(NamedTuple):
    """The items of one list."""

    json: bytes
    """What the message says of them: an array of `RecommendedItem`."""
    personal: bool
    """Whether any of them is there for what the user did."""


_encode = msgspec.json.Encoder().encode
_PERSONAL = frozenset({ReasonCode.CO_CLICKED, ReasonCode.OWN_HISTORY})


def write_items(
    listed: Listed, known: Known, readers: Sequence[Reader], new_item_ms: float
) -> list[Written]:
    """The items of every list with their reasons. An item is new for `new_item_ms`."""
    places = len(listed.items) // max(1, len(readers))
    scores = listed.scores.tolist()
    written = []
    for number, (reader, reasons) in enumerate(
        zip(readers, give_reasons(listed, known, readers, new_item_ms), strict=True)
    ):
        # In the order of the fields of an item.
        columns = (reader.names, count(1), scores[number * places :], reader.titles, reasons)
        items = list(map(RecommendedItem, *columns))
        written.append(Written(_encode(items), any(map(is_personal, items))))
    return written


def is_personal(item: RecommendedItem) -> bool:
    """Whether the item is on the list for what the user did."""
    return any(reason.code in _PERSONAL for reason in item.reasons)


def give_reasons(
    listed: Listed, known: Known, readers: Sequence[Reader], new_item_ms: float
) -> list[list[list[Reason]]]:
    """The reasons of every item of every list."""
    items = listed.items
    own = np.zeros(len(items))
    if known.own is not None:
        among = listed.positions >= 0
        own[among] = known.own[listed.positions[among]].round(DIGITS)
    from_text = listed.from_text
    columns = (
        listed.paths.source,
        listed.paths.share.round(DIGITS),
        listed.paths.last_ms,
        listed.sequence.round(DIGITS),
        own,
        take(known.popularity, items).round(DIGITS + 2),
        take(known.trends, items),
        known.announced_ms[items],
        np.zeros(len(items), dtype=np.bool_) if from_text is None else from_text,
    )
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    places = len(rows) // max(1, len(readers))
    return [
        [
            reasons_for(ItemFacts(name, *row), reader, new_item_ms)
            for name, row in zip(reader.names, rows[number * places :], strict=False)
        ]
        for number, reader in enumerate(readers)
    ]


def reasons_for(facts: ItemFacts, reader: Reader, new_item_ms: float) -> list[Reason]:
    """Reasons for one item, at least one: what put it on the list, then what else there is."""
    now_ms = reader.now_ms
    reasons = []
    if facts.explored:
        reasons.append(Reason(_EXPLORATION))
    if facts.path_source >= 0:
        source = reader.sources[facts.path_source]
        age = _age_seconds(facts.path_last_ms, now_ms)
        reasons.append(Reason(_CO_CLICKED, source, facts.path_share, None, age))
    if facts.sequence_share > 0.0:
        reasons.append(Reason(_SEQUENCE, reader.last_item, None, facts.sequence_share))
    if facts.own_share > 0.0:
        age = _age_seconds(reader.last_seen_ms.get(facts.item_id, now_ms), now_ms)
        reasons.append(Reason(_OWN_HISTORY, facts.item_id, facts.own_share, None, age))
    if not reasons:
        reasons.append(Reason(_POPULAR, None, facts.popularity_share))
    if facts.trend >= TREND_THRESHOLD:
        reasons.append(Reason(_TRENDING))
    announced_ms = facts.announced_ms
    if facts.from_text or (announced_ms and 0 <= now_ms - announced_ms < new_item_ms):
        since = _age_seconds(announced_ms, now_ms) if announced_ms else None
        reasons.append(Reason(_NEW_ITEM, None, None, None, since))
    return reasons


def _age_seconds(then_ms: int, now_ms: int) -> float:
    """Seconds since `then_ms`; 0 for what is said to come from the future."""
    return max(0, now_ms - then_ms) / 1000.0
