"""What the consumer does that aiokafka does not do by itself."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.fetch_gate import FetchGate
from streams.lease import Lease
from streams.loop_consumer import LoopConsumer, read_ends
from tests.streams.shell_fakes import settle_down


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


class FetchedConsumer:
    """A consumer whose fetches the test makes up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, states: dict[TP, SimpleNamespace]) -> None:
        assignment = SimpleNamespace(tps=frozenset(states), state_value=states.__getitem__)
        subscription = SimpleNamespace(assignment=assignment)
        self.consumer: Any = object.__new__(LoopConsumer)
        self.consumer._consumer = SimpleNamespace(
            _subscription=SimpleNamespace(subscription=subscription)
        )
        self.consumer.assignment_token = object()
        self.consumer._read_to_end_ms = {}
        self.meanwhile: Any = lambda: None
        monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", self._fetch)

    async def _fetch(self, *_: Any, **__: Any) -> dict[TP, list[Any]]:
        self.meanwhile()
        return {}

    async def ends_before_a_fetch(self) -> dict[TP, int]:
        await self.consumer._fetch_records()
        ends: dict[TP, int] = self.consumer.fetched_after_ms
        return ends


async def test_records_came_after_the_end_that_was_known_before_their_fetch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tp = TP("clicks", 0)
    states = {tp: partition_state(10, 10)}
    fetched = FetchedConsumer(monkeypatch, states)
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
    fetched = FetchedConsumer(monkeypatch, states)
    await fetched.ends_before_a_fetch()

    def reassign() -> None:
        fetched.consumer.assignment_token = object()
        fetched.consumer._read_to_end_ms = {}
        states[tp] = partition_state(5, 10)

    fetched.meanwhile = reassign
    assert await fetched.ends_before_a_fetch() == {}
    fetched.meanwhile = lambda: None
    assert await fetched.ends_before_a_fetch() == {}


async def test_a_fetch_asks_for_as_much_as_is_allowed_and_ends_with_who_waits_for_it() -> None:
    consumer: Any = object.__new__(LoopConsumer)
    consumer._consumer = SimpleNamespace(_max_poll_records=7)
    seen: list[Any] = []
    ended = asyncio.Event()

    async def fetch(_consumer: Any, partitions: Any, *, timeout: float, max_records: int) -> Any:  # noqa: ASYNC109
        seen.append((partitions, timeout, max_records))
        if partitions:
            return {"records": partitions}
        try:
            await asyncio.sleep(60.0)
        finally:
            ended.set()

    consumer._fetch_records = fetch
    assert await consumer.getmany({1}, 0.25) == {"records": {1}}
    assert seen == [({1}, 0.25, 7)]
    waiting = asyncio.ensure_future(consumer.getmany(None, 0.25))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait_for(ended.wait(), 5.0)


@pytest.fixture
async def consumer(monkeypatch: pytest.MonkeyPatch) -> LoopConsumer:
    """One without a client."""

    async def nothing(_self: LoopConsumer) -> None:
        """Instead of a client's start."""

    monkeypatch.setattr(LoopConsumer, "on_start", nothing)
    return LoopConsumer(MagicMock(), loop=asyncio.get_running_loop())


async def test_it_works_in_the_loop_it_is_made_for_and_leaves_its_tasks_alone(
    consumer: LoopConsumer,
) -> None:
    threads = threading.active_count()
    bystander = asyncio.ensure_future(asyncio.sleep(60.0))
    await consumer.start()
    assert consumer.thread_loop is asyncio.get_running_loop()
    assert threading.active_count() == threads

    async def where() -> object:
        return asyncio.get_running_loop()

    assert await consumer.call_thread(where) is asyncio.get_running_loop()
    assert consumer._serving is not None
    assert not consumer._serving.done()
    await asyncio.wait_for(consumer.stop(), 10.0)
    assert consumer._serving.done()
    assert not bystander.done()
    assert not asyncio.get_running_loop().is_closed()
    bystander.cancel()


async def test_who_stops_it_waits_until_all_is_put_away(
    consumer: LoopConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_away = asyncio.Event()

    async def slowly() -> None:
        await asyncio.sleep(0.05)
        put_away.set()

    monkeypatch.setattr(consumer, "_default_stop_exit_stacks", slowly)
    await consumer.start()
    await asyncio.wait_for(consumer.stop(), 10.0)
    assert put_away.is_set()


async def test_a_client_that_does_not_start_is_an_error_of_who_starts_it(
    consumer: LoopConsumer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refuse(_self: LoopConsumer) -> None:
        raise ConnectionError("nobody there")

    monkeypatch.setattr(LoopConsumer, "on_start", refuse)
    with pytest.raises(ConnectionError, match="nobody there"):
        await asyncio.wait_for(consumer.start(), 10.0)
    assert consumer._serving is not None
    await asyncio.wait_for(consumer._serving, 10.0)
    assert "nobody there" in capsys.readouterr().err


async def test_its_fetches_pass_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[str] = []

    async def fetch(_assignment: str, _node_id: int, request: str) -> bool:
        left.append(request)
        return True

    fetcher = SimpleNamespace(
        _proc_fetch_request=fetch, _proc_offset_request=fetch, _records={}, close=None
    )
    gate = FetchGate()
    consumer: Any = object.__new__(LoopConsumer)
    consumer.app = SimpleNamespace(lease=Lease(10.0), fetch_gate=gate)
    consumer._consumer = SimpleNamespace(
        _fetcher=fetcher, _coordinator=SimpleNamespace(_send_req=None)
    )

    async def client_starts(_self: LoopConsumer) -> None:
        """Instead of a client's start."""

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "on_start", client_starts)
    await consumer.on_start()
    gate.close()
    fetching = asyncio.create_task(fetcher._proc_fetch_request("a", 1, "clicks"))
    await settle_down()
    assert left == []
    gate.open()
    await asyncio.wait_for(fetching, 5)
    assert left == ["clicks"]
