"""What the consumer does that aiokafka does not do by itself."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.consumer_thread import BatchConsumerThread, read_ends
from streams.event_loop import new_event_loop


def partition_state(position: int | None, highwater: int | None) -> SimpleNamespace:
    return SimpleNamespace(
        has_valid_position=position is not None,
        position=position,
        highwater=highwater,
        timestamp=None if highwater is None else 7_000 + highwater,
    )


def test_a_partition_is_read_to_its_end_when_nothing_of_its_last_fetch_is_left() -> None:
    states = {
        TP("clicks", 0): partition_state(10, 10),
        TP("clicks", 1): partition_state(9, 10),
        TP("clicks", 2): partition_state(0, 0),
        TP("clicks", 3): partition_state(None, 10),
        TP("clicks", 4): partition_state(5, None),
    }
    assignment = SimpleNamespace(tps=frozenset(states), state_value=states.__getitem__)
    assert read_ends(assignment) == {TP("clicks", 0): 7_010, TP("clicks", 2): 7_000}


class FetchedThread:
    """A consumer thread whose fetches the test makes up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, states: dict[TP, SimpleNamespace]) -> None:
        assignment = SimpleNamespace(tps=frozenset(states), state_value=states.__getitem__)
        subscription = SimpleNamespace(assignment=assignment)
        self.thread: Any = object.__new__(BatchConsumerThread)
        self.thread._consumer = SimpleNamespace(
            _subscription=SimpleNamespace(subscription=subscription)
        )
        self.thread.assignment_token = object()
        self.thread._read_to_end_ms = {}
        self.meanwhile: Any = lambda: None
        monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", self._fetch)

    async def _fetch(self, *_: Any, **__: Any) -> dict[TP, list[Any]]:
        self.meanwhile()
        return {}

    async def ends_before_a_fetch(self) -> dict[TP, int]:
        await self.thread._fetch_records()
        ends: dict[TP, int] = self.thread.fetched_after_ms
        return ends


async def test_records_came_after_the_end_that_was_known_before_their_fetch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tp = TP("clicks", 0)
    states = {tp: partition_state(10, 10)}
    fetched = FetchedThread(monkeypatch, states)
    assert await fetched.ends_before_a_fetch() == {}
    states[tp] = partition_state(15, 20)  # a backlog: its end is not reached
    assert await fetched.ends_before_a_fetch() == {tp: 7_010}
    states[tp] = partition_state(20, 20)
    assert await fetched.ends_before_a_fetch() == {tp: 7_010}
    assert await fetched.ends_before_a_fetch() == {tp: 7_020}


async def test_what_was_read_to_its_end_under_another_assignment_is_not_known_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tp = TP("clicks", 0)
    states = {tp: partition_state(10, 10)}
    fetched = FetchedThread(monkeypatch, states)
    await fetched.ends_before_a_fetch()

    def reassign() -> None:
        fetched.thread.assignment_token = object()
        fetched.thread._read_to_end_ms = {}
        states[tp] = partition_state(5, 10)

    fetched.meanwhile = reassign
    assert await fetched.ends_before_a_fetch() == {}
    fetched.meanwhile = lambda: None
    assert await fetched.ends_before_a_fetch() == {}


async def test_a_fetch_runs_in_the_loop_of_the_thread_and_ends_with_who_waits_for_it() -> None:
    loop = new_event_loop()
    running = threading.Thread(target=loop.run_forever)
    running.start()
    thread: Any = object.__new__(BatchConsumerThread)
    thread.thread_loop = loop
    thread._consumer = SimpleNamespace(_max_poll_records=7)
    seen: list[Any] = []
    begun, ended = threading.Event(), threading.Event()

    async def fetch(_consumer: Any, partitions: Any, *, timeout: float, max_records: int) -> Any:  # noqa: ASYNC109
        seen.append((asyncio.get_running_loop() is loop, partitions, timeout, max_records))
        if partitions:
            return {"records": partitions}
        begun.set()
        try:
            await asyncio.sleep(60.0)
        finally:
            ended.set()

    thread._fetch_records = fetch
    try:
        assert await thread.getmany({1}, 0.25) == {"records": {1}}
        assert seen == [(True, {1}, 0.25, 7)]
        waiting = asyncio.ensure_future(thread.getmany(None, 0.25))
        assert await asyncio.to_thread(begun.wait, 5.0)
        waiting.cancel()
        assert await asyncio.to_thread(ended.wait, 5.0)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        running.join()
        loop.close()
