"""What the consumer does that aiokafka does not do by itself."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError, NotLeaderForPartitionError, RequestTimedOutError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.consumer_thread import BatchConsumerThread, find_leaders_again, read_ends


class Fetcher:
    """Answers a question for offsets, or fails."""

    def __init__(self, fault: KafkaError | None) -> None:
        self.fault = fault
        self.updates = 0
        self._client = SimpleNamespace(force_metadata_update=self._update)

    def _update(self) -> None:
        self.updates += 1

    async def _proc_offset_request(self, node_id: int, topic_data: Any) -> str:
        if self.fault is not None:
            raise self.fault
        return f"offsets of {topic_data} from {node_id}"


async def test_a_broker_that_leads_no_more_makes_the_consumer_look_for_the_leader() -> None:
    fetcher = Fetcher(NotLeaderForPartitionError())
    find_leaders_again(fetcher)
    with pytest.raises(NotLeaderForPartitionError):
        await fetcher._proc_offset_request(1, "t")
    assert fetcher.updates == 1


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


async def test_other_faults_and_answers_pass_as_they_are() -> None:
    fetcher = Fetcher(RequestTimedOutError())
    find_leaders_again(fetcher)
    with pytest.raises(RequestTimedOutError):
        await fetcher._proc_offset_request(1, "t")
    fetcher.fault = None
    assert await fetcher._proc_offset_request(1, "t") == "offsets of t from 1"
    assert fetcher.updates == 0
