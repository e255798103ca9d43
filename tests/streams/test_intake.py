"""Intake: a batch is taken when its partition is ready, and no other waits for that."""

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest

from streams.intake import Intake


class FakePartition:
    """One slot for batches of clicks."""

    def __init__(self) -> None:
        self.slots = asyncio.Semaphore(1)

    @property
    def is_free(self) -> bool:
        return not self.slots.locked()


class FakeRounds:
    """Rounds that are due at once, and tell what is asked of them."""

    def __init__(self) -> None:
        self.steps: list[object] = []
        self.while_due: Callable[[Callable[[], bool]], None] = lambda _: None

    async def due(self, partition: int, is_large: Callable[[], bool]) -> None:
        self.steps.append(f"due {partition}")
        self.while_due(is_large)

    def begin(self, partition: int) -> None:
        self.steps.append(f"begun {partition}")

    def end(self, partition: int, partitions: int) -> None:
        self.steps.append(f"ended {partition} of {partitions}")


class Bench:
    """An intake of two partitions, between messages and agents that are made up."""

    def __init__(self) -> None:
        self.owned = {number: FakePartition() for number in (0, 1)}
        self.handled: list[str] = []
        self.failures: list[BaseException] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.rounds = FakeRounds()
        self.error: Exception | None = None
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.intake = Intake(
            cast("Any", SimpleNamespace(free=self._free, handle=self._clicks)),
            cast("Any", SimpleNamespace(handle=self._transitions)),
            cast("Any", SimpleNamespace(take=self._turn)),
            owned=lambda: cast("Any", self.owned),
            spawn=self._spawn,
            fail=self.failures.append,
            rounds=cast("Any", self.rounds),
        )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))

    async def _turn(self) -> None:
        self.rounds.steps.append("turn")

    async def _free(self, partition: FakePartition) -> None:
        async with partition.slots:
            pass

    async def _clicks(
        self, _partition: object, _topic: str, records: list[str], *_: object, **__: object
    ) -> None:
        if self.error is not None:
            raise self.error
        self.handled += records
        await self.go_on.wait()

    async def _transitions(self, _partition: object, records: list[str], _: object) -> None:
        self.rounds.steps.append("handled")
        await self._clicks(None, "", records)

    def message(self, number: int, *, revoked: bool = False) -> Any:
        return SimpleNamespace(
            partition=number,
            topic="clicks",
            read_to_end_ms=None,
            delivery=SimpleNamespace(revoked=revoked),
            take=lambda: self.rounds.steps.append(f"taken {number}"),
        )

    async def clicks(self, number: int, records: list[str], *, revoked: bool = False) -> None:
        await self.intake.on_clicks(self.message(number, revoked=revoked), records)
        await self.pass_on()

    async def pass_on(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


async def test_clicks_of_a_free_partition_are_taken_at_once() -> None:
    bench = Bench()
    await bench.clicks(0, ["one"])
    assert bench.handled == ["one"]
    assert not bench.tasks


async def test_clicks_that_wait_for_their_partition_hold_up_no_other_and_grow_meanwhile() -> None:
    bench = Bench()
    await bench.owned[0].slots.acquire()
    waiting = ["one"]
    await bench.clicks(0, waiting)
    await bench.clicks(1, ["other"])
    assert bench.handled == ["other"]
    assert bench.rounds.steps == ["taken 1"]
    waiting.append("two")
    bench.owned[0].slots.release()
    await bench.pass_on()
    assert bench.handled == ["other", "one", "two"]
    assert bench.rounds.steps == ["taken 1", "taken 0"]


async def test_clicks_do_not_pass_earlier_ones_that_wait() -> None:
    bench = Bench()
    await bench.owned[0].slots.acquire()
    await bench.clicks(0, ["first"])
    bench.owned[0].slots.release()  # free again before the first has gone on
    await bench.intake.on_clicks(bench.message(0), ["second"])
    assert bench.handled == []
    await bench.pass_on()
    assert bench.handled == ["first", "second"]


async def test_clicks_do_not_pass_earlier_ones_behind_a_batch_that_is_being_taken() -> None:
    bench = Bench()
    await bench.owned[0].slots.acquire()
    await bench.clicks(0, ["first"])
    await bench.clicks(0, ["second"])
    bench.go_on.clear()
    bench.owned[0].slots.release()
    await bench.pass_on()
    assert bench.handled == ["first"]
    # The partition is free, and the second still waits.
    await asyncio.wait_for(bench.clicks(0, ["third"]), 5)
    bench.go_on.set()
    await bench.pass_on()
    assert bench.handled == ["first", "second", "third"]


async def test_clicks_of_an_assignment_that_has_ended_wait_for_nothing_and_are_passed_over() -> (
    None
):
    bench = Bench()
    await bench.owned[0].slots.acquire()
    await bench.clicks(0, ["old"], revoked=True)
    assert bench.rounds.steps == ["taken 0"]
    assert bench.handled == []


async def test_clicks_of_a_partition_that_is_not_ours_are_passed_over() -> None:
    bench = Bench()
    await bench.clicks(7, ["stray"])
    assert bench.rounds.steps == ["taken 7"]
    assert bench.handled == []


@pytest.mark.parametrize("waiting", [False, True])
async def test_what_an_agent_raises_ends_the_process(*, waiting: bool) -> None:
    bench = Bench()
    bench.error = ValueError("of another version")
    if waiting:
        await bench.owned[0].slots.acquire()
        await bench.clicks(0, ["one"])
        bench.owned[0].slots.release()
        with pytest.raises(ValueError, match="another version"):
            await bench.tasks[0]
    else:
        with pytest.raises(ValueError, match="another version"):
            await bench.clicks(0, ["one"])
    assert bench.failures == [bench.error]


async def test_transitions_are_taken_when_their_round_is_due_and_not_before() -> None:
    bench = Bench()
    message = bench.message(1)
    large: list[bool] = []

    def grow(is_large: Callable[[], bool]) -> None:
        for size_bytes in (10, 1_000_000):
            message.size_bytes = size_bytes
            large.append(is_large())

    bench.rounds.while_due = grow
    await bench.intake.on_transitions(message, ["edge"])
    # What comes while it waits for its turn is still added to the batch, and the wait is no work.
    steps = ["due 1", "turn", "begun 1", "taken 1", "handled", "ended 1 of 2"]
    assert bench.rounds.steps == steps
    assert large == [False, True]
    assert bench.handled == ["edge"]
