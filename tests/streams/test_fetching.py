"""What the fetcher of a consumer does that aiokafka's does not do by itself."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchError, FetchResult, PartitionRecords
from aiokafka.consumer.fetcher import Fetcher as AiokafkaFetcher
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import (
    KafkaError,
    NodeNotReadyError,
    NotLeaderForPartitionError,
    RequestTimedOutError,
)
from aiokafka.record.default_records import DefaultRecord, DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from streams.fetching import (
    close_without_cancelling,
    find_leaders_again,
    hand_out_as_parsed,
)


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


async def test_other_faults_and_answers_pass_as_they_are() -> None:
    fetcher = Fetcher(RequestTimedOutError())
    find_leaders_again(fetcher)
    with pytest.raises(RequestTimedOutError):
        await fetcher._proc_offset_request(1, "t")
    fetcher.fault = None
    assert await fetcher._proc_offset_request(1, "t") == "offsets of t from 1"
    assert fetcher.updates == 0


def parsed(tp: TopicPartition, count: int) -> PartitionRecords:
    """Records of a fetch, as aiokafka has them before anybody asks for them."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    for offset in range(count):
        builder.append(offset, 1_000 + offset, b"key", b"value %d" % offset, [("ce_id", b"e")])
    return PartitionRecords(
        tp, MemoryRecords(bytes(builder.build())), [], 0, None, None, True, READ_UNCOMMITTED
    )


async def test_records_are_handed_out_as_they_were_parsed_with_all_that_is_read_of_them() -> None:
    tp = TopicPartition("clicks", 0)
    failed = TopicPartition("clicks", 1)
    fetcher: Any = SimpleNamespace(_records={})

    async def fetch(*_: Any) -> bool:
        position = SimpleNamespace(paused=False, position=0, consumed_to=lambda _: None)
        assignment = SimpleNamespace(active=True, state_value=lambda _: position)
        fetcher._records[tp] = FetchResult(
            tp, assignment=assignment, partition_records=parsed(tp, 3), backoff=0
        )
        fetcher._records[failed] = FetchError(error=RequestTimedOutError(), backoff=0)
        return True

    fetcher._proc_fetch_request = fetch
    hand_out_as_parsed(fetcher)
    assert await fetcher._proc_fetch_request("assignment", 1, "request") is True
    records = fetcher._records[tp].getall()
    assert {type(record) for record in records} == {DefaultRecord}
    assert [(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in records] == [
        (offset, 1_000 + offset, b"key", b"value %d" % offset, [("ce_id", b"e")])
        for offset in range(3)
    ]
    # Drained results stay for a moment; they have no records any more.
    assert await fetcher._proc_fetch_request("assignment", 1, "request") is True


class BrokerAway:
    """A client whose broker takes no fetch."""

    _loop = None
    _metadata_max_age_ms = 300_000
    cluster = SimpleNamespace(leader_for_partition=lambda _: 1)

    def __init__(self) -> None:
        self.was_asked = asyncio.Event()

    async def send(self, *_: Any) -> None:
        self.was_asked.set()
        raise NodeNotReadyError


def fetching_from(client: Any, tp: TopicPartition) -> Any:
    """aiokafka's own fetcher, at work."""
    subscriptions = SubscriptionState()
    subscriptions.assign_from_user([tp])
    subscriptions.seek(tp, 0)
    return AiokafkaFetcher(client, subscriptions, retry_backoff_ms=600_000)


@pytest.mark.parametrize("has_failed", [True, False])
async def test_a_consumer_stops_while_a_fetch_waits_for_another_try_or_has_not_begun(
    has_failed: bool,
) -> None:
    client = BrokerAway()
    fetcher = fetching_from(client, TopicPartition("clicks", 0))
    close_without_cancelling(fetcher)
    if has_failed:
        await client.was_asked.wait()
    else:
        await asyncio.sleep(0)
    assert fetcher._pending_tasks
    pending = set(fetcher._pending_tasks)
    await fetcher.close()
    assert all(task.done() for task in pending)
    assert fetcher._fetch_task.done()
