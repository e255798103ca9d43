"""Stopwatch: every moment of a thread belongs to the innermost stage that runs, and to no other."""

import asyncio
import threading

import pytest

from streams.bench.stopwatch import Stopwatch


class Clock:
    """Nanoseconds that pass when somebody works."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def work(self, seconds: float) -> None:
        self.now += round(seconds * 1e9)


class Kitchen:
    """What is timed here."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def cook(self) -> str:
        self.clock.work(1.0)
        self.chop()
        self.clock.work(2.0)
        return "soup"

    def chop(self) -> None:
        self.clock.work(4.0)

    async def serve(self, bell: "asyncio.Future[str]") -> str:
        self.clock.work(8.0)
        try:
            table = await bell
        except LookupError:
            self.clock.work(16.0)
            raise
        self.chop()
        self.clock.work(32.0)
        return table


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stopwatch(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    for name in ("cook", "chop", "serve"):  # put back afterwards
        monkeypatch.setattr(Kitchen, name, getattr(Kitchen, name))
    made = Stopwatch(clock)
    made.watch("stove", Kitchen, ["cook"])
    made.watch("board", Kitchen, ["chop"])
    made.watch("hall", Kitchen, ["serve"])
    return made


async def begun(clock: Clock) -> "tuple[asyncio.Future[str], asyncio.Task[str]]":
    """Somebody who serves and waits, and the bell they wait for."""
    bell: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(Kitchen(clock).serve(bell))
    await asyncio.sleep(0)
    return bell, serving


def test_what_a_stage_has_another_do_is_the_others(clock: Clock, stopwatch: Stopwatch) -> None:
    assert Kitchen(clock).cook() == "soup"
    assert stopwatch.seconds == {"stove": 3.0, "board": 4.0, "hall": 0.0}
    Kitchen(clock).chop()
    assert stopwatch.seconds == {"stove": 3.0, "board": 8.0, "hall": 0.0}


async def test_of_a_coroutine_its_steps_count_and_not_what_it_waits_for(
    clock: Clock, stopwatch: Stopwatch
) -> None:
    bell, served = await begun(clock)
    assert stopwatch.seconds["hall"] == 8.0
    clock.work(100.0)
    bell.set_result("table 7")
    assert await served == "table 7"
    assert stopwatch.seconds == {"stove": 0.0, "board": 4.0, "hall": 40.0}


async def test_errors_pass_through_and_the_time_until_them_counts(
    clock: Clock, stopwatch: Stopwatch
) -> None:
    bell, served = await begun(clock)
    bell.set_exception(LookupError("no such table"))
    with pytest.raises(LookupError, match="no such table"):
        await served
    assert stopwatch.seconds["hall"] == 24.0

    _, waiting = await begun(clock)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert stopwatch.seconds["hall"] == 32.0


def test_what_runs_in_another_thread_is_not_counted(clock: Clock, stopwatch: Stopwatch) -> None:
    async def served() -> None:
        bell, serving = await begun(clock)
        bell.set_result("table 7")
        await serving

    for work in (Kitchen(clock).cook, lambda: asyncio.run(served())):
        other = threading.Thread(target=work)
        other.start()
        other.join()
    assert clock.now == 51e9
    assert stopwatch.seconds == {"stove": 0.0, "board": 0.0, "hall": 0.0}
