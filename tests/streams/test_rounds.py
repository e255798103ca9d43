"""Rounds of a partition begin an interval apart, and never wait longer than that."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from streams.rounds import Rounds
from streams.worker import Worker


class Time:
    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now += seconds


def begun(steps: list[tuple[int, float]]) -> list[float]:
    """What was waited for rounds of (partition, seconds that the one before took)."""
    time = Time()
    rounds = Rounds(0.05, clock=lambda: time.now, sleep=time.sleep)

    async def run() -> None:
        for partition, seconds in steps:
            time.now += seconds
            await rounds.begin(partition)

    asyncio.run(run())
    return time.slept


def test_the_first_round_begins_at_once() -> None:
    assert begun([(0, 0.0)]) == []


def test_a_round_waits_for_the_rest_of_the_interval_since_the_one_before_began() -> None:
    assert begun([(0, 0.0), (0, 0.01), (0, 0.0)]) == [0.04, 0.05]


def test_a_round_that_took_longer_is_followed_at_once() -> None:
    assert begun([(0, 0.0), (0, 0.05), (0, 0.2)]) == []


def test_partitions_share_one_wait() -> None:
    assert begun([(0, 0.0), (1, 0.0), (2, 0.0), (0, 0.01), (1, 0.0), (2, 0.0)]) == [0.04]


async def test_a_worker_takes_transitions_when_their_round_is_due_and_not_before() -> None:
    steps: list[str] = []

    async def begin(partition: int) -> None:
        steps.append(f"round of {partition}")

    worker: Any = SimpleNamespace(
        _graph_rounds=SimpleNamespace(begin=begin), _taker_of=lambda _: steps.append("taken")
    )
    await Worker.on_transitions(cast("Worker", worker), SimpleNamespace(partition=3), [])
    assert steps == ["round of 3", "taken"]
