"""Work in another thread's loop is awaited like work of one's own."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from streams.other_loop import run_in


@pytest.fixture
def other() -> Iterator[asyncio.AbstractEventLoop]:
    """The loop of another thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


async def test_it_is_done_in_the_other_thread_and_answered_here(
    other: asyncio.AbstractEventLoop,
) -> None:
    async def work() -> tuple[int, object]:
        await asyncio.sleep(0)
        return threading.get_ident(), asyncio.get_running_loop()

    thread, loop = await asyncio.wait_for(run_in(other, work), 10)
    assert thread != threading.get_ident()
    assert loop is other


async def test_what_it_raises_is_raised_here(other: asyncio.AbstractEventLoop) -> None:
    async def work() -> None:
        raise LookupError("no leader")

    with pytest.raises(LookupError, match="no leader"):
        await asyncio.wait_for(run_in(other, work), 10)


async def test_who_stops_waiting_stops_the_work(other: asyncio.AbstractEventLoop) -> None:
    began, stopped = threading.Event(), threading.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    waiting = asyncio.create_task(run_in(other, work))
    assert await asyncio.to_thread(began.wait, 10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.to_thread(stopped.wait, 10)


async def test_work_that_was_cancelled_before_it_began_never_begins(
    other: asyncio.AbstractEventLoop,
) -> None:
    held, began = threading.Event(), threading.Event()

    async def work() -> None:
        began.set()

    async def passes() -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    other.call_soon_threadsafe(held.wait, 10)
    waiting = asyncio.create_task(run_in(other, work))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    held.set()
    after = asyncio.run_coroutine_threadsafe(passes(), other)
    await asyncio.wait_for(asyncio.wrap_future(after), 10)
    assert not began.is_set()


async def test_a_loop_that_is_closed_is_an_error() -> None:
    closed = asyncio.new_event_loop()
    closed.close()
    with pytest.raises(RuntimeError, match="closed"):
        await run_in(closed, lambda: asyncio.sleep(0))
