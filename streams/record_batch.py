"""Record batch: what an agent is handed at once, and when it is done with."""

from collections.abc import Callable
from typing import Any

from faust.types import TP
from faust.types.tuples import ConsumerMessage

from streams.offsets import Delivery


class RecordBatch(ConsumerMessage):
    """Consecutive records of one partition, and the delivery to finish when done.

    While no agent has taken it, later fetches of the partition are added: whatever keeps the
    agents busy makes the next batches larger and so cheaper.
    """

    __slots__ = ("delivery", "on_take", "read_to_end_ms", "records", "size_bytes", "taken")

    records: list[Any]
    size_bytes: int
    delivery: Delivery
    read_to_end_ms: int | None
    """When this partition was last known to hold nothing unread, before these records."""
    taken: bool
    on_take: Callable[["RecordBatch"], None]

    @classmethod
    def of(
        cls,
        tp: TP,
        records: list[Any],
        size_bytes: int,
        *,
        generation_id: int,
        read_to_end_ms: int | None,
        on_take: Callable[["RecordBatch"], None],
    ) -> "RecordBatch":
        """A batch that no agent has taken, with no delivery yet."""
        last = records[-1]
        batch = cls(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000.0,
            0,
            [],
            b"",
            None,
            None,
            0,
            0,
            tp,
            generation_id=generation_id,
        )
        batch.records = records
        batch.size_bytes = size_bytes
        batch.read_to_end_ms = read_to_end_ms
        batch.taken = False
        batch.on_take = on_take
        return batch

    def take(self) -> None:
        """Called by the agent before it looks at the records: nothing is added any more."""
        self.taken = True
        self.on_take(self)
