"""Other loop: work in the event loop of another thread, awaited in this one's.

As `wrap_future(run_coroutine_threadsafe(...))`, which makes two futures more, each with a lock that
is taken several times, and chains them. That is worth leaving out where it is done for every fetch.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def run_in(other: asyncio.AbstractEventLoop, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What `work` returns or raises there; whoever is cancelled here cancels it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    tasks: list[asyncio.Task[T]] = []

    def begin() -> None:
        task = other.create_task(work())
        tasks.append(task)
        task.add_done_callback(tell)

    def tell(_task: object) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(wake)

    def wake() -> None:
        if not done.done():
            done.set_result(None)

    def cancel() -> None:
        for task in tasks:
            task.cancel()

    other.call_soon_threadsafe(begin)
    try:
        await done
    except asyncio.CancelledError:
        if not other.is_closed():
            other.call_soon_threadsafe(cancel)
        raise
    (task,) = tasks
    return task.result()
