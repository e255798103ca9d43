"""Rounds: how often something is done for a partition that gains by doing much at once.

The graph is folded in rounds. Each costs a send, an acknowledgement and a write to the store, and
an item that many clicks touch is stored once a round; no list waits for it: a click's own list is
made from the graph before. So rounds are rare enough that they leave the event loop to the lists,
and never further apart than a bound. While a round is not due, what comes is added to its batch;
a batch that has become large is taken at once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable


class Rounds:
    """Lets the rounds of each partition begin as far apart as their cost asks for."""

    def __init__(
        self,
        shortest_seconds: float,
        longest_seconds: float,
        share: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`share`: of the time that the rounds of all partitions may take, where
        `longest_seconds` between two of one partition allow. `clock`: monotonic seconds.
        """
        self._shortest_seconds = shortest_seconds
        self._longest_seconds = longest_seconds
        self._share = share
        self._clock = clock
        self._sleep = sleep
        self._began: dict[int, float] = {}
        self._due: dict[int, float] = {}

    async def due(self, partition: int, is_large: Callable[[], bool]) -> None:
        """Wait until a round of the partition is due, or its batch large."""
        due = self._due.get(partition, 0.0)
        while (left := due - self._clock()) > 0.0 and not is_large():
            await self._sleep(min(left, self._shortest_seconds))

    def begin(self, partition: int) -> None:
        """A round of the partition begins."""
        self._began[partition] = now = self._clock()
        self._due[partition] = now + self._shortest_seconds

    def end(self, partition: int, partitions: int) -> None:
        """The round of a partition, one of so many, is done: set when the next is due."""
        began = self._began[partition]
        wanted = (self._clock() - began) * partitions / self._share
        self._due[partition] = began + min(
            max(self._shortest_seconds, wanted), self._longest_seconds
        )
