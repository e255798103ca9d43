"""Rounds of a partition begin as far apart as they cost, within two bounds."""

import asyncio

import pytest

from streams.rounds import Rounds


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
