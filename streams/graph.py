"""The temporal item graph: per source item, decayed edges to its next items, and its popularity.

An item's state is a pure fold over its transitions. Edges are kept per event type, because each
type has its own half-life; weights are forward-decayed (see popularity), so ranking the edges of
a type needs no clock.
"""

from array import array
from collections.abc import Callable, Collection
from math import log2
from struct import Struct
from typing import Protocol

import msgspec
import numpy as np

from streams.codec import HEADER_BYTES, CodecError, frame, unframe
from streams.edges import EDGE_REBASE_HALF_LIVES, StoredEdges, TypeEdges
from streams.event_types import EventTypes
from streams.kernels import (
    decay_terms,
    encode_edges,
    fold_items,
    keep_strongest,
    read_edges,
)
from streams.kernels.pure_edges import Segment, pack_edges
from streams.kernels.pure_folds import Bounds, FollowingClicks
from streams.popularity import (
    POPULARITY_BYTES,
    Popularity,
    decayed_value,
    pack,
    unpack,
)
from streams.transition_batch import TransitionBatch

ITEM_FORMAT = 2
_NO_EFFECT = (0.0, 1.0)  # weight and half-life of a type that links nothing
_DEGREE = Struct("<I")
HEAD_BYTES = POPULARITY_BYTES + _DEGREE.size
# Of the bound after an eviction, in fifths: sorting is paid once for many new edges, and most
# edges that are new at a popular item are never seen again.
_KEPT_FIFTHS = 3


class GraphConfig(msgspec.Struct, frozen=True):
    """Bounds and decay. max_neighbours: edges of one item over all event types, at least 1."""

    max_neighbours: int = 100
    event_types: EventTypes = msgspec.field(default_factory=EventTypes)
    popularity_half_life_seconds: float = 7 * 86_400.0
    trending_half_life_seconds: float = 6 * 3_600.0


class ItemState(msgspec.Struct, array_like=True, gc=False):
    """State of one item. watermarks: source to the last offset applied. edges: by event type."""

    popularity: Popularity
    watermarks: dict[int, int]
    edges: dict[str, TypeEdges]


class _StoredItem(msgspec.Struct, array_like=True):
    """What follows the packed head in a blob."""

    watermarks: dict[int, int]
    edges: dict[str, StoredEdges]


def new_item_state() -> ItemState:
    """State of an item that nothing has happened to."""
    return ItemState(Popularity(), {}, {})


def degree(state: ItemState) -> int:
    """Number of edges, over all event types."""
    return sum([len(group.weights) for group in state.edges.values()])


def following_clicks(batch: TransitionBatch, types: EventTypes) -> FollowingClicks:
    """The clicks of a batch, ready to be added to the edges of the items before them."""
    columns = batch.columns
    effects = [types.effects.get(name, _NO_EFFECT) for name in batch.event_types]
    weights = array("d", [weight for weight, _ in effects])
    half_lives_ms = array("d", [half_life_ms for _, half_life_ms in effects])
    return FollowingClicks(
        batch.item_ids,
        batch.event_types,
        columns.offsets,
        columns.times_ms,
        columns.items,
        columns.kinds,
        columns.rows,
        columns.distances,
        weights,
        half_lives_ms,
        *decay_terms(columns.times_ms, columns.kinds, weights, half_lives_ms),
    )


class Items(Protocol):
    """States by item."""

    def get(self, key: str) -> ItemState | None:
        """The state of an item, None where nothing has happened to it."""

    def put(self, key: str, state: ItemState) -> None:
        """Set the state of an item."""


def fold_batch(items: Items, batch: TransitionBatch, config: GraphConfig) -> tuple[int, int, int]:
    """Fold all that a batch tells of items: clicks that follow one become edges, with weight /
    distance, clicks on it count. Item by item, so that memory is touched once.

    What is at or below an item's watermark was applied before and changes nothing.

    Returns how many transitions were folded, how many links had been before, and how many edges
    were forgotten to keep the bound.
    """
    bounds = Bounds(
        config.max_neighbours,
        EDGE_REBASE_HALF_LIVES,
        config.popularity_half_life_seconds * 1000.0,
        config.trending_half_life_seconds * 1000.0,
    )
    return fold_items(
        following_clicks(batch, config.event_types),
        batch.columns.ends,
        batch.source,
        (items.get, items.put, new_item_state),
        bounds,
        _open_edges,
        _evict,
    )


def edge_value(weight: float, base: int, half_life_ms: float, at_ms: float) -> float:
    """Decayed weight of an edge at an instant; base and half_life_ms of its TypeEdges."""
    return decayed_value(weight, base, half_life_ms, at_ms)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_StoredItem).decode


def encode_item(state: ItemState) -> bytes:
    """Bytes to store: packed popularity and degree at a fixed place, then everything else."""
    head = pack(state.popularity)
    payload = encode_edges(head, state.watermarks, state.edges)
    if payload is None:
        edges = {event_type: group.stored() for event_type, group in state.edges.items()}
        payload = head + _DEGREE.pack(degree(state)) + _encode((state.watermarks, edges))
    return frame(ITEM_FORMAT, payload)


def decode_item_state(blob: bytes) -> ItemState:
    """The state in stored bytes. Raises CodecError if they are not intact."""
    payload, stored = _stored(blob)
    edges = {event_type: TypeEdges.restored(group) for event_type, group in stored.edges.items()}
    return ItemState(unpack(payload), stored.watermarks, edges)


def decode_edges(
    blob: bytes,
    wanted: Collection[str],
    index_all: Callable[[list[str]], list[int]],
    before: tuple[bytes, bytes] | None = None,
) -> bytes:
    """The edges of some event types in stored bytes, packed (`streams.kernels.pure_edges`): much
    cheaper than a state that can be folded into. b"" where there are none.

    `index_all`: numbers of item ids. `before`: an older blob of the item and what this gave for it,
    to look up fewer. Raises CodecError if they are not intact.
    """
    unframe(blob, ITEM_FORMAT, "item state")
    packed = read_edges(blob, HEADER_BYTES + HEAD_BYTES, wanted, index_all, before)
    if packed is not None:
        return packed
    _, stored = _stored(blob)
    for columns in stored.edges.values():
        columns.check()
    return pack_edges(
        [
            Segment(
                columns.base,
                columns.half_life_ms,
                index_all(columns.destinations),
                np.frombuffer(columns.weights, "<f4"),
                1000 * columns.last_seconds(),
            )
            for event_type, columns in stored.edges.items()
            if event_type in wanted
        ]
    )


def _stored(blob: bytes) -> tuple[memoryview, _StoredItem]:
    payload = unframe(blob, ITEM_FORMAT, "item state")
    if len(payload) < HEAD_BYTES:
        raise _unreadable("too short")
    try:
        return payload, _decode(payload[HEAD_BYTES:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(str(error)) from error


def peek_item(blob: bytes) -> tuple[Popularity, int]:
    """Popularity and degree in stored bytes, read in place: for a blob that has just left Kafka.

    Checks format and length and leaves the checksum to decode_item_state, because a follower
    peeks at every blob it is sent and Kafka has checked those bytes. Raises CodecError.
    """
    if len(blob) < HEADER_BYTES + HEAD_BYTES or blob[0] != ITEM_FORMAT:
        unframe(blob, ITEM_FORMAT, "item state")
        raise _unreadable("too short")
    (edges,) = _DEGREE.unpack_from(blob, HEADER_BYTES + POPULARITY_BYTES)
    return unpack(blob, HEADER_BYTES), edges


def _unreadable(cause: str) -> CodecError:
    return CodecError(
        f"stored item state cannot be read ({cause}): rebuild this state from the changelog"
    )


def _open_edges(groups: dict[str, TypeEdges], clicks: FollowingClicks, row: int) -> TypeEdges:
    """The edges that a row is to be added to, made if there are none: with the half-life configured
    now, and a base that the row is not too far from.
    """
    kind = clicks.kinds[row]
    event_type = clicks.event_types[kind]
    half_life_ms = clicks.half_lives_ms[kind]
    group = groups.get(event_type)
    if group is None:
        group = groups[event_type] = TypeEdges(clicks.powers[row], half_life_ms)
    elif group.half_life_ms != half_life_ms:
        group.adopt(half_life_ms, clicks.times_ms[row])
    shift = clicks.powers[row] - group.base
    if shift > EDGE_REBASE_HALF_LIVES:
        group.rebase(shift)
    return group


def _evict(groups: dict[str, TypeEdges], max_neighbours: int) -> int:
    """Forget the weakest edges, down to three fifths of the bound; return how many.

    They are compared by value at the newest time of any of them. Ties go by age, then type and
    item, so that the same transitions always leave the same edges.
    """
    kept = max(1, max_neighbours * _KEPT_FIFTHS // 5)
    if len(groups) == 1:
        # One base and one half-life: weights compare as they are.
        (group,) = groups.values()
        surplus = len(group) - kept
        keep_strongest(group, kept)
        return surplus
    at_ms = 1000 * max([max(group.last_seconds) for group in groups.values()])
    ranked = []
    for event_type, group in groups.items():
        scale = group.base - at_ms / group.half_life_ms
        for name, edge in group.items():
            strength = log2(edge.weight) + scale if edge.weight else -1e300
            ranked.append((strength, edge.last_ms, event_type, name))
    ranked.sort()
    surplus = len(ranked) - kept
    weakest: dict[str, set[str]] = {}
    for _, _, event_type, name in ranked[:surplus]:
        weakest.setdefault(event_type, set()).add(name)
    for event_type, names in weakest.items():
        group = groups[event_type]
        if len(names) == len(group):
            del groups[event_type]
        else:
            group.keep([name not in names for name in group])
    return surplus
