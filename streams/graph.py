"""The temporal item graph: per source item, decayed edges to its next items, and its popularity.

An item's state is a pure fold over its transitions. Edges are kept per event type, because each
type has its own half-life; weights are forward-decayed (see popularity), so ranking the edges of
a type needs no clock.
"""

from collections.abc import Sequence
from math import floor, ldexp, log2
from struct import Struct

import msgspec

from streams.codec import HEADER_BYTES, CodecError, frame, unframe
from streams.event_types import EventTypes
from streams.popularity import (
    POPULARITY_BYTES,
    REBASE_HALF_LIVES,
    Popularity,
    add,
    decayed_value,
    pack,
    unpack,
)

ITEM_FORMAT = 1
REPLAYED = -1
_DEGREE = Struct("<I")
_HEAD_BYTES = POPULARITY_BYTES + _DEGREE.size
# Of the bound after an eviction, in fifths: sorting is paid once for many new edges.
_KEPT_FIFTHS = 4


class GraphConfig(msgspec.Struct, frozen=True):
    """Bounds and decay. max_neighbours: edges of one item over all event types, at least 1."""

    max_neighbours: int = 100
    event_types: EventTypes = msgspec.field(default_factory=EventTypes)
    popularity_half_life_seconds: float = 7 * 86_400.0
    trending_half_life_seconds: float = 6 * 3_600.0


class Edge(msgspec.Struct, array_like=True, gc=False):
    """A transition to another item.

    weight: forward-decayed, relative to the base of its TypeEdges. last_ms: newest event time,
    epoch milliseconds. count: transitions that contributed.
    """

    weight: float
    last_ms: int
    count: int


class TypeEdges(msgspec.Struct, array_like=True, gc=False):
    """Edges of one event type, by destination item: value at T = weight * 2^(base - T / h).

    base: whole half-lives since 1970. half_life_ms (h): the one the weights were accumulated
    with, which may differ from the configured one until the next transition of this type.
    """

    base: int
    half_life_ms: float
    edges: dict[str, Edge]


class ItemState(msgspec.Struct, array_like=True, gc=False):
    """State of one item. watermarks: source to the last offset applied. edges: by event type."""

    popularity: Popularity
    watermarks: dict[int, int]
    edges: dict[str, TypeEdges]


class _StoredItem(msgspec.Struct, array_like=True):
    """What follows the packed popularity in a blob."""

    watermarks: dict[int, int]
    edges: dict[str, TypeEdges]


def new_item_state() -> ItemState:
    """State of an item that nothing has happened to."""
    return ItemState(Popularity(), {}, {})


def degree(state: ItemState) -> int:
    """Number of edges, over all event types."""
    return sum([len(group.edges) for group in state.edges.values()])


def fold_edge(
    state: ItemState,
    source: int,
    offset: int,
    dst: str,
    event_type: str,
    distance: int,
    time_ms: int,
    config: GraphConfig,
) -> int:
    """Add a transition from this item to dst, in place, with weight(event_type) / distance.

    source, offset: where the click on dst was read; it may touch an item only once. distance:
    its position after this item, from 1. time_ms: its event time.

    Returns the number of edges forgotten to keep the bound, or REPLAYED (-1) where the source
    was applied up to this offset before: then nothing changed.
    """
    evicted, replayed = fold_edges(
        (state,), source, offset, dst, event_type, (distance,), time_ms, config
    )
    return REPLAYED if replayed else evicted


def fold_edges(
    states: Sequence[ItemState],
    source: int,
    offset: int,
    dst: str,
    event_type: str,
    distances: Sequence[int],
    time_ms: int,
    config: GraphConfig,
) -> tuple[int, int]:
    """`fold_edge` for the items before one click: what they share is worked out once.

    distances: how far before the click each item stands. Returns the number of edges forgotten
    and the number of items that had been applied up to this offset before.
    """
    effect = config.event_types.effects.get(event_type)
    weight, half_life_ms = effect if effect is not None else (0.0, 1.0)
    half_lives = time_ms / half_life_ms
    known_base = None
    scaled = 0.0
    evicted = replayed = 0
    for state, distance in zip(states, distances, strict=True):
        watermarks = state.watermarks
        if offset <= watermarks.get(source, -1):
            replayed += 1
            continue
        watermarks[source] = offset
        if not weight:
            continue
        group = state.edges.get(event_type)
        if group is None:
            group = state.edges[event_type] = TypeEdges(floor(half_lives), half_life_ms, {})
        elif group.half_life_ms != half_life_ms:
            _adopt(group, half_life_ms, time_ms)
        base = group.base
        if base != known_base:
            ahead = half_lives - base
            if ahead > REBASE_HALF_LIVES:
                _rebase(group, floor(ahead))
                base = group.base
                ahead = half_lives - base
            known_base = base
            scaled = weight * 2.0**ahead
        edges = group.edges
        edge = edges.get(dst)
        if edge is not None:
            edge.weight += scaled / distance
            edge.count += 1
            if time_ms > edge.last_ms:
                edge.last_ms = time_ms
            continue
        edges[dst] = Edge(scaled / distance, time_ms, 1)
        edge_count = len(edges) if len(state.edges) == 1 else degree(state)
        if edge_count > config.max_neighbours:
            evicted += _evict(state, config.max_neighbours)
    return evicted, replayed


def fold_popularity(
    state: ItemState,
    source: int,
    offset: int,
    event_type: str,
    time_ms: int,
    config: GraphConfig,
) -> bool:
    """Count an event on this item, in place. False where it was applied before: nothing changed.

    Shares its watermark with fold_edge: a click is either on this item or follows it.
    """
    watermarks = state.watermarks
    if offset <= watermarks.get(source, -1):
        return False
    watermarks[source] = offset
    effect = config.event_types.effects.get(event_type)
    if effect is not None and effect[0]:
        add(
            state.popularity,
            effect[0],
            time_ms,
            config.popularity_half_life_seconds * 1000.0,
            config.trending_half_life_seconds * 1000.0,
        )
    return True


def edge_value(weight: float, base: int, half_life_ms: float, at_ms: float) -> float:
    """Decayed weight of an edge at an instant; base and half_life_ms of its TypeEdges."""
    return decayed_value(weight, base, half_life_ms, at_ms)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_StoredItem).decode


def encode_item(state: ItemState) -> bytes:
    """Bytes to store: packed popularity and degree at a fixed place, then everything else."""
    head = pack(state.popularity) + _DEGREE.pack(degree(state))
    return frame(ITEM_FORMAT, head + _encode((state.watermarks, state.edges)))


def decode_item_state(blob: bytes) -> ItemState:
    """The state in stored bytes. Raises CodecError if they are not intact."""
    payload = unframe(blob, ITEM_FORMAT, "item state")
    if len(payload) < _HEAD_BYTES:
        raise _unreadable("too short")
    try:
        stored = _decode(payload[_HEAD_BYTES:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(str(error)) from error
    return ItemState(unpack(payload), stored.watermarks, stored.edges)


def peek_item(blob: bytes) -> tuple[Popularity, int]:
    """Popularity and degree in stored bytes, read in place: for a blob that has just left Kafka.

    Checks format and length and leaves the checksum to decode_item_state, because a follower
    peeks at every blob it is sent and Kafka has checked those bytes. Raises CodecError.
    """
    if len(blob) < HEADER_BYTES + _HEAD_BYTES or blob[0] != ITEM_FORMAT:
        unframe(blob, ITEM_FORMAT, "item state")
        raise _unreadable("too short")
    (edges,) = _DEGREE.unpack_from(blob, HEADER_BYTES + POPULARITY_BYTES)
    return unpack(blob, HEADER_BYTES), edges


def _unreadable(cause: str) -> CodecError:
    return CodecError(
        f"stored item state cannot be read ({cause}): rebuild this state from the changelog"
    )


def _adopt(group: TypeEdges, half_life_ms: float, at_ms: int) -> None:
    """Express the weights of a group, as of an instant, in another half-life."""
    base = floor(at_ms / half_life_ms)
    ahead = 2.0 ** (at_ms / half_life_ms - base)
    for edge in group.edges.values():
        edge.weight = ahead * edge_value(edge.weight, group.base, group.half_life_ms, at_ms)
    group.base = base
    group.half_life_ms = half_life_ms


def _rebase(group: TypeEdges, shift: int) -> None:
    """Move a group's base forward by whole half-lives; values stay what they are."""
    group.base += shift
    for edge in group.edges.values():
        edge.weight = ldexp(edge.weight, -shift)


def _evict(state: ItemState, max_neighbours: int) -> int:
    """Forget the weakest edges, down to four fifths of the bound; return how many.

    They are compared by value at the newest time of any of them. Ties go by age, then type and
    item, so that the same transitions always leave the same edges.
    """
    groups = state.edges
    kept = max(1, max_neighbours * _KEPT_FIFTHS // 5)
    if len(groups) == 1:
        # One base and one half-life: weights compare as they are.
        (group,) = groups.values()
        weakest = sorted([(e.weight, e.last_ms, dst) for dst, e in group.edges.items()])
        surplus = len(weakest) - kept
        for _, _, dst in weakest[:surplus]:
            del group.edges[dst]
        return surplus
    at_ms = max([edge.last_ms for group in groups.values() for edge in group.edges.values()])
    ranked = []
    for event_type, group in groups.items():
        scale = group.base - at_ms / group.half_life_ms
        ranked += [
            (log2(edge.weight) + scale if edge.weight else -1e300, edge.last_ms, event_type, dst)
            for dst, edge in group.edges.items()
        ]
    ranked.sort()
    surplus = len(ranked) - kept
    for _, _, event_type, dst in ranked[:surplus]:
        del groups[event_type].edges[dst]
    for event_type in [name for name, group in groups.items() if not group.edges]:
        del groups[event_type]
    return surplus
