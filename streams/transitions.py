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

import msgspec
import xxhash

from streams.codec import CodecError, frame, unframe
from streams.reject import UNREADABLE
from streams.transition_batch import (
    CHAIN_KEY,
    SESSION_START,
    ToldClick,
    TransitionBatch,
    decode_transitions,
    encode_transitions,
)

__all__ = [
    "CHAIN_KEY",
    "POSITIONS_FORMAT",
    "SESSION_START",
    "ReceivedPositions",
    "SentPositions",
    "ToldClick",
    "TransitionBatch",
    "decode_transitions",
    "encode_transitions",
    "owner_of",
]

POSITIONS_FORMAT = 1

_encoder = msgspec.msgpack.Encoder()
_chain_decoder = msgspec.msgpack.Decoder(dict[int, int])


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
        offsets = batch.offsets
        after = self._last.get(graph_partition, SESSION_START)
        if offsets[0] <= after:
            after = SESSION_START
        self._last[graph_partition] = offsets[-1]
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
        return frame(POSITIONS_FORMAT, _encoder.encode(self._last))

    @classmethod
    def decode(cls, blob: bytes) -> "ReceivedPositions":
        """Read positions; raises `CodecError` when the bytes are damaged."""
        payload = unframe(blob, POSITIONS_FORMAT, "chain positions")
        try:
            return cls(_chain_decoder.decode(payload))
        except UNREADABLE as error:
            raise CodecError(f"chain positions: {error}") from error
