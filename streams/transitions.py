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

import msgspec
import xxhash

from streams.codec import CodecError, frame, unframe

FORMAT = 1
SESSION_START = -1
"""`after_offset` of a sender's first record since it was assigned the source partition."""

CHAIN_KEY = "\x00chain"
"""Key of the graph table under which a partition keeps its chain positions.

No item can have it: identifiers with a NUL are rejected."""


class Transition(msgspec.Struct, array_like=True, gc=False):
    """One click as seen by one graph partition.

    `sources`: the items before the click that this partition owns; `distances`: how many clicks
    before it each of them was (1 = directly before). `counts_popularity` is true where this
    partition owns the clicked item itself.
    """

    offset: int
    time_ms: int
    event_type: str
    item_id: str
    sources: list[str]
    distances: list[int]
    counts_popularity: bool


class TransitionBatch(msgspec.Struct, array_like=True, gc=False):
    """The transitions of one source for one graph partition, in offset order.

    `source` is `2 * partition` for the clicks topic and `2 * partition + 1` for the rekeyed one.
    """

    source: int
    after_offset: int
    transitions: list[Transition]


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
    except msgspec.MsgspecError as error:
        raise CodecError(f"transition batch: {error}") from error
    if any(len(t.sources) != len(t.distances) for t in batch.transitions):
        raise CodecError("transition batch: sources and distances differ in number")
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

    def batch(self, graph_partition: int, transitions: list[Transition]) -> TransitionBatch:
        """Chain a non-empty list of transitions to what was sent before.

        A replayed list (a partition seeks back without being reassigned) starts a new chain:
        everything before its first offset is committed, hence delivered.
        """
        after = self._last.get(graph_partition, SESSION_START)
        if transitions[0].offset <= after:
            after = SESSION_START
        self._last[graph_partition] = transitions[-1].offset
        return TransitionBatch(self.source, after, transitions)


class ReceivedPositions:
    """Chain positions of one graph partition: the last offset that arrived from every source."""

    __slots__ = ("_last",)

    def __init__(self, last: dict[int, int] | None = None) -> None:
        self._last = last if last is not None else {}

    def accept(self, batch: TransitionBatch) -> bool:
        """Whether the batch follows what arrived; moves the position when it does."""
        last = self._last.get(batch.source, SESSION_START)
        if batch.after_offset > last:
            return False
        if batch.transitions:
            self._last[batch.source] = max(last, batch.transitions[-1].offset)
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
        except msgspec.MsgspecError as error:
            raise CodecError(f"chain positions: {error}") from error
