"""Replica: the whole temporal graph on one worker, read-only, fed with raw item blobs.

Every worker follows the graph's changelog into a replica, so candidates come from the whole
graph whoever owns an item. Blobs stay packed; an item's neighbours are unpacked to arrays when a
list first needs them and kept until the item changes.
"""

from collections import OrderedDict
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.codec import CodecError
from streams.destinations import Destinations
from streams.edges import PackedEdges
from streams.graph import GraphConfig, ItemState, decode_edges, decode_item_state, peek_item
from streams.item_index import ItemIndex
from streams.popularity import Popularity
from streams.popularity_table import PopularitySnapshot, PopularityTable

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Array = TypeVar("Array", Floats, Integers)

_MAX_AGE_MS = 60_000
_CHANGED_SHARE = 100


class Neighbours(msgspec.Struct, frozen=True, gc=False):
    """Out-edges of one item as arrays, in segments: one segment an event type."""

    destinations: Integers
    """Item numbers `[edges]`; an item occurs at most once a segment."""
    weights: Floats
    """Forward-decayed weights `[edges]`, relative to the base of their segment."""
    last_ms: Integers
    """When each edge was last strengthened."""
    segments: Floats
    """`[segments, 4]`: edges, base, half-life in ms, sum of the weights."""


class GraphReplica:
    """Read model of the graph: neighbours of any item, popularity of all items.

    Not thread-safe: one thread applies and reads. What it hands out stays valid and unchanged
    when later blobs arrive.
    """

    def __init__(
        self, config: GraphConfig, *, refresh_ms: int = 1_000, cached_items: int = 20_000
    ) -> None:
        """`refresh_ms`: age at which a popularity snapshot that misses changes is made anew.
        `cached_items`: most items kept unpacked, about 6 KB each with 100 neighbours.
        """
        self.ids = ItemIndex()
        self.damaged = 0
        """Blobs that could not be read; what was known of their item stayed."""
        self._event_types = config.event_types
        self._refresh_ms = refresh_ms
        self._cached_items = cached_items
        self._destinations = Destinations(self.ids, cached_items)
        self._blobs: dict[str, bytes] = {}
        self._degrees: dict[str, int] = {}
        self.edges = 0
        """Edges of all items together."""
        self._neighbours: OrderedDict[str, Neighbours | None] = OrderedDict()
        self._popularity = PopularityTable(
            self.ids,
            config.popularity_half_life_seconds * 1000.0,
            config.trending_half_life_seconds * 1000.0,
        )
        self._snapshot = self._popularity.snapshot(0)
        self._changes = 0

    def __len__(self) -> int:
        """Items that have a state."""
        return len(self._blobs)

    def apply(self, item_id: str, blob: bytes | None) -> None:
        """Take over an item's new packed state; None removes the item.

        A blob that cannot be read is counted in `damaged` and changes nothing.
        """
        if blob is None:
            if self._blobs.pop(item_id, None) is None:
                return
            self.edges -= self._degrees.pop(item_id)
            self._popularity.remove(self.ids.index(item_id))
        else:
            try:
                popularity, degree = peek_item(blob)
            except CodecError:
                self.damaged += 1
                return
            self._blobs[item_id] = blob
            self.edges += degree - self._degrees.get(item_id, 0)
            self._degrees[item_id] = degree
            self._popularity.put(self.ids.index(item_id), popularity)
        self._neighbours.pop(item_id, None)
        self._changes += 1

    def index(self, item_id: str) -> int:
        """Number of an item, a new one if it has none; stable for the process."""
        return self.ids.index(item_id)

    def item_id(self, index: int) -> str:
        """Id of a number that `index` gave."""
        return self.ids.item_id(index)

    def blobs(self) -> list[tuple[str, bytes]]:
        """All items and their packed states, as of now; nothing is copied but references."""
        return list(self._blobs.items())

    def blob(self, item_id: str) -> bytes | None:
        """An item's packed state; None if there is none."""
        return self._blobs.get(item_id)

    def state(self, item_id: str) -> ItemState | None:
        """An item's state, unpacked anew; None if there is none or it cannot be read."""
        blob = self._blobs.get(item_id)
        if blob is None:
            return None
        try:
            return decode_item_state(blob)
        except CodecError:
            self.damaged += 1
            return None

    def counts(self, item_id: str) -> Popularity | None:
        """Decayed counts of an item, without unpacking its edges; None as in `state`."""
        blob = self._blobs.get(item_id)
        return None if blob is None else peek_item(blob)[0]

    def neighbours(self, item_id: str) -> Neighbours | None:
        """Out-edges of an item, None if it has none.

        Only those of event types that express interest as configured now.
        """
        cache = self._neighbours
        if item_id in cache:
            cache.move_to_end(item_id)
            return cache[item_id]
        blob = self._blobs.get(item_id)
        if blob is None:
            return None
        try:
            neighbours = self._unpack(item_id, decode_edges(blob))
        except CodecError:
            self.damaged += 1
            return None
        cache[item_id] = neighbours
        if len(cache) > self._cached_items:
            cache.popitem(last=False)
        return neighbours

    def popularity(self, at_ms: int) -> PopularitySnapshot:
        """Popularity of all items at about `at_ms`.

        Made anew when it misses changes and is `refresh_ms` old, when it misses one change for
        every hundred items (so a small or fast changing catalogue is exact, and a snapshot costs
        no more than the changes it takes in), or when a minute has passed.
        """
        if self._is_old(at_ms):
            self._snapshot = self._popularity.snapshot(at_ms)
            self._changes = 0
        return self._snapshot

    def popularity_to_look_at(self, at_ms: int) -> PopularitySnapshot:
        """What a list would be made from at `at_ms`. Where that would be made anew, one for this
        reader that is not kept: whoever only looks changes no list.
        """
        return self._popularity.snapshot(at_ms) if self._is_old(at_ms) else self._snapshot

    def top_popular(self, n: int, at_ms: int) -> tuple[Integers, Floats]:
        """The `n` most popular items: numbers and shares, best first."""
        snapshot = self.popularity(at_ms)
        items = snapshot.top_popular(n)
        return items, snapshot.shares[items]

    def top_trending(self, n: int, at_ms: int) -> tuple[Integers, Floats]:
        """The `n` items that exceed their usual rate most: numbers and trends, best first."""
        snapshot = self.popularity(at_ms)
        items = snapshot.top_trending(n)
        return items, snapshot.trends[items]

    def _is_old(self, at_ms: int) -> bool:
        """Whether the snapshot misses too much, see `popularity`."""
        age_ms = abs(at_ms - self._snapshot.at_ms)
        changes = self._changes
        return age_ms >= _MAX_AGE_MS or (
            changes > 0
            and (age_ms >= self._refresh_ms or changes * _CHANGED_SHARE >= len(self._blobs))
        )

    def _unpack(self, item_id: str, edges: dict[str, PackedEdges]) -> Neighbours | None:
        destinations: list[Integers] = []
        weights: list[Floats] = []
        last_ms: list[Integers] = []
        segments: list[float] = []
        for event_type, group in edges.items():
            if not self._event_types.is_positive(event_type):
                continue
            of_group = group.weights
            total = float(np.add.reduce(of_group))
            if not total > 0.0:
                continue
            destinations.append(
                self._destinations.numbers(item_id, event_type, group.destinations, len(of_group))
            )
            weights.append(of_group)
            last_ms.append(group.last_ms)
            segments += (len(of_group), group.base, group.half_life_ms, total)
        if not segments:
            return None
        return Neighbours(
            _joined(destinations),
            _joined(weights),
            _joined(last_ms),
            np.fromiter(segments, np.float64, len(segments)).reshape(-1, 4),
        )


def _joined(columns: list[Array]) -> Array:
    """The columns one after the other; most items have one, and that is not copied."""
    return columns[0] if len(columns) == 1 else np.concatenate(columns)
