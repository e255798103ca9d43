"""An acknowledgement is waited for, but not for ever."""

import asyncio

import pytest
from aiokafka.structs import RecordMetadata, TopicPartition

from streams.publisher import PublishError, Sent

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
