"""An acknowledgement is waited for, but not for ever."""

import asyncio
import time

import pytest
from aiokafka.structs import RecordMetadata, TopicPartition

from streams.sent import Lane, PublishError, Sent

TP = TopicPartition("t", 0)


def metadata(offset: int) -> RecordMetadata:
    return RecordMetadata("t", 0, TP, offset, 0, 0, 0)


async def test_the_offset_after_the_last_record_is_told() -> None:
    loop = asyncio.get_running_loop()
    futures = [loop.create_future(), loop.create_future()]
    waiting = asyncio.ensure_future(Sent([(futures[0], 3), (futures[1], 2)], 10.0).acknowledged())
    futures[1].set_result(metadata(8))
    await asyncio.sleep(0)
    assert not waiting.done()
    futures[0].set_result(metadata(5))
    assert await waiting == 10


async def test_nothing_sent_is_acknowledged_at_once() -> None:
    assert await Sent([], 10.0).acknowledged() == -1


async def test_what_the_client_gave_up_is_an_error_that_says_what_follows() -> None:
    future: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
    future.set_exception(RuntimeError("too large"))
    with pytest.raises(PublishError, match="too large.*a restart replays it"):
        await Sent([(future, 1)], 10.0).acknowledged()


async def test_a_silent_broker_is_given_up_after_the_time_set() -> None:
    future: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
    with pytest.raises(PublishError, match=r"within 0\.05 s \(request_timeout_seconds\)"):
        await Sent([(future, 1)], 0.05).acknowledged()


async def test_a_queue_that_the_broker_works_off_is_waited_for_however_long_it_is() -> None:
    last: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
    lane = Lane()
    sent = Sent([(last, 1)], 0.5, lane)

    async def broker() -> None:
        began = time.monotonic()
        while time.monotonic() - began < 1.5:  # three times the patience
            await asyncio.sleep(0.01)
            lane.acknowledged_at = time.monotonic()
        last.set_result(metadata(5))

    working = asyncio.ensure_future(broker())
    assert await sent.acknowledged() == 6
    await working


async def test_an_acknowledgement_of_before_the_wait_does_not_shorten_it() -> None:
    future: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
    lane = Lane()
    lane.acknowledged_at = time.monotonic() - 10.0
    waiting = asyncio.ensure_future(Sent([(future, 1)], 5.0, lane).acknowledged())
    await asyncio.sleep(0)
    future.set_result(metadata(4))
    assert await waiting == 5


async def test_who_is_cancelled_leaves_the_send_to_others_that_wait_for_it() -> None:
    future: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
    sent = Sent([(future, 1)], 10.0)
    cancelled, waiting = (asyncio.ensure_future(sent.acknowledged()) for _ in range(2))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.sleep(0)
    assert cancelled.cancelled()
    assert not future.cancelled()
    future.set_result(metadata(4))
    assert await waiting == 5


async def test_a_wait_that_is_over_leaves_nothing_behind_on_the_send() -> None:
    future: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
    with pytest.raises(PublishError):
        await Sent([(future, 1)], 0.01).acknowledged()
    assert not future._callbacks
