"""Side by side: work of several partitions at once, that of one partition in order."""

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

Work = Callable[[], Coroutine[Any, Any, None]]


class SideBySide:
    """A queue for each partition, and a task for it as long as something is in it."""

    def __init__(self, spawn: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        """`spawn`: begins a task, and sees to what it raises."""
        self._spawn = spawn
        self._queues: dict[int, deque[Work]] = {}

    def is_idle(self, partition: int) -> bool:
        """Whether nothing of a partition is waiting or under way."""
        return partition not in self._queues

    def add(self, partition: int, work: Work) -> None:
        """Do this after what was added of the partition before."""
        queue = self._queues.get(partition)
        if queue is not None:
            queue.append(work)
            return
        self._queues[partition] = deque((work,))
        self._spawn(self._run(partition))

    async def _run(self, partition: int) -> None:
        queue = self._queues[partition]
        try:
            while queue:
                await queue[0]()
                queue.popleft()
        finally:
            del self._queues[partition]
