"""Rounds: how often something is done for a partition that gains by doing much at once.

The graph is folded in rounds. Each costs a send, an acknowledgement and a write to the store,
however little it folds, and no list waits for it: a click's own list is made from the graph before.
While a round is not due, what comes is added to its batch; one that lasts longer than the interval
is followed at once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable


class Rounds:
    """Lets the rounds of each partition begin at least an interval apart."""

    def __init__(
        self,
        interval_seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`clock`: monotonic seconds."""
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._sleep = sleep
        self._due: dict[int, float] = {}

    async def begin(self, partition: int) -> None:
        """Wait until a round of the partition is due, and begin it."""
        left = self._due.get(partition, 0.0) - self._clock()
        if left > 0.0:
            await self._sleep(left)
        self._due[partition] = self._clock() + self._interval_seconds
