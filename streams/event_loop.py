"""Event loop: which kind a worker uses."""

import asyncio

from streams.lost_connections import notice_lost_connections


def new_event_loop() -> asyncio.AbstractEventLoop:
    """One of uvloop where there is uvloop, which there is not for Windows."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    notice_lost_connections()
    return uvloop.new_event_loop()


def runner() -> asyncio.Runner:
    """A runner of a loop of this kind, to be used as a context."""
    return asyncio.Runner(loop_factory=new_event_loop)
