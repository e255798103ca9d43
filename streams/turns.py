"""Turns: what keeps the event loop for long is done one at a time, and with room in between.

The loop runs what is ready in the order in which it became so. A click passes a dozen short steps
on its way to a list (out of the client, to the agent, to the queue, into the engine, to
the sender), and at each it waits for everything that was ready before it. With a ranking, a message
and a fold in every pass of the loop, a click with three milliseconds of work took twenty to thirty.
So a long step waits for its turn: some passes in which only short ones run.
"""

import asyncio

_PASSES = 4


class Turns:
    """Shared by all long steps of one event loop; first come, first served, but for those that
    others wait for already.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._urgent = 0

    async def take(self) -> None:
        """Wait for a turn. It lasts until the caller next waits for anything."""
        async with self._lock:
            passes = 0
            while passes < _PASSES:
                await asyncio.sleep(0)
                passes = 0 if self._urgent else passes + 1

    async def take_first(self) -> None:
        """Wait for a turn before all who `take` one: what is nearly done goes before what begins.
        One at a time.
        """
        self._urgent += 1
        try:
            for _ in range(_PASSES):
                await asyncio.sleep(0)
        finally:
            self._urgent -= 1
