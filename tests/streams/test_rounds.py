"""Rounds of a partition begin as far apart as they cost, within two bounds."""

import asyncio
import contextlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from streams.rounds import Rounds
from streams.worker import Worker


class Time:
    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now += seconds


def begun(
    steps: list[tuple[int, float, float]], *, partitions: int = 1, large_after: int = 1_000_000
) -> list[float]:
    """What was slept for rounds of (partition, seconds before it, seconds that it took)."""
    time = Time()
    rounds = Rounds(0.05, 0.4, 0.1, clock=lambda: time.now, sleep=time.sleep)

    async def run() -> None:
        for partition, before, seconds in steps:
            time.now += before
            await rounds.due(partition, lambda: len(time.slept) >= large_after)
            rounds.begin(partition)
            time.now += seconds
            rounds.end(partition, partitions)

    asyncio.run(run())
    return time.slept


def test_the_first_round_begins_at_once() -> None:
    assert begun([(0, 0.0, 0.0)]) == []


def test_cheap_rounds_begin_the_shortest_interval_apart() -> None:
    assert begun([(0, 0.0, 0.001), (0, 0.009, 0.0), (0, 0.0, 0.0)]) == [0.04, 0.05]


def test_rounds_take_no_more_than_their_share_of_the_time() -> None:
    # 10 ms are a tenth of 100 ms, which it looks at twice.
    assert begun([(0, 0.0, 0.01), (0, 0.0, 0.0)]) == [0.05, 0.04]
    # Two partitions have half of that each.
    assert sum(begun([(0, 0.0, 0.01), (0, 0.0, 0.0)], partitions=2)) == pytest.approx(0.19)


def test_rounds_are_no_further_apart_than_the_longest_interval() -> None:
    assert sum(begun([(0, 0.0, 0.1), (0, 0.0, 0.0)])) == pytest.approx(0.3)
    assert begun([(0, 0.0, 0.5), (0, 0.0, 0.0)]) == []


def test_a_batch_that_has_become_large_is_not_left_waiting() -> None:
    assert begun([(0, 0.0, 0.03), (0, 0.0, 0.0)], large_after=2) == [0.05, 0.05]


def test_partitions_share_one_wait() -> None:
    steps = [(0, 0.0, 0.0), (1, 0.0, 0.0), (2, 0.0, 0.0), (0, 0.01, 0.0), (1, 0.0, 0.0)]
    assert begun(steps) == [0.04]


async def test_a_worker_takes_transitions_when_their_round_is_due_and_not_before() -> None:
    steps: list[object] = []

    async def due(partition: int, is_large: Callable[[], bool]) -> None:
        steps.append(f"round of {partition}")
        message.size_bytes = 10
        steps.append(is_large())
        message.size_bytes = 1_000_000
        steps.append(is_large())

    async def turn() -> None:
        steps.append("turn")

    message = SimpleNamespace(partition=3)
    worker: Any = SimpleNamespace(
        _graph_rounds=SimpleNamespace(due=due, begin=lambda _: steps.append("begun")),
        _turns=SimpleNamespace(take=turn),
        _taker_of=lambda _: steps.append("taken"),
    )
    await Worker.on_transitions(cast("Worker", worker), message, [])
    # What comes while it waits for its turn is still added to the batch, and the wait is no work.
    assert steps == ["round of 3", False, True, "turn", "begun", "taken"]


async def test_a_worker_tells_what_a_round_took_of_how_many_partitions() -> None:
    ended: list[tuple[int, int]] = []

    async def nothing(*_: object) -> None:
        """Is due, or handles, at once."""

    worker: Any = SimpleNamespace(
        _graph_rounds=SimpleNamespace(
            due=nothing,
            begin=lambda _: None,
            end=lambda partition, of: ended.append((partition, of)),
        ),
        _turns=SimpleNamespace(take=nothing),
        _taker_of=lambda _: "a partition",
        _fatal=contextlib.nullcontext,
        graph=SimpleNamespace(handle=nothing),
        owned={3: None, 5: None},
    )
    message = SimpleNamespace(partition=3, delivery=None)
    await Worker.on_transitions(cast("Worker", worker), message, [])
    assert ended == [(3, 2)]
