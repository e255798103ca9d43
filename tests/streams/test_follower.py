"""Follower: to the end and on, from where it was, whatever the broker does meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from streams import follower
from streams.follower import Follower, read_to_end
from tests.streams.shell_fakes import make_settings, until


class FakeLog:
    """Partitions of one topic: offsets of their records, and the ends of their logs."""

    def __init__(self) -> None:
        self.offsets: dict[int, list[int]] = {}
        self.ends: dict[int, int] = {}
        self.down = 0
        self.in_hand = False
        """Whether a consumer has all of it, and so waits for nothing."""
        self.consumers = 0
        self.open = 0

    def write(self, partition: int, *offsets: int, end: int | None = None) -> None:
        self.offsets.setdefault(partition, []).extend(offsets)
        self.ends[partition] = offsets[-1] + 1 if end is None else end

    def consumer(self, *_: Any, **__: Any) -> "FakeConsumer":
        self.consumers += 1
        return FakeConsumer(self)


class FakeFetcher:
    """Has a fetch under way, and closes as aiokafka's does: it awaits what it has cancelled."""

    _proc_fetch_request = None

    def __init__(self) -> None:
        self._fetch_task = asyncio.create_task(asyncio.sleep(600))
        self._pending_tasks = {asyncio.create_task(asyncio.sleep(600))}

    async def close(self) -> None:
        self._fetch_task.cancel()
        for task in self._pending_tasks:
            task.cancel()
            await task


class FakeConsumer:
    """What the follower needs of an aiokafka consumer."""

    def __init__(self, log: FakeLog) -> None:
        self._log = log
        self._at: dict[TopicPartition, int] = {}
        self._fetcher: FakeFetcher | None = None

    async def start(self) -> None:
        self._log.open += 1
        self._check()
        self._fetcher = FakeFetcher()

    async def stop(self) -> None:
        self._log.open -= 1
        if self._fetcher is not None:
            await self._fetcher.close()

    def _check(self) -> None:
        if self._log.down:
            self._log.down -= 1
            raise KafkaConnectionError("no broker")

    def assign(self, partitions: Any) -> None:
        self._at = dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self._log.ends.get(tp.partition, 0) for tp in partitions}

    async def beginning_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, 0)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._at[tp] = offset

    def highwater(self, tp: TopicPartition) -> int | None:
        return self._log.ends.get(tp.partition)

    async def position(self, tp: TopicPartition) -> int:
        return self._at[tp]

    async def getmany(self, *tps: TopicPartition, timeout_ms: int, max_records: int) -> Any:
        self._check()
        if not self._log.in_hand:
            await asyncio.sleep(0.001)
        found = {}
        for tp in tps or list(self._at):
            at = self._at[tp]
            new = [o for o in self._log.offsets.get(tp.partition, []) if o >= at][:2]
            if new:
                found[tp] = [SimpleNamespace(offset=offset) for offset in new]
                self._at[tp] = new[-1] + 1
            else:
                self._at[tp] = max(at, self._log.ends.get(tp.partition, 0))
        return found


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> FakeLog:
    log = FakeLog()
    monkeypatch.setattr(follower, "_consumer", log.consumer)
    monkeypatch.setattr(follower, "_RETRY_SECONDS", 0.01)
    return log


class Following:
    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []
        self.follower = Follower(make_settings(), "topic", self._apply)

    def _apply(self, partition: int, records: list[Any]) -> None:
        self.seen += [(partition, record.offset) for record in records]


@pytest.fixture
async def following(log: FakeLog) -> AsyncIterator[Following]:
    following = Following()
    task = asyncio.create_task(following.follower.run())
    yield following
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert log.open == 0


async def test_it_reads_to_the_end_and_then_what_comes(log: FakeLog, following: Following) -> None:
    log.write(0, 0, 1, 2)
    following.follower.follow({0: 0})
    await following.follower.caught_up.wait()
    assert following.seen == [(0, 0), (0, 1), (0, 2)]
    log.write(0, 3)
    await until(lambda: following.seen[-1] == (0, 3))


async def test_a_log_that_ends_without_a_record_is_caught_up_with(
    log: FakeLog, following: Following
) -> None:
    """A transaction's marker, or what compaction took away."""
    log.write(0, 0, 1, end=3)
    log.write(1, end=5)
    following.follower.follow({0: 0, 1: 0})
    await asyncio.wait_for(following.follower.caught_up.wait(), 5)
    assert following.seen == [(0, 0), (0, 1)]
    assert following.follower.lag_records() == {0: 0, 1: 0}


async def test_it_begins_where_it_is_told_and_goes_on_where_it_was_after_a_fault(
    log: FakeLog, following: Following
) -> None:
    log.write(0, 0, 1, 2, 3)
    following.follower.follow({0: 2})
    await following.follower.caught_up.wait()
    log.down = 3
    await until(lambda: log.consumers >= 3)
    log.write(0, 4)
    await until(lambda: (0, 4) in following.seen)
    assert following.seen == [(0, 2), (0, 3), (0, 4)]


async def test_partitions_can_be_given_up_and_taken_over_at_any_time(
    log: FakeLog, following: Following
) -> None:
    log.write(0, 0)
    log.write(1, 0, 1, 2)
    following.follower.follow({0: 0})
    await following.follower.caught_up.wait()
    following.follower.follow({1: 1})
    await following.follower.caught_up.wait()
    log.write(0, 1)
    log.write(1, 3)
    await until(lambda: following.seen[-1] == (1, 3))
    assert following.seen == [(0, 0), (1, 1), (1, 2), (1, 3)]


async def test_being_caught_up_with_the_partitions_before_does_not_count_for_new_ones(
    log: FakeLog, following: Following
) -> None:
    log.write(0, 0)
    log.write(1, *range(50))
    following.follower.follow({0: 0})
    await following.follower.caught_up.wait()
    await asyncio.sleep(0)  # it waits for records of the old partition when the new one is named
    following.follower.follow({1: 0})
    await following.follower.caught_up.wait()
    assert following.seen[-1] == (1, 49)


async def test_with_nothing_to_follow_it_is_caught_up_at_once(following: Following) -> None:
    following.follower.follow({})
    await asyncio.wait_for(following.follower.caught_up.wait(), 5)


@pytest.mark.parametrize(
    ("start", "read"), [(0, [0, 1, 4]), (2, [4]), (-2, [4]), (-100, [0, 1, 4]), (99, [0, 1, 4])]
)
async def test_reading_to_the_end_begins_where_it_should_and_ends_behind_a_gap(
    log: FakeLog, start: int, read: list[int]
) -> None:
    log.write(0, 0, 1, 4, end=6)
    tp = TopicPartition("topic", 0)
    seen: list[int] = []
    ends = await read_to_end(
        make_settings(), {tp: start}, lambda _, records: seen.extend(r.offset for r in records)
    )
    assert seen == read
    assert ends == {tp: 6}
    assert log.open == 0


async def test_only_a_start_behind_the_end_makes_the_reader_start_over(log: FakeLog) -> None:
    log.write(0, 0, 1, end=2)
    tp = TopicPartition("topic", 0)
    told: list[TopicPartition] = []
    for start in (0, 1, 2, -1):
        await read_to_end(make_settings(), {tp: start}, lambda *_: None, start_over=told.append)
    assert told == []
    await read_to_end(make_settings(), {tp: 3}, lambda *_: None, start_over=told.append)
    assert told == [tp]


async def test_a_consumer_that_cannot_start_is_released(log: FakeLog) -> None:
    log.down = 1
    with pytest.raises(KafkaConnectionError):
        await read_to_end(make_settings(), {TopicPartition("topic", 0): 0}, lambda *_: None)
    assert log.open == 0


async def test_others_get_their_turn_while_a_log_in_hand_is_read_to_its_end(log: FakeLog) -> None:
    log.write(0, *range(200))
    log.in_hand = True
    reading = asyncio.create_task(
        read_to_end(make_settings(), {TopicPartition("t", 0): 0}, lambda *_: None)
    )
    turns = 0
    while not reading.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 100  # it reads two at a time
    await reading


async def test_others_get_their_turn_while_a_log_in_hand_is_followed(
    log: FakeLog, following: Following
) -> None:
    log.write(0, *range(200))
    log.in_hand = True
    following.follower.follow({0: 0})
    turns = 0
    while len(following.seen) < 200:
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 100
