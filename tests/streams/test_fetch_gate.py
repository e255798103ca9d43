"""Fetch gate: no more clicks are asked for while those at hand are on their way to lists."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from streams.effects import Change
from streams.fetch_gate import FetchGate, hold_back
from streams.window import Window
from streams.worker import Worker
from tests.streams.batcher_bench import Bench
from tests.streams.shell_fakes import make_partition, make_settings, settle_down, until


class Fetcher:
    """Notes which requests leave."""

    def __init__(self) -> None:
        self.left: list[str] = []

    async def _proc_fetch_request(self, assignment: str, node_id: int, request: str) -> str:
        self.left.append(f"{request} to {node_id} under {assignment}")
        return "records"


async def test_a_fetch_waits_for_the_gate_and_is_then_made_as_it_was_asked_for() -> None:
    fetcher: Any = Fetcher()
    gate = FetchGate()
    hold_back(fetcher, gate)
    assert await fetcher._proc_fetch_request("a", 1, "first") == "records"
    gate.close()
    second = asyncio.create_task(fetcher._proc_fetch_request("a", 1, "second"))
    await settle_down()
    assert fetcher.left == ["first to 1 under a"]
    gate.open()
    assert await asyncio.wait_for(second, 5) == "records"
    assert fetcher.left[1:] == ["second to 1 under a"]


async def test_a_fetch_that_waits_for_the_gate_can_be_cancelled() -> None:
    fetcher: Any = Fetcher()
    gate = FetchGate()
    hold_back(fetcher, gate)
    gate.close()
    fetch = asyncio.create_task(fetcher._proc_fetch_request("a", 1, "request"))
    await settle_down()
    fetch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetch
    gate.open()
    await settle_down()
    assert fetcher.left == []


async def test_a_worker_closes_the_gate_that_its_fetches_pass() -> None:
    worker = Worker(make_settings(), 4, 1_000_000)
    try:
        gate = worker.app.fetch_gate
        worker.batcher.submit(
            make_partition(worker.settings), "clicks", {"u1": Change(Window(), None, 1, 0, 0)}
        )
        assert not gate.is_open
        worker.batcher.cancel("u1")
        assert gate.is_open
    finally:
        await worker.publisher.stop()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Bench(list_deadline_seconds=600.0) as bench:
        yield bench


@pytest.mark.parametrize("with_model", [False, True])
async def test_it_is_closed_from_the_first_user_who_waits_until_the_lists_have_left(
    bench: Bench, *, with_model: bool
) -> None:
    bench.scorer.computes_in_caller = True
    bench.start(with_model=with_model)
    await bench.clicks(u1=1).published()  # from then on a call is known to be short
    await until(lambda: bench.fetch_gate.is_open)
    held = bench.publisher.held[bench.settings.recommendations] = asyncio.Event()
    ticket = bench.clicks(u1=2)
    assert not bench.fetch_gate.is_open
    await until(lambda: not len(bench.batcher))
    await settle_down()
    assert not bench.fetch_gate.is_open
    held.set()
    await ticket.published()
    assert bench.fetch_gate.is_open


async def test_it_is_open_while_a_thread_computes_scores(bench: Bench) -> None:
    bench.scorer.go_on.clear()
    bench.start(with_model=True)
    bench.clicks(u1=1)
    await until(lambda: bench.scorer.runs == 1)
    assert bench.fetch_gate.is_open
    bench.clicks(u2=2)
    assert bench.fetch_gate.is_open


async def test_it_opens_when_nobody_waits_any_more(bench: Bench) -> None:
    bench.clicks(u1=1, u2=2)
    bench.batcher.cancel("u1")
    assert not bench.fetch_gate.is_open
    bench.batcher.cancel("u2")
    assert bench.fetch_gate.is_open
    bench.clicks(u3=3)
    assert not bench.fetch_gate.is_open
    bench.batcher.abandon(bench.partition)
    assert bench.fetch_gate.is_open


async def test_clicks_that_change_nobody_leave_it_open(bench: Bench) -> None:
    bench.clicks()
    assert bench.fetch_gate.is_open
