"""The temporal item graph: per source item, decayed edges to its next items, and its popularity."""

import msgspec

from streams.event_types import EventTypes
from streams.popularity import Popularity


class GraphConfig(msgspec.Struct, frozen=True):
    max_neighbours: int = 100
    event_types: EventTypes = msgspec.field(default_factory=EventTypes)
    popularity_half_life_seconds: float = 7 * 86_400.0
    trending_half_life_seconds: float = 6 * 3_600.0


class Edge(msgspec.Struct, array_like=True, gc=False):
    """weight: forward-decayed, relative to the base of its TypeEdges; last_ms: absolute epoch ms."""

    weight: float
    last_ms: int
    count: int


class TypeEdges(msgspec.Struct, array_like=True):
    """Edges of one event type. value at T = weight * 2^(base - T/half_life_ms)."""

    base: int
    half_life_ms: float
    edges: dict[str, Edge]


class ItemState(msgspec.Struct, array_like=True):
    popularity: Popularity
    watermarks: dict[int, int]
    edges: dict[str, TypeEdges]


def new_item_state() -> ItemState:
    return ItemState(Popularity(), {}, {})


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
    raise NotImplementedError


def fold_popularity(
    state: ItemState,
    source: int,
    offset: int,
    event_type: str,
    time_ms: int,
    config: GraphConfig,
) -> bool:
    raise NotImplementedError


def degree(state: ItemState) -> int:
    """Edges over all event types."""
    return sum(len(group.edges) for group in state.edges.values())


def edge_value(weight: float, base: int, half_life_ms: float, at_ms: float) -> float:
    raise NotImplementedError


def encode_item(state: ItemState) -> bytes:
    raise NotImplementedError


def decode_item_state(blob: bytes) -> ItemState:
    raise NotImplementedError


def peek_popularity(blob: bytes) -> Popularity:
    raise NotImplementedError
