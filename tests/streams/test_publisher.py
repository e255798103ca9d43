"""Records leave packed, in the order sent, at once or with others that linger."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka.structs import RecordMetadata, TopicPartition

from streams.publisher import Publisher
from streams.sent import Lane, Sent
from streams.settings import Settings

TP = TopicPartition("t", 0)


def metadata(offset: int) -> RecordMetadata:
    return RecordMetadata("t", 0, TP, offset, 0, 0, 0)


async def test_nothing_more_is_taken_while_too_much_is_queued() -> None:
    publisher = Publisher(Settings())
    loop = asyncio.get_running_loop()
    await asyncio.wait_for(publisher.room(), 1.0)
    futures: list[asyncio.Future[RecordMetadata]] = [loop.create_future() for _ in range(2)]
    lane = Lane()
    for future in futures:
        publisher._watch(future, lane, 20 * 1024 * 1024)
    assert publisher.queued_bytes == 40 * 1024 * 1024
    waiting = asyncio.ensure_future(publisher.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    futures[0].set_exception(RuntimeError("given up"))  # it has left the queue as well
    await asyncio.wait_for(waiting, 1.0)
    futures[1].set_result(metadata(0))
    await asyncio.sleep(0)
    assert publisher.queued_bytes == 0
    await publisher.stop()
    assert lane.acknowledged_at > 0


def queued(publisher: Publisher, records: int) -> Any:
    """A batch of so many records that waits for partition 0 in the client."""
    builder = publisher._producer.create_batch()
    for _ in range(records):
        builder.append(timestamp=None, key=b"k", value=b"v", headers=[])
    return publisher._producer._message_accumulator._append_batch(builder, TP)


async def test_what_is_sent_while_a_batch_waits_leaves_with_it() -> None:
    publisher = Publisher(Settings())
    batch = queued(publisher, 2)
    one = await publisher.send("t", 0, [(b"a", b"1")])
    bytes_of_one = publisher.queued_bytes
    nothing = await publisher.send("t", 0, [])
    other = await publisher.send("t", 0, [(b"b", b"1"), (b"c", b"1")])
    assert list(publisher._producer._message_accumulator._batches[TP]) == [batch]
    assert batch._builder.record_count() == 5
    assert 0 < bytes_of_one < publisher.queued_bytes < batch._builder.size()
    batch.future.set_result(metadata(100))
    # Each call knows the offset after its own records.
    assert await one.acknowledged() == 103
    assert await other.acknowledged() == 105
    assert await nothing.acknowledged() == -1
    await asyncio.sleep(0)
    assert publisher.queued_bytes == 0
    await publisher._producer.stop()


async def test_a_batch_that_was_sent_once_takes_no_more_records() -> None:
    publisher = Publisher(Settings())
    accumulator = publisher._producer._message_accumulator
    again = queued(publisher, 1)
    again.drain_ready()  # it left, and came back for another try
    await publisher.send("t", 0, [(b"a", b"1")])
    first, second = accumulator._batches[TP]
    assert first is again
    assert (first._builder.record_count(), second._builder.record_count()) == (1, 1)
    first.future.set_result(metadata(0))
    second.future.set_result(metadata(1))
    await publisher._producer.stop()


async def test_records_that_do_not_fit_into_the_waiting_batch_follow_in_another() -> None:
    publisher = Publisher(Settings())
    accumulator = publisher._producer._message_accumulator
    first = queued(publisher, 2)
    large = b"x" * 300 * 1024
    sent = await publisher.send("t", 0, [(b"a", large), (b"b", large), (b"c", b"")])
    alone = await publisher.send("t", 0, [(b"d", large)])
    assert [batch._builder.record_count() for batch in accumulator._batches[TP]] == [3, 2, 1]
    for batch, offset in zip(accumulator._batches[TP], (10, 13, 15), strict=True):
        batch.future.set_result(metadata(offset))
    assert first.future.result().offset == 10
    assert await sent.acknowledged() == 15
    assert await alone.acknowledged() == 16
    await publisher._producer.stop()


@pytest.fixture
async def publisher(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Publisher]:
    """One whose client has no broker, but knows the leaders and has its number as a producer."""
    publisher = Publisher(Settings())
    producer = publisher._producer
    producer._txn_manager.set_pid_and_epoch(1, 0)
    monkeypatch.setattr(producer.client.cluster, "leader_for_partition", lambda _tp: 0)
    yield publisher
    accumulator = producer._message_accumulator
    left = [batch for batches in accumulator._batches.values() for batch in batches]
    for batch in [*left, *accumulator._pending_batches]:
        batch.done(0)
    await producer.stop()


def taken_by_the_client(publisher: Publisher) -> dict[int, int]:
    """Partitions whose batches a request would now have, and how many records."""
    accumulator = publisher._producer._message_accumulator
    nodes, _ = accumulator.drain_by_nodes(ignore_nodes=())
    return {tp.partition: batch.record_count for tp, batch in nodes.get(0, {}).items()}


async def test_what_lingers_leaves_in_one_request(publisher: Publisher) -> None:
    accumulator = publisher._producer._message_accumulator
    await publisher.send("t", 0, [(b"a", b"1")], linger=True)
    await publisher.send("t", 1, [(b"b", b"1")], linger=True)
    await publisher.send("t", 0, [(b"c", b"1")], linger=True)
    assert not accumulator.waiter().done()
    assert not taken_by_the_client(publisher)
    await asyncio.wait_for(asyncio.shield(accumulator.waiter()), 5.0)
    # Also where the timer fired a little early.
    assert taken_by_the_client(publisher) == {0: 2, 1: 1}


async def test_the_client_is_woken_when_what_lingers_is_due(publisher: Publisher) -> None:
    await publisher.send("t", 0, [(b"a", b"1")], linger=True)
    await asyncio.wait_for(publisher._producer._message_accumulator.waiter(), 5.0)


async def test_what_does_not_linger_leaves_at_once_with_what_lingers_before_it(
    publisher: Publisher,
) -> None:
    await publisher.send("t", 0, [(b"a", b"1")], linger=True)
    await publisher.send("t", 1, [(b"b", b"1")], linger=True)
    await publisher.send("t", 0, [(b"a", b"2")])
    assert publisher._producer._message_accumulator.waiter().done()
    assert taken_by_the_client(publisher) == {0: 2}


async def test_a_full_batch_does_not_linger(publisher: Publisher) -> None:
    large = b"x" * 300 * 1024
    await publisher.send("t", 0, [(b"a", large)], linger=True)
    await publisher.send("t", 0, [(b"b", large)], linger=True)
    assert publisher._producer._message_accumulator.waiter().done()
    assert taken_by_the_client(publisher) == {0: 1}


async def test_a_hurry_sends_off_all_that_lingers(publisher: Publisher) -> None:
    await publisher.send("t", 0, [(b"a", b"1")], linger=True)
    await publisher.send("t", 1, [(b"b", b"1")], linger=True)
    publisher.hurry()
    assert publisher._producer._message_accumulator.waiter().done()
    assert taken_by_the_client(publisher) == {0: 1, 1: 1}


async def test_who_waits_for_a_departure_is_called_once_and_leaves_along(
    publisher: Publisher,
) -> None:
    accumulator = publisher._producer._message_accumulator
    boarded: list[asyncio.Task[Sent]] = []

    def board() -> None:
        boarded.append(asyncio.create_task(publisher.send("t", 1, [(b"b", b"1")])))

    await publisher.send("t", 0, [(b"a", b"1")], linger=True)
    publisher.before_departure(board)
    await asyncio.sleep(0)
    assert not boarded
    publisher.hurry()
    publisher.hurry()
    await asyncio.sleep(0)
    assert len(boarded) == 1
    assert taken_by_the_client(publisher) == {0: 1, 1: 1}
    publisher.before_departure(board)  # nothing else lingers, and it leaves all the same
    await asyncio.wait_for(asyncio.shield(accumulator.waiter()), 5.0)
    await asyncio.gather(*boarded)
    assert len(boarded) == 2


async def test_a_topic_that_the_client_does_not_know_is_asked_for(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []

    async def send_batch(_batch: Any, topic: str, *, partition: int) -> Any:
        asked.append((topic, partition))
        future = asyncio.get_running_loop().create_future()
        future.set_result(metadata(7))
        return future

    producer = publisher._producer
    monkeypatch.setattr(producer.client.cluster, "leader_for_partition", lambda _tp: None)
    monkeypatch.setattr(producer, "send_batch", send_batch)
    sent = await publisher.send("unknown", 3, [(b"a", b"1")], linger=True)
    assert asked == [("unknown", 3)]
    assert await sent.acknowledged() == 8
