"""Batcher: who is too late for the engine gets a list without it, and only they do."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.streams.batcher_bench import Bench
from tests.streams.shell_fakes import NOW_MS, until

DEADLINE_MS = 30_000


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """With a deadline that no list misses by the time that a busy machine takes."""
    async with Bench(list_deadline_seconds=DEADLINE_MS / 1000) as bench:
        yield bench


@pytest.fixture
async def hasty() -> AsyncIterator[Bench]:
    """With a deadline that a test can wait for."""
    async with Bench(list_deadline_seconds=0.05) as bench:
        yield bench


async def test_an_engine_that_hangs_stops_no_list_and_is_used_again_when_it_comes_back(
    hasty: Bench,
) -> None:
    hasty.scorer.go_on.clear()
    hasty.start(with_model=True)
    first = hasty.clicks(u1=1)
    await until(lambda: hasty.scorer.runs == 1)
    second = hasty.clicks(u2=2)
    await first.published()
    await second.published()
    assert hasty.scorer.runs == 1
    assert [entry and entry["degraded_reason"] for entry in hasty.lists] == ["deadline"] * 2
    hasty.scorer.go_on.set()
    await until(hasty.batcher._inference.free.is_set)
    served_by = "graph"
    offset = 3
    async with asyncio.timeout(20):  # a busy machine may miss so near a deadline once or twice
        while served_by == "graph":
            await hasty.clicks(u1=offset).published()
            last = hasty.lists[-1]
            assert last is not None
            served_by = last["served_by"]
            offset += 1
    assert (last["served_by"], last["degraded_reason"]) == ("bert+graph", None)


async def test_who_waited_longer_than_the_deadline_is_served_without_the_engine(
    hasty: Bench,
) -> None:
    ticket = hasty.clicks(u1=1)
    await asyncio.sleep(0.06)
    hasty.start(with_model=True)
    await ticket.published()
    assert hasty.scorer.runs == 0
    assert [entry and entry["degraded_reason"] for entry in hasty.lists] == ["deadline"]


async def test_the_time_that_a_click_waited_in_kafka_counts(bench: Bench) -> None:
    bench.start(with_model=True)
    long_ago_ms = NOW_MS - 10 * DEADLINE_MS
    await bench.clicks_of(NOW_MS - DEADLINE_MS - 10, long_ago_ms, u1=1).published()
    assert bench.scorer.runs == 0
    await bench.clicks_of(NOW_MS - 10, long_ago_ms, u1=2).published()
    assert [entry and entry["degraded_reason"] for entry in bench.lists] == ["deadline", None]


async def test_a_click_of_a_slow_clock_is_new_to_a_worker_that_keeps_up(bench: Bench) -> None:
    hour_ms = 3_600_000
    bench.start(with_model=True)
    await bench.clicks_of(NOW_MS - hour_ms, NOW_MS - 10, u1=1).published()
    await bench.clicks_of(NOW_MS + hour_ms, NOW_MS - 10, u1=2).published()
    assert [entry and entry["degraded_reason"] for entry in bench.lists] == [None, None]


async def test_old_clicks_get_graph_lists_until_their_partition_is_read_to_its_end(
    bench: Bench,
) -> None:
    year_ms = 365 * 86_400_000
    bench.start(with_model=True)
    await bench.clicks_of(NOW_MS - year_ms, None, u1=1).published()
    await bench.clicks_of(NOW_MS - year_ms, NOW_MS - 5, u1=2).published()
    assert [entry and entry["degraded_reason"] for entry in bench.lists] == ["deadline", None]


async def test_a_user_who_waits_is_as_late_as_their_oldest_click(bench: Bench) -> None:
    first = bench.clicks_of(NOW_MS - DEADLINE_MS - 10, None, u1=1)
    second = bench.clicks_of(NOW_MS, NOW_MS, u1=2)
    bench.start(with_model=True)
    await first.published()
    await second.published()
    assert bench.triggers == [("u1", 2)]
    assert [entry and entry["degraded_reason"] for entry in bench.lists] == ["deadline"]
