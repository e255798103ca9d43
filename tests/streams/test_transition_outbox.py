"""Transition outbox: batches of clicks that come soon after each other share their records."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from streams.core import MemoryTable
from streams.pipeline import ClickPipeline
from streams.sent import PublishError
from streams.transition_outbox import Told, TransitionOutbox
from streams.transitions import SentPositions, TransitionBatch, decode_transitions
from streams.window import Window
from tests.streams.shell_fakes import FakePublisher, click, make_settings, settle_down

TOPIC = "transitions"
PARTITIONS = 3


class LatePublisher(FakePublisher):
    """Departs when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.boarding: list[Callable[[], None]] = []

    def before_departure(self, board: Callable[[], None]) -> None:
        self.boarding.append(board)

    async def depart(self) -> None:
        boarding, self.boarding = self.boarding, []
        for board in boarding:
            board()
        await settle_down()


class World:
    """An outbox, and clicks of some sources for it."""

    def __init__(self) -> None:
        self.pipeline = ClickPipeline(make_settings().pipeline_config(PARTITIONS))
        self.publisher = LatePublisher()
        fake: Any = self.publisher
        self.outbox = TransitionOutbox(self.pipeline, fake, TOPIC)
        self.windows: MemoryTable[Window] = MemoryTable()

    def put(self, sent: SentPositions, *offsets: int) -> Told:
        records = [click(offset, "u", f"i{offset % 7}") for offset in offsets]
        links = self.pipeline.fold(records, self.windows, sent.source, rekey=True).links
        assert links.any
        return self.outbox.put(sent, links)

    @property
    def told(self) -> dict[int, list[TransitionBatch]]:
        """What has left, by graph partition."""
        found: dict[int, list[TransitionBatch]] = {}
        for _, partition, _, value in self.publisher.log:
            found.setdefault(partition or 0, []).append(decode_transitions(value or b""))
        return found


async def test_batches_of_a_source_that_come_before_a_departure_leave_as_one() -> None:
    world = World()
    sent = SentPositions(0)
    for offset in range(8):
        world.put(sent, offset)
    await settle_down()
    assert not world.publisher.log
    await world.publisher.depart()
    at_once = World()
    records = [click(offset, "u", f"i{offset % 7}") for offset in range(8)]
    expected = at_once.pipeline.process(records, at_once.windows, SentPositions(0), rekey=True)
    assert world.told == {number: [one] for number, one in expected.transitions.items()}
    assert len(world.told) == PARTITIONS


async def test_records_of_a_source_are_a_chain_and_sources_do_not_mix() -> None:
    world = World()
    first, second = SentPositions(0), SentPositions(1)
    for offset in range(20):
        world.put(first, offset)
        world.put(second, offset)
        if offset % 5 == 4:
            await world.publisher.depart()
    for batches in world.told.values():
        for source in (0, 1):
            of_source = [batch for batch in batches if batch.source == source]
            ends = [-1, *(batch.offsets[-1] for batch in of_source)]
            assert [batch.after_offset for batch in of_source] == ends[:-1]
            offsets = [offset for batch in of_source for offset in batch.offsets]
            assert offsets == sorted(set(offsets))


async def test_what_is_too_much_for_one_record_leaves_by_itself_and_in_order() -> None:
    world = World()
    sent = SentPositions(0)
    world.put(sent, *range(200))
    world.put(sent, *range(200, 300))
    await settle_down()
    assert {len(batches) for batches in world.told.values()} == {1}
    assert max(max(batch.offsets) for (batch,) in world.told.values()) == 199
    await world.publisher.depart()
    for batches in world.told.values():
        assert [batch.after_offset for batch in batches] == [-1, batches[0].offsets[-1]]


async def test_clicks_are_told_when_every_record_with_some_of_them_is_acknowledged() -> None:
    world = World()
    sent = SentPositions(0)
    waits = [asyncio.ensure_future(world.put(sent, n).acknowledged()) for n in range(8)]
    await world.publisher.depart()
    *records, last = world.publisher.sent[TOPIC]
    for record in records:
        record.acknowledge()
    await settle_down()
    assert not any(wait.done() for wait in waits)
    last.acknowledge()
    await settle_down()
    assert all(wait.done() for wait in waits)


async def test_a_later_departure_does_not_overtake_one_that_waits_in_the_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    sent = SentPositions(0)
    send, leader = world.publisher.send, asyncio.Event()
    calls: list[int] = []

    async def first_asks_for_a_leader(topic: str, partition: int, records: Any) -> Any:
        calls.append(partition)
        if len(calls) == 1:
            await leader.wait()
        return await send(topic, partition, records)

    monkeypatch.setattr(world.publisher, "send", first_asks_for_a_leader)
    for offset in range(10):
        world.put(sent, offset)
        await world.publisher.depart()
    assert not world.publisher.log
    leader.set()
    await settle_down()
    assert len(world.told) == PARTITIONS
    for batches in world.told.values():
        ends = [-1, *(batch.offsets[-1] for batch in batches)]
        assert [batch.after_offset for batch in batches] == ends[:-1]


async def test_what_keeps_records_from_leaving_reaches_everybody_who_waits_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()

    async def closed(*_: object, **__: object) -> None:
        raise PublishError("the client is closed")

    monkeypatch.setattr(world.publisher, "send", closed)
    told = [world.put(SentPositions(source), 0) for source in (0, 0, 1)]
    await world.publisher.depart()
    for each in told:
        with pytest.raises(PublishError, match="closed"):
            await each.acknowledged()
