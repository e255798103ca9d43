"""Agents: nothing is committed before every one of its effects is acknowledged."""

import asyncio
import itertools
from typing import Any

import pytest

from streams.agents import ClickAgent
from streams.dead_letters import DeadLetters
from streams.metrics import Metrics
from streams.offsets import Delivery
from streams.pipeline import ClickPipeline
from streams.quality import NextClick
from tests.streams.shell_fakes import (
    FakePublisher,
    FakeRecord,
    click,
    make_batcher,
    make_partition,
    make_settings,
    settle_down,
    until,
)

WINDOWS = "freshrec-windows-changelog"
LISTS = "freshrec-lists-changelog"
EFFECTS = (
    WINDOWS, "freshrec-transitions", "clicks.dead-letter", "freshrec-rekeyed", "recommendations",
    LISTS,
)  # fmt: skip


class Bench:
    """A click agent and a batcher between a partition in memory and a fake broker."""

    def __init__(self, **more: Any) -> None:
        self.settings = make_settings(**more)
        self.publisher = FakePublisher()
        self.failures: list[BaseException] = []
        self.largest_dead_letter_bytes = 1_000_000
        self.metrics = Metrics(self.settings.event_type_registry().names)
        self.batcher = make_batcher(self.settings, self.publisher, self.failures)
        fakes: Any = (self.publisher, self.batcher)
        self.agent = ClickAgent(
            self.settings,
            ClickPipeline(self.settings.pipeline_config(1)),
            *fakes,
            NextClick(),
            self.metrics,
            dead_letters=DeadLetters(self.settings, fakes[0], 1_000_000, self._ask_largest_bytes),
            partition_of=lambda _: 0,
            fail=self.failures.append,
        )
        self.partition = make_partition(self.settings)
        self.partition._dead_letters = {}
        self._run = asyncio.create_task(self.batcher.run())

    async def _ask_largest_bytes(self) -> int:
        return self.largest_dead_letter_bytes

    async def handle(self, *records: FakeRecord, topic: str = "clicks") -> Delivery:
        delivery = Delivery(records[-1].offset)
        await self.agent.handle(self.partition, topic, records, delivery)
        await settle_down()  # what the graph is told has left
        return delivery

    async def stop(self) -> None:
        self._run.cancel()
        await asyncio.gather(self._run, return_exceptions=True)


MIXED = (
    click(0, "u1", "i1"),
    click(1, "u1", "i2"),
    FakeRecord(2, b"u1", b"{"),
    click(3, "u2", "i3")._replace(key=None),
)


@pytest.mark.parametrize("last", EFFECTS)
async def test_a_batch_is_finished_only_when_all_its_effects_are_acknowledged(last: str) -> None:
    for order in itertools.permutations([topic for topic in EFFECTS if topic != last]):
        bench = Bench()
        delivery = await bench.handle(*MIXED)
        await until(lambda bench=bench: bench.publisher.sent[LISTS])
        assert all(bench.publisher.sent[topic] for topic in EFFECTS)
        for topic in order:
            bench.publisher.acknowledge(topic)
            await settle_down()
            assert not delivery.done, order
            assert bench.partition.windows.next_offset == 0
        bench.publisher.acknowledge(last)
        await settle_down()
        assert delivery.done, order
        assert bench.partition.windows.next_offset > 0
        assert not bench.partition.in_flight
        await bench.stop()
        assert bench.failures == []


async def test_batches_are_finished_in_order_though_acknowledged_in_reverse() -> None:
    bench = Bench(lists=False)
    first = await bench.handle(click(0, "u1", "i1"))
    second = await bench.handle(click(1, "u1", "i2"))
    publisher = bench.publisher
    for topic in (WINDOWS, "freshrec-transitions"):
        publisher.sent[topic][1].acknowledge()
    await settle_down()
    assert (first.done, second.done) == (False, False)
    for topic in (WINDOWS, "freshrec-transitions"):
        publisher.acknowledge(topic)
    await settle_down()
    assert (first.done, second.done) == (True, True)
    assert bench.partition.windows.next_offset == 2
    await bench.stop()


async def test_what_nobody_waits_for_but_the_commit_lingers_and_lists_do_not() -> None:
    bench = Bench()
    await bench.handle(*MIXED)
    await until(lambda: bench.publisher.sent["freshrec-lists-changelog"])
    assert bench.publisher.sent[LISTS]
    assert bench.publisher.lingering == {WINDOWS, "freshrec-lists-changelog"}
    assert bench.publisher.boarded == 1  # what the graph is told waits for them to leave
    await bench.stop()


async def test_a_batch_that_waits_for_one_before_it_hurries_what_lingers() -> None:
    bench = Bench(lists=False, max_in_flight_batches=1)
    await bench.handle(click(0, "u1", "i1"))
    assert bench.publisher.hurries == 0
    waiting = asyncio.create_task(bench.handle(click(1, "u1", "i2")))
    await settle_down()
    assert (bench.publisher.hurries, waiting.done()) == (1, False)
    for topic in (WINDOWS, "freshrec-transitions"):
        bench.publisher.acknowledge(topic)
    await asyncio.wait_for(waiting, 5.0)
    await bench.stop()


async def test_who_waits_until_a_partition_is_free_hurries_what_lingers_and_takes_nothing() -> None:
    bench = Bench(lists=False, max_in_flight_batches=1)
    await bench.agent.free(bench.partition)
    assert bench.publisher.hurries == 0
    await bench.handle(click(0, "u1", "i1"))
    waiting = asyncio.create_task(bench.agent.free(bench.partition))
    await settle_down()
    assert (bench.publisher.hurries, waiting.done()) == (1, False)
    for topic in (WINDOWS, "freshrec-transitions"):
        bench.publisher.acknowledge(topic)
    await asyncio.wait_for(waiting, 5.0)
    assert bench.partition.is_free
    await bench.stop()


@pytest.mark.parametrize("topic", EFFECTS[:4])
async def test_a_send_given_up_ends_the_worker_and_nothing_after_it_is_finished(topic: str) -> None:
    bench = Bench(lists=False)
    first = await bench.handle(*MIXED)
    second = await bench.handle(click(4, "u1", "i5"))
    bench.publisher.sent[topic][0].give_up()
    for other in EFFECTS:
        bench.publisher.acknowledge(other)
    await settle_down()
    assert (first.done, second.done) == (False, False)
    assert [type(failure).__name__ for failure in bench.failures] == ["PublishError"]
    assert bench.partition.windows.next_offset == 0
    task = bench.partition.last_task
    assert task is not None
    await asyncio.wait([task])
    await bench.stop()


async def test_a_user_has_no_more_clicks_in_flight_than_a_replay_can_find_again() -> None:
    bench = Bench(lists=False, window_events=8, predecessors=5)
    records = [click(n, "busy" if n % 2 else f"u{n}", f"i{n}") for n in range(14)]
    handled = asyncio.create_task(bench.handle(*records))
    sends = bench.publisher.sent[WINDOWS]
    for parts in (1, 2, 3):
        await settle_down()
        assert bench.publisher.hurries == min(parts + 1, 3)
        assert len(sends) == parts
        assert bench.partition.in_flight.of(b"busy") <= 3
        for topic in (WINDOWS, "freshrec-transitions"):
            bench.publisher.acknowledge(topic)
    delivery = await handled
    await settle_down()
    assert delivery.done
    window = bench.partition.windows.get("busy")
    assert window is not None
    assert len(window) == 7
    await bench.stop()


async def test_a_dead_letter_written_before_a_crash_is_not_written_again() -> None:
    bench = Bench(lists=False)
    bench.partition._dead_letters = {"clicks": {5}, "freshrec-rekeyed": {6}}
    await bench.handle(*(FakeRecord(offset, b"u1", b"{") for offset in (5, 6, 7)))
    assert [len(sent) for sent in (bench.publisher.values("clicks.dead-letter"),)] == [2]
    await bench.stop()


async def test_an_erasure_is_finished_when_tombstones_and_receipt_are_acknowledged() -> None:
    bench = Bench()
    bench.publisher.generous = True
    await bench.handle(click(0, "u1", "i1"))
    await until(lambda: bench.publisher.sent[LISTS])
    bench.publisher.generous = False
    delivery = await bench.handle(FakeRecord(1, b"u1", None))
    for topic in (WINDOWS, "recommendations", LISTS, "freshrec-receipts"):
        await settle_down()
        assert not delivery.done
        assert topic == "freshrec-receipts" or bench.publisher.values(topic)[-1] is None
        bench.publisher.acknowledge(topic)
    await settle_down()
    assert delivery.done
    await bench.stop()


async def test_draining_takes_nothing_new_and_waits_for_a_batch_half_taken() -> None:
    bench = Bench(lists=False)
    gate = bench.publisher.held[WINDOWS] = asyncio.Event()
    taking = asyncio.create_task(bench.handle(click(0, "u1", "i1")))
    await settle_down()
    bench.partition.draining = True
    draining = asyncio.create_task(bench.partition.drain())
    gate.set()
    delivery = await taking
    refused = await bench.handle(click(1, "u1", "i2"))
    await settle_down()
    assert not draining.done()
    for topic in (WINDOWS, "freshrec-transitions"):
        bench.publisher.acknowledge(topic)
    await draining
    assert (delivery.done, refused.done) == (True, False)
    assert len(bench.publisher.values(WINDOWS)) == 1
    await bench.stop()


async def test_no_clicks_are_folded_while_too_much_is_queued() -> None:
    bench = Bench(lists=False)
    bench.publisher.free.clear()
    waiting = asyncio.create_task(bench.handle(click(0, "u1", "i1")))
    await settle_down()
    assert bench.publisher.log == []
    assert bench.partition.windows.get("u1") is None
    bench.publisher.free.set()
    await asyncio.wait_for(waiting, 5)
    assert bench.publisher.sent[WINDOWS]
    await bench.stop()


async def test_an_agent_that_waits_for_a_recovery_goes_on_when_the_partition_is_taken_away() -> (
    None
):
    bench = Bench(lists=False)
    bench.partition.recovered.clear()
    waiting = asyncio.create_task(bench.handle(click(0, "u1", "i1")))
    await settle_down()
    assert not waiting.done()
    bench.partition.close()
    delivery = await asyncio.wait_for(waiting, 5)
    assert not delivery.done
    assert bench.publisher.log == []
    await bench.stop()


async def test_what_is_acknowledged_after_the_partition_went_away_changes_no_store() -> None:
    bench = Bench(lists=False)
    delivery = await bench.handle(click(0, "u1", "i1"))
    bench.partition.close()
    for topic in EFFECTS:
        bench.publisher.acknowledge(topic)
    await settle_down()
    assert not delivery.done
    assert bench.partition.windows.next_offset == 0
    assert bench.failures == []
    await bench.stop()
