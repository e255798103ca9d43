"""Work of several partitions at once, that of one partition in order."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from streams.side_by_side import SideBySide


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
