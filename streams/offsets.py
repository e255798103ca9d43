"""Offsets that may be committed: what was delivered, in order, and what is done.

One delivery is one batch of consecutive records of one partition. A partition's committable
offset moves only over the unbroken run of finished deliveries at its head, so nothing that is
still unacknowledged by the broker is ever passed over.
"""

from collections import deque
from typing import TypeVar

Partition = TypeVar("Partition")


class Delivery:
    """One batch handed to the agents; `finish` it when all its effects are acknowledged."""

    __slots__ = ("done", "last_offset", "revoked")

    def __init__(self, last_offset: int) -> None:
        self.last_offset = last_offset
        self.done = False
        self.revoked = False
        """Its assignment has ended: a batch not yet begun must not be handled any more, even
        where this worker was given the same partition again."""

    def finish(self) -> None:
        """Everything that this batch caused has been acknowledged."""
        self.done = True


class OffsetTracker:
    """First in, first out, per partition.

    Deliveries are objects: one that belongs to an earlier assignment of the partition can be
    finished late without any effect on what was delivered again since.
    """

    def __init__(self) -> None:
        self._deliveries: dict[object, deque[Delivery]] = {}

    def deliver(self, partition: object, last_offset: int) -> Delivery:
        """Note a delivery that ends with `last_offset` (greater than all before)."""
        delivery = Delivery(last_offset)
        self._deliveries.setdefault(partition, deque()).append(delivery)
        return delivery

    def committable(self, partition: object) -> int | None:
        """Next offset to read after the finished head of the queue; None if nothing is new.

        What is reported is forgotten: a caller whose commit fails waits for the next one, which
        reports a later offset, or re-reads the partition after a rebalance.
        """
        queue = self._deliveries.get(partition)
        offset = None
        while queue and queue[0].done:
            offset = queue.popleft().last_offset + 1
        return offset

    def partitions(self) -> list[object]:
        """Partitions that have deliveries."""
        return [partition for partition, queue in self._deliveries.items() if queue]

    def drop(self, partition: object) -> None:
        """Forget a partition: it was revoked, or is read again from its committed offset."""
        for delivery in self._deliveries.pop(partition, ()):
            delivery.revoked = True

    def pending(self) -> int:
        """Deliveries not yet finished, over all partitions."""
        return sum(not d.done for queue in self._deliveries.values() for d in queue)
