"""Header names: records are read whatever bytes the names of their headers are.

Kafka has it that a name is text, and checks nothing. aiokafka's parser ends at a name that is not
UTF-8, and again whenever the record is fetched: one such click, and its partition stands still for
good. Names are of no use here beyond the few that are known, so what is not text becomes U+FFFD.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_OFFSET_AND_LENGTH = Struct(">qi")


def read_any_header_name() -> None:
    """Have aiokafka's consumers in this process read such records; saying it twice does no harm.

    They make a `MemoryRecords`, found by that name in their module, of what a fetch brought.
    """
    fetcher.MemoryRecords = TolerantRecords


class TolerantRecords:
    """The record batches of a fetch, as `MemoryRecords` gives them."""

    def __init__(self, fetched: bytes) -> None:
        self._records = MemoryRecords(fetched)
        self._left = memoryview(fetched)

    def size_in_bytes(self) -> int:
        """Of all batches, the last of which may be cut off."""
        size: int = self._records.size_in_bytes()
        return size

    def has_next(self) -> bool:
        """Whether there is one more whole batch."""
        more: bool = self._records.has_next()
        return more

    def next_batch(self) -> Any:
        """The next batch; None: there is none."""
        batch = self._records.next_batch()
        if batch is None:
            return None
        _, length = _OFFSET_AND_LENGTH.unpack_from(self._left)
        size = _OFFSET_AND_LENGTH.size + length
        whole, self._left = self._left[:size], self._left[size:]
        return _Batch(batch, whole)


class _Batch:
    """A batch by the quick parser, or from its beginning by the other where that one ends.

    The other is for the newest format: those before have no headers. Whoever reads passes over
    offsets that it had before, as it does in compacted batches.
    """

    def __init__(self, batch: Any, whole: memoryview) -> None:
        self._batch = batch
        self._whole = whole

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._batch
        except UnicodeDecodeError:
            yield from _LenientBatch(self._whole)


class _Lenient(bytearray):
    """Bytes of which every part reads as text."""

    def __getitem__(self, at: Any) -> Any:
        part = super().__getitem__(at)
        return _Lenient(part) if isinstance(at, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:  # noqa: ARG002
        return super().decode(encoding, "replace")


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    """aiokafka's parser in Python; slow, but it decodes parts of its buffer by their own method."""

    @property
    def _buffer(self) -> bytearray:
        return self.__buffer

    @_buffer.setter
    def _buffer(self, content: bytearray) -> None:
        self.__buffer = _Lenient(content)
