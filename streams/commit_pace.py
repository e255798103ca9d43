"""Commit pace: when offsets are committed.

Never further apart than the interval set, and sooner where a partition comes to rest, so that a
worker that is killed while it keeps up has little to do again. A worker that is behind has always
something under way and commits at the interval, as seldom as that allows.
"""

import asyncio
from collections.abc import Awaitable, Callable

_SOONEST_SHARE = 0.2
"""Of the interval, that passes between two commits at least."""


class CommitPace:
    """Tells when the next commit is due."""

    def __init__(
        self,
        interval_seconds: float,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._interval_seconds = interval_seconds
        self._sleep = sleep
        self._rested = asyncio.Event()

    def rest(self) -> None:
        """Everything that was delivered of a partition is done."""
        self._rested.set()

    async def due(self) -> None:
        """Wait until the next commit is due."""
        soonest_seconds = self._interval_seconds * _SOONEST_SHARE
        await self._sleep(soonest_seconds)
        try:
            async with asyncio.timeout(self._interval_seconds - soonest_seconds):
                await self._rested.wait()
        except TimeoutError:
            return
        self._rested.clear()
