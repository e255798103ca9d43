"""Record batch: what an agent is handed at once, and when it is done with."""

from collections.abc import Callable
from typing import Any

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

    def take(self) -> None:
        """Called by the agent before it looks at the records: nothing is added any more."""
        self.taken = True
        self.on_take(self)
