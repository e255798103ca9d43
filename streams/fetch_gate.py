"""Fetch gate: the worker asks Kafka for more clicks when it has time for them.

Kafka answers a fetch as soon as there is one record. A worker that asks while what it has is on its
way to an idle engine is told of the next clicks one by one. Each answer costs half a millisecond of
the event loop with all that belongs to it: to be read, parsed, handed to the agents and folded. And
what it brings waits for the next batch all the same. So the gate is closed from the moment at which
users wait for an idle engine until their lists are on their way, and one answer then has all that
came meanwhile.

While a thread or a device computes scores the gate is open: the event loop has time then.
"""

import asyncio
from typing import Any


class FetchGate:
    """Open or closed; whoever closes it opens it, whatever happens in between."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._opened.set()

    @property
    def is_open(self) -> bool:
        """Whether a fetch may leave."""
        return self._opened.is_set()

    def close(self) -> None:
        """Have fetches wait from now on; what is under way goes on."""
        self._opened.clear()

    def open(self) -> None:
        """Let them go, in the next pass of the event loop."""
        self._opened.set()

    async def passage(self) -> None:
        """Wait until it is open."""
        await self._opened.wait()


def hold_back(fetcher: Any, gate: FetchGate) -> None:
    """Have the fetches of a consumer leave when the gate is open."""
    fetch = fetcher._proc_fetch_request

    async def fetching(*args: Any) -> Any:
        await gate.passage()
        return await fetch(*args)

    fetcher._proc_fetch_request = fetching
