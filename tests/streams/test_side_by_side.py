"""Work of several partitions at once, that of one partition in order."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from streams.side_by_side import SideBySide
from streams.worker import Worker


class Steps:
    """Work that notes when it begins and goes on when it is let."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.tasks: list[asyncio.Task[None]] = []

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))

    def work(self, name: str) -> Callable[[], Coroutine[Any, Any, None]]:
        self.gates[name] = asyncio.Event()
        return partial(self._do, name)

    async def _do(self, name: str) -> None:
        self.begun.append(name)
        await self.gates[name].wait()

    async def let(self, *names: str) -> None:
        for name in names:
            self.gates[name].set()
        for _ in range(5):
            await asyncio.sleep(0)


async def test_a_partition_that_waits_holds_up_no_other_and_keeps_its_order() -> None:
    steps = Steps()
    queues = SideBySide(steps.spawn)
    for partition, name in ((0, "a1"), (0, "a2"), (1, "b1"), (0, "a3")):
        queues.add(partition, steps.work(name))
    await steps.let()
    assert steps.begun == ["a1", "b1"]
    await steps.let("a1")
    assert steps.begun == ["a1", "b1", "a2"]
    await steps.let("a2", "a3")
    assert steps.begun == ["a1", "b1", "a2", "a3"]
    assert queues.is_idle(0)
    assert not queues.is_idle(1)
    await steps.let("b1")
    assert queues.is_idle(1)


async def test_what_comes_after_a_partition_was_idle_is_done_too() -> None:
    steps = Steps()
    queues = SideBySide(steps.spawn)
    queues.add(0, steps.work("a1"))
    await steps.let("a1")
    queues.add(0, steps.work("a2"))
    await steps.let("a2")
    assert steps.begun == ["a1", "a2"]
    assert queues.is_idle(0)


async def test_work_that_fails_is_told_to_whoever_spawned_it() -> None:
    steps = Steps()
    queues = SideBySide(steps.spawn)

    async def fail() -> None:
        raise ValueError("damaged")

    queues.add(0, fail)
    with pytest.raises(ValueError, match="damaged"):
        await steps.tasks[0]
    assert queues.is_idle(0)


class Clicks:
    """As much of a worker as takes clicks, with one slot for each of two partitions."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.steps = Steps()
        self.owned = {number: self._partition() for number in (0, 1)}
        self.worker: Any = SimpleNamespace(
            owned=self.owned,
            clicks=SimpleNamespace(free=self._free),
            _waiting_clicks=SideBySide(self.steps.spawn),
            _take_clicks=self._take,
        )
        self.worker._take_clicks_when_free = partial(Worker._take_clicks_when_free, self.worker)

    @staticmethod
    def _partition() -> Any:
        slots = asyncio.Semaphore(1)
        return SimpleNamespace(slots=slots, is_free=True)

    @staticmethod
    async def _free(partition: Any) -> None:
        async with partition.slots:
            pass

    async def _take(self, _message: Any, records: list[str]) -> None:
        self.taken += records

    async def occupy(self, number: int) -> None:
        await self.owned[number].slots.acquire()
        self.owned[number].is_free = False

    def release(self, number: int) -> None:
        self.owned[number].slots.release()
        self.owned[number].is_free = True

    async def deliver(self, number: int, records: list[str], *, revoked: bool = False) -> None:
        message = SimpleNamespace(partition=number, delivery=SimpleNamespace(revoked=revoked))
        await Worker.on_clicks(cast("Worker", self.worker), message, records)
        await self.steps.let()


async def test_a_worker_takes_clicks_of_a_free_partition_at_once() -> None:
    clicks = Clicks()
    await clicks.deliver(0, ["one"])
    assert clicks.taken == ["one"]
    assert not clicks.steps.tasks


async def test_clicks_that_wait_for_their_partition_hold_up_no_other_and_grow_meanwhile() -> None:
    clicks = Clicks()
    await clicks.occupy(0)
    waiting = ["one"]
    await clicks.deliver(0, waiting)
    await clicks.deliver(1, ["other"])
    waiting.append("two")
    assert clicks.taken == ["other"]
    clicks.release(0)
    await clicks.steps.let()
    assert clicks.taken == ["other", "one", "two"]


async def test_clicks_do_not_pass_earlier_ones_that_wait() -> None:
    clicks = Clicks()
    await clicks.occupy(0)
    await clicks.deliver(0, ["first"])
    clicks.owned[0].is_free = True  # seen free before the first has gone on
    await clicks.deliver(0, ["second"])
    assert clicks.taken == []
    clicks.release(0)
    await clicks.steps.let()
    assert clicks.taken == ["first", "second"]


async def test_clicks_of_an_assignment_that_has_ended_wait_for_nothing() -> None:
    clicks = Clicks()
    await clicks.occupy(0)
    await clicks.deliver(0, ["old"], revoked=True)
    assert clicks.taken == ["old"]  # where the real worker looks at the delivery, and passes over
