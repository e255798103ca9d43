"""Commits: soon after a partition came to rest, never too often, never too seldom."""

import asyncio
import time

from streams.commit_pace import CommitPace


class Clock:
    """Sleeps that end at once, and how long they were to be."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def test_a_partition_at_rest_is_committed_after_a_fifth_of_the_interval() -> None:
    clock = Clock()
    pace = CommitPace(50.0, sleep=clock.sleep)
    pace.rest()
    await asyncio.wait_for(pace.due(), 5.0)
    assert clock.slept == [10.0]


async def test_a_rest_asks_for_one_commit() -> None:
    clock = Clock()
    pace = CommitPace(50.0, sleep=clock.sleep)
    pace.rest()
    await asyncio.wait_for(pace.due(), 5.0)
    due = asyncio.create_task(pace.due())
    await asyncio.sleep(0.05)
    assert not due.done()
    pace.rest()
    await asyncio.wait_for(due, 5.0)
    assert clock.slept == [10.0, 10.0]


async def test_without_a_rest_commits_are_an_interval_apart() -> None:
    began = time.monotonic()
    await asyncio.wait_for(CommitPace(0.1).due(), 5.0)
    assert time.monotonic() - began >= 0.1 * 0.99
