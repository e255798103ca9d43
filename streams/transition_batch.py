"""The record of transitions: what the clicks of one source tell one graph partition.

It travels as columns, and is checked and folded as columns: a click concerns several partitions,
so what it costs to take one apart is paid several times.
"""

from collections.abc import Sequence
from sys import intern
from typing import NamedTuple

import msgspec

from streams.codec import CodecError, frame, unframe
from streams.kernels import columns_fit, pack_columns, unpack_columns
from streams.kernels.pure_columns import Columns
from streams.kernels.pure_links import LinkedRows
from streams.reject import UNREADABLE

BATCH_FORMAT = 2
SESSION_START = -1
"""`after_offset` of a sender's first record since it was assigned the source partition."""

CHAIN_KEY = "\x00chain"
"""Key of the graph table under which a partition keeps its chain positions.

No item can have it: identifiers with a NUL are rejected."""

_SOURCES = (0, 1 << 32)


class ToldClick(NamedTuple):
    """A click as a graph partition is told of it: a row of a batch, for people and for tests."""

    offset: int
    time_ms: int
    item_id: str
    event_type: str
    owned: bool
    """Whether the partition owns the clicked item, and is to count it."""
    before: Sequence[tuple[str, int]]
    """Items of the partition before it, with their distance in clicks (1 = directly before)."""


class TransitionBatch(msgspec.Struct, gc=False):
    """Clicks that concern a graph partition, in offset order, as columns.

    item_ids: the table that the columns' items are numbers in, no item twice; the first ones, as
    many as there are `ends`, are those that the partition owns. event_types: of the columns' kinds.

    `source` is `2 * partition` for the clicks topic and `2 * partition + 1` for the rekeyed one.
    """

    source: int
    after_offset: int
    item_ids: list[str]
    event_types: list[str]
    columns: Columns

    @classmethod
    def of(cls, source: int, clicks: Sequence[ToldClick]) -> "TransitionBatch":
        """A batch that says so, and starts a chain. clicks: in offset order."""
        linked = LinkedRows()
        for row, click in enumerate(clicks):
            linked.add(click.offset, click.time_ms, click.item_id, click.event_type)
            if click.owned:
                linked.links_of(click.item_id).extend((row, 0))
            for item_id, distance in click.before:
                linked.links_of(item_id).extend((row, distance))
        return cls(source, SESSION_START, *linked.told())

    @property
    def offsets(self) -> Sequence[int]:
        """Of the clicks, ascending."""
        return self.columns.offsets

    def clicks(self) -> list[ToldClick]:
        """What the batch says, click by click; of each, the nearest item before it first."""
        columns, item_ids = self.columns, self.item_ids
        before: list[list[tuple[str, int]]] = [[] for _ in columns.offsets]
        owned = set()
        first = 0
        for item_id, end in zip(item_ids, columns.ends, strict=False):
            for row, distance in zip(
                columns.rows[first:end], columns.distances[first:end], strict=True
            ):
                if distance:
                    before[row].append((item_id, distance))
                else:
                    owned.add(row)
            first = end
        return [
            ToldClick(
                offset,
                time_ms,
                item_ids[item],
                self.event_types[kind],
                row in owned,
                sorted(before[row], key=lambda link: (link[1], link[0])),
            )
            for row, (offset, time_ms, item, kind) in enumerate(zip(*columns[:4], strict=True))
        ]

    def is_consistent(self) -> bool:
        """Whether every row, item and kind that is named exists, and numbers are such as clicks can
        have. A batch that passes can be folded.
        """
        item_ids = set(self.item_ids)
        return (
            len(item_ids) == len(self.item_ids)
            and CHAIN_KEY not in item_ids
            and len(set(self.event_types)) == len(self.event_types)
            and columns_fit(self.columns, len(item_ids), len(self.event_types))
            and _SOURCES[0] <= self.source <= _SOURCES[1]
            and self.after_offset >= SESSION_START
        )


class _Packed(msgspec.Struct, array_like=True, gc=False):
    """A batch as it is stored; columns as `pack_columns` writes them."""

    source: int
    after_offset: int
    item_ids: list[str]
    event_types: list[str]
    columns: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Packed).decode


def encode_transitions(batch: TransitionBatch) -> bytes:
    """Bytes of a batch: format byte, checksum, msgpack with the columns packed in it."""
    columns = pack_columns(batch.columns)
    payload = (batch.source, batch.after_offset, batch.item_ids, batch.event_types, columns)
    return frame(BATCH_FORMAT, _encode(payload))


def decode_transitions(blob: bytes) -> TransitionBatch:
    """Read a batch; raises `CodecError` when the bytes are damaged or of another format."""
    payload = unframe(blob, BATCH_FORMAT, "transition batch")
    try:
        packed = _decode(payload)
    except UNREADABLE as error:
        raise CodecError(f"transition batch: {error}") from error
    columns = unpack_columns(packed.columns)
    if columns is None:
        raise CodecError("transition batch: its columns are not packed as columns are")
    # Edges hold ids for long, each item in those of many others: one string for all of them.
    item_ids = list(map(intern, packed.item_ids))
    event_types = list(map(intern, packed.event_types))
    batch = TransitionBatch(packed.source, packed.after_offset, item_ids, event_types, columns)
    if not batch.is_consistent():
        raise CodecError("transition batch: its columns do not fit together")
    return batch
