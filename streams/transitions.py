"""Transitions: what a click tells the graph, on its way from the user's partition to the item's.

Clicks are keyed by user and edges by item, so every batch of clicks is turned into one
record a graph partition of the internal transitions topic. The owner of an item is fixed by
`owner_of`, a stable hash.

Delivery is at least once: after a crash the same transitions are sent again, and every item
drops what is at or below its watermark. A watermark alone would hide a hole, though: if a
record is lost and a later one arrives before its sender dies, the replay of the lost one
would look like a duplicate. So records of one sender form a chain: each names the last offset
that its sender had already sent to this graph partition (`after_offset`), and a record whose
predecessor never arrived is set aside. Its sender cannot have committed, so it comes again.
"""

from collections.abc import Mapping
from sys import intern

import msgspec
import xxhash

from streams.codec import CodecError, frame, unframe
from streams.reject import UNREADABLE

FORMAT = 1
SESSION_START = -1
"""`after_offset` of a sender's first record since it was assigned the source partition."""

LATEST_MS = 253_402_300_799_999
"""The end of the year 9999: no click is later."""
_OFFSET_LIMIT = 1 << 62
_SOURCES = (0, 1 << 32)

CHAIN_KEY = "\x00chain"
"""Key of the graph table under which a partition keeps its chain positions.

No item can have it: identifiers with a NUL are rejected."""


class TransitionBatch(msgspec.Struct, array_like=True, gc=False):
    """What the clicks of one source tell one graph partition, as columns.

    A row is a click that concerns the partition, in offset order. `edges` maps an item that the
    partition owns to the clicks that followed it, flat: `[row, distance, row, distance, …]` with
    ascending rows, the distance in clicks (1 = directly before). `owned` are the rows whose own
    item the partition owns, for popularity. `kinds` index `event_types`; empty: all are the first.

    `source` is `2 * partition` for the clicks topic and `2 * partition + 1` for the rekeyed one.
    """

    source: int
    after_offset: int
    offsets: list[int]
    times_ms: list[int]
    items: list[str]
    event_types: list[str]
    kinds: list[int]
    edges: dict[str, list[int]]
    owned: list[int]

    @classmethod
    def empty(cls, source: int) -> "TransitionBatch":
        """A batch to `add` rows to."""
        return cls(source, SESSION_START, [], [], [], [], [], {}, [])

    def add(self, offset: int, time_ms: int, item_id: str, event_type: str) -> int:
        """The row of a click, appended unless it is the last row already."""
        offsets = self.offsets
        row = len(offsets)
        if row and offsets[-1] == offset:
            return row - 1
        types = self.event_types
        if not types:
            types.append(event_type)
        elif self.kinds or event_type != types[0]:
            if not self.kinds:
                self.kinds = [0] * row
            if event_type not in types:
                types.append(event_type)
            self.kinds.append(types.index(event_type))
        offsets.append(offset)
        self.times_ms.append(time_ms)
        self.items.append(item_id)
        return row

    def row_types(self) -> list[str]:
        """The event type of every row."""
        types = self.event_types
        if self.kinds:
            return [types[kind] for kind in self.kinds]
        return types[:1] * len(self.offsets)

    def is_consistent(self) -> bool:
        """Whether every row, kind and distance that is named exists, and numbers are such as clicks
        can have. A batch that passes can be folded.
        """
        rows = len(self.offsets)
        if not len(self.times_ms) == len(self.items) == rows or len(self.kinds) not in (0, rows):
            return False
        if rows and not (
            self.event_types
            and min(self.times_ms) >= 0
            and max(self.times_ms) <= LATEST_MS
            and self.offsets[0] >= 0
            and self.offsets[-1] < _OFFSET_LIMIT
            and _ascend(self.offsets)
        ):
            return False
        if self.kinds and not 0 <= min(self.kinds) <= max(self.kinds) < len(self.event_types):
            return False
        if self.owned and not 0 <= min(self.owned) <= max(self.owned) < rows:
            return False
        if CHAIN_KEY in self.edges or CHAIN_KEY in self.items:
            return False
        for flat in self.edges.values():
            if not flat or len(flat) % 2 or flat[0] < 0 or flat[-2] >= rows:
                return False
            if len(flat) == 2:  # of most items; without the copies, which cost more than the rest
                if flat[1] < 1:
                    return False
            elif min(flat[1::2]) < 1 or not _ascend(flat[::2]):
                return False
        return _SOURCES[0] <= self.source <= _SOURCES[1] and self.after_offset >= SESSION_START


def _ascend(numbers: list[int]) -> bool:
    return numbers == sorted(numbers)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(TransitionBatch)
_chain_decoder = msgspec.msgpack.Decoder(dict[int, int])


def encode_transitions(batch: TransitionBatch) -> bytes:
    """Bytes of a batch: format byte, checksum, msgpack."""
    return frame(FORMAT, _encoder.encode(batch))


def decode_transitions(blob: bytes) -> TransitionBatch:
    """Read a batch; raises `CodecError` when the bytes are damaged or of another format."""
    payload = unframe(blob, FORMAT, "transition batch")
    try:
        batch = _decoder.decode(payload)
    except UNREADABLE as error:
        raise CodecError(f"transition batch: {error}") from error
    if not batch.is_consistent():
        raise CodecError("transition batch: its columns do not fit together")
    # Edges hold these for long, each item in those of many others: one string for all of them.
    batch.items = list(map(intern, batch.items))
    return batch


def owner_of(item_id: str, partitions: int) -> int:
    """Graph partition that owns an item: a stable hash, the same in every process and release."""
    return xxhash.xxh3_64_intdigest(item_id.encode()) % partitions


class SentPositions:
    """Last offset sent to every graph partition by one source since it was assigned."""

    __slots__ = ("_last", "source")

    def __init__(self, source: int) -> None:
        self.source = source
        self._last: dict[int, int] = {}

    def chain(self, graph_partition: int, batch: TransitionBatch) -> None:
        """Chain a batch of at least one row to what was sent before.

        A replayed batch (a partition seeks back without being reassigned) starts a new chain:
        everything before its first offset is committed, hence delivered.
        """
        after = self._last.get(graph_partition, SESSION_START)
        if batch.offsets[0] <= after:
            after = SESSION_START
        self._last[graph_partition] = batch.offsets[-1]
        batch.after_offset = after


class ReceivedPositions:
    """Chain positions of one graph partition: the last offset that arrived from every source."""

    __slots__ = ("_last",)

    def __init__(self, last: dict[int, int] | None = None) -> None:
        self._last = last if last is not None else {}

    @property
    def positions(self) -> Mapping[int, int]:
        """By source, the last offset that arrived."""
        return self._last

    def accept(self, batch: TransitionBatch) -> bool:
        """Whether the batch follows what arrived; moves the position when it does."""
        last = self._last.get(batch.source, SESSION_START)
        if batch.after_offset > last:
            return False
        if batch.offsets:
            self._last[batch.source] = max(last, batch.offsets[-1])
        return True

    def encode(self) -> bytes:
        """Bytes for the graph table, so that a new owner goes on where this one stopped."""
        return frame(FORMAT, _encoder.encode(self._last))

    @classmethod
    def decode(cls, blob: bytes) -> "ReceivedPositions":
        """Read positions; raises `CodecError` when the bytes are damaged."""
        payload = unframe(blob, FORMAT, "chain positions")
        try:
            return cls(_chain_decoder.decode(payload))
        except UNREADABLE as error:
            raise CodecError(f"chain positions: {error}") from error
