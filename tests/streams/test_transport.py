"""Delivery of fetched records: what no agent has taken grows, and is bounded by its bytes."""

import asyncio
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from faust.types import TP

from streams import transport
from streams.commit_pace import CommitPace
from streams.offsets import OffsetTracker
from streams.transport import BatchConsumer

CLICKS, OTHERS = TP("clicks", 0), TP("clicks", 1)


class Record(NamedTuple):
    offset: int
    value: bytes | None
    timestamp: int = 0


class Delivering:
    """A consumer without Faust, and what it has put into the agents' queue."""

    def __init__(self) -> None:
        self.batches: list[Any] = []
        queue = SimpleNamespace(put_nowait=self.batches.append)

        async def acquire() -> None:
            """The flow is never stopped."""

        self.consumer: Any = object.__new__(BatchConsumer)
        vars(self.consumer).update(
            tracker=OffsetTracker(),
            flow_active=True,
            app=SimpleNamespace(
                consumer_generation_id=0,
                topics=SimpleNamespace(
                    _tp_index={tp: [SimpleNamespace(queue=queue)] for tp in (CLICKS, OTHERS)}
                ),
                flow_control=SimpleNamespace(acquire=acquire),
            ),
            _most_records=20_000,
            _event_type=lambda _app, _key, _records, _headers, message: message,
            _thread=SimpleNamespace(assignment_token=1),
            _read_offset={CLICKS: None, OTHERS: None},
            _untaken={},
            _waiting=set(),
            _waiting_bytes=0,
            _room=asyncio.Event(),
        )

    async def deliver(self, tp: TP, *records: Record) -> None:
        """What a fetch brought."""
        await self.consumer._deliver(tp, list(records), 1, None)


async def test_a_batch_grows_until_it_is_taken() -> None:
    delivering = Delivering()
    await delivering.deliver(CLICKS, Record(0, b"a"))
    await delivering.deliver(CLICKS, Record(1, b"b"))
    (batch,) = delivering.batches
    assert [record.offset for record in batch.records] == [0, 1]
    assert batch.delivery.last_offset == 1
    batch.take()
    await delivering.deliver(CLICKS, Record(2, None))
    assert [record.offset for record in delivering.batches[1].records] == [2]


async def test_the_fetch_waits_while_as_many_bytes_wait_as_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport, "_MOST_WAITING_BYTES", 1_000)
    delivering = Delivering()
    await delivering.deliver(CLICKS, Record(0, b"x" * 400))
    await delivering.deliver(CLICKS, Record(1, b"x" * 400))  # in the same batch, and the last
    held = asyncio.create_task(delivering.deliver(OTHERS, Record(0, b"x")))
    grown = asyncio.create_task(delivering.deliver(CLICKS, Record(2, b"x")))
    await asyncio.sleep(0)
    assert not held.done()
    assert not grown.done()
    (batch,) = delivering.batches
    assert len(batch.records) == 2
    batch.take()
    await asyncio.wait_for(asyncio.gather(held, grown), 10)
    assert [len(batch.records) for batch in delivering.batches] == [2, 1, 1]
    for waiting in delivering.batches[1:]:
        waiting.take()
    assert delivering.consumer._waiting_bytes == 0


async def test_a_batch_of_an_assignment_that_has_ended_gives_no_room_back() -> None:
    delivering = Delivering()
    await delivering.deliver(CLICKS, Record(0, b"x"))
    consumer = delivering.consumer
    consumer._waiting.clear()  # as when partitions are revoked
    consumer._waiting_bytes = 0
    delivering.batches[0].take()
    assert consumer._waiting_bytes == 0


async def test_a_consumer_commits_whenever_it_is_due_and_not_once_it_is_stopped() -> None:
    consumer: Any = object.__new__(BatchConsumer)
    stopped = iter([False, False, True])
    commits: list[None] = []

    async def wait(due: Any) -> Any:
        await due
        return SimpleNamespace(stopped=next(stopped))

    async def commit() -> None:
        commits.append(None)

    vars(consumer).update(_pace=CommitPace(0.001), wait=wait, commit=commit)
    await asyncio.wait_for(consumer._commit_handler(consumer), 5.0)
    assert len(commits) == 2


async def test_offsets_of_our_partitions_are_committed_once_the_shell_was_told() -> None:
    consumer: Any = object.__new__(BatchConsumer)
    done: list[str | dict[TP, int]] = []

    async def commit(offsets: dict[TP, int]) -> bool:
        done.append(offsets)
        return True

    lifecycle = SimpleNamespace(committing=lambda: done.append("told"))
    vars(consumer).update(
        app=SimpleNamespace(lifecycle=lifecycle),
        _commit=commit,
        assignment=lambda: {CLICKS},
        _committed_offset={},
    )
    assert await consumer._commit_offsets({CLICKS: 7, OTHERS: 9})
    assert not await consumer._commit_offsets({OTHERS: 9})
    assert done == ["told", {CLICKS: 7}]
    assert consumer._committed_offset == {CLICKS: 7}
