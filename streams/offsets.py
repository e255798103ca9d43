"""Offsets that may be committed: what was delivered, in order, and what is done.

One delivery is one batch of consecutive records of one partition. A partition's committable
offset moves only over the unbroken run of finished deliveries at its head, so nothing that is
still unacknowledged by the broker is ever passed over.
"""

from collections import deque
from collections.abc import Callable
from typing import TypeVar

Partition = TypeVar("Partition")


class Delivery:
    """One batch handed to the agents; `finish` it when all its effects are acknowledged."""

    __slots__ = ("_on_done", "done", "last_offset", "revoked")

    def __init__(self, last_offset: int, on_done: Callable[[], None] | None = None) -> None:
        self.last_offset = last_offset
        self._on_done = on_done
        self.done = False
        self.revoked = False
        """Its assignment has ended: a batch not yet begun must not be handled any more, even
        where this worker was given the same partition again."""

    def finish(self) -> None:
        """Everything that this batch caused has been acknowledged."""
        if not self.done:
            self.done = True
            if self._on_done is not None:
                self._on_done()


class _Queue:
    """Deliveries of one partition in order, and how many of them are not done."""

    __slots__ = ("_on_rest", "deliveries", "undone")

    def __init__(self, on_rest: Callable[[], None]) -> None:
        self.deliveries: deque[Delivery] = deque()
        self.undone = 0
        self._on_rest = on_rest

    def add(self, last_offset: int) -> Delivery:
        delivery = Delivery(last_offset, self._done)
        self.deliveries.append(delivery)
        self.undone += 1
        return delivery

    def _done(self) -> None:
        self.undone -= 1
        if not self.undone:
            self._on_rest()


class OffsetTracker:
    """First in, first out, per partition.

    Deliveries are objects: one that belongs to an earlier assignment of the partition can be
    finished late without any effect on what was delivered again since.
    """

    def __init__(self, on_rest: Callable[[], None] = lambda: None) -> None:
        """`on_rest` is called when all deliveries of a partition are finished."""
        self._on_rest = on_rest
        self._queues: dict[object, _Queue] = {}

    def deliver(self, partition: object, last_offset: int) -> Delivery:
        """Note a delivery that ends with `last_offset` (greater than all before)."""
        queue = self._queues.get(partition)
        if queue is None:
            queue = self._queues[partition] = _Queue(self._on_rest)
        return queue.add(last_offset)

    def committable(self, partition: object) -> int | None:
        """Next offset to read after the finished head of the queue; None if nothing is new.

        What is reported is forgotten: a caller whose commit fails waits for the next one, which
        reports a later offset, or re-reads the partition after a rebalance.
        """
        queue = self._queues.get(partition)
        offset = None
        while queue and queue.deliveries and queue.deliveries[0].done:
            offset = queue.deliveries.popleft().last_offset + 1
        return offset

    def partitions(self) -> list[object]:
        """Partitions that have deliveries."""
        return [partition for partition, queue in self._queues.items() if queue.deliveries]

    def drop(self, partition: object) -> None:
        """Forget a partition: it was revoked, or is read again from its committed offset."""
        queue = self._queues.pop(partition, None)
        for delivery in queue.deliveries if queue is not None else ():
            delivery.revoked = True

    def pending(self) -> int:
        """Deliveries not yet finished, over all partitions."""
        return sum(queue.undone for queue in self._queues.values())
