"""Replica: the whole temporal graph on one worker, read-only, fed with raw item blobs.

Every worker follows the graph's changelog into a replica, so candidates come from the whole
graph whoever owns an item. Blobs stay packed; an item's neighbours are unpacked to arrays when a
list first needs them and kept until the item changes.
"""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streams.codec import CodecError
from streams.graph import GraphConfig, ItemState, decode_edges, decode_item_state, peek_item
from streams.item_index import ItemIndex
from streams.kernels.pure_edges import Neighbours, unpack_edges
from streams.popularity import Popularity
from streams.popularity_table import PopularitySnapshot, PopularityTable

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_MAX_AGE_MS = 60_000
_CHANGED_SHARE = 100


class GraphReplica:
    """Read model of the graph: neighbours of any item, popularity of all items.

    Not thread-safe: one thread applies and reads. What it hands out stays valid and unchanged
    when later blobs arrive.
    """

    def __init__(
        self, config: GraphConfig, *, refresh_ms: int = 1_000, cached_items: int = 20_000
    ) -> None:
        """`refresh_ms`: age at which a popularity snapshot that misses changes is made anew.
        `cached_items`: most items kept unpacked, about 3 KB each with 100 neighbours.
        """
        self.ids = ItemIndex()
        self.damaged = 0
        """Blobs that could not be read; what was known of their item stayed."""
        self._event_types = config.event_types
        self._refresh_ms = refresh_ms
        self._cached_items = cached_items
        self._blobs: dict[str, bytes] = {}
        self._degrees: dict[str, int] = {}
        self.edges = 0
        """Edges of all items together."""
        self._packed: OrderedDict[str, tuple[bytes, bytes]] = OrderedDict()
        """Blobs, not always the newest, and what was read of them."""
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
            self._packed.pop(item_id, None)
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
        packed = self.packed_edges(item_id)
        return unpack_edges(packed) if packed else None

    def packed_edges(self, item_id: str) -> bytes:
        """The same as `streams.kernels.join_edges` takes it; b"" if there are none."""
        return self.packed_edges_of((item_id,))[0]

    def packed_edges_of(self, item_ids: Sequence[str]) -> list[bytes]:
        """The same of several items."""
        blob_of, cache = self._blobs.get, self._packed
        found = []
        for item_id in item_ids:
            blob = blob_of(item_id)
            if blob is None:
                found.append(b"")
                continue
            before = cache.get(item_id)
            if before is not None:
                cache.move_to_end(item_id)
                if before[0] is blob:
                    found.append(before[1])
                    continue
            found.append(self._unpacked(item_id, blob, before))
        return found

    def _unpacked(self, item_id: str, blob: bytes, before: tuple[bytes, bytes] | None) -> bytes:
        """Read an item's blob anew; `before`: an older one and what it gave."""
        try:
            packed = decode_edges(
                blob, self._event_types.positive_names, self.ids.index_all, before
            )
        except CodecError:
            self.damaged += 1
            return b""
        self._packed[item_id] = (blob, packed)
        if len(self._packed) > self._cached_items:
            self._packed.popitem(last=False)
        return packed

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
