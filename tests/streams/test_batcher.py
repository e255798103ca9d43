"""Batcher: one list for many clicks, no list too late, none after an erasure, none out of order."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from streams.effects import Change
from streams.list_queue import Ticket
from streams.window import Window
from tests.streams.batcher_bench import Bench
from tests.streams.shell_fakes import (
    NOW_MS,
    settle_down,
    until,
)

DEADLINE_MS = 30_000


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """With a deadline that no list misses by the time that a busy machine takes."""
    async with Bench(list_deadline_seconds=DEADLINE_MS / 1000, lookup_token="t0ken") as bench:
        yield bench


def done(ticket: Ticket) -> bool:
    return ticket._done.done()


async def test_a_user_who_clicks_again_while_waiting_gets_one_list_of_the_newest_click(
    bench: Bench,
) -> None:
    tickets = [bench.clicks(u1=1), bench.clicks(u1=2, u2=3), bench.clicks(u1=4)]
    assert len(bench.batcher) == 2
    bench.start()
    for ticket in tickets:
        await ticket.published()
    assert sorted(bench.triggers) == [("u1", 4), ("u2", 3)]  # type: ignore[type-var]


async def test_a_list_is_a_cloud_event_with_the_trace_of_its_click_and_a_tombstone_is_none(
    bench: Bench,
) -> None:
    trace = (("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),)
    change = Change(Window(), None, 1, NOW_MS, NOW_MS, trace)
    ticket = bench.batcher.submit(bench.partition, "clicks", {"ann": change})
    bench.start()
    await ticket.published()
    await bench.batcher.withdraw(bench.partition, "ann")
    (message, tombstone) = bench.lists
    (headers, none) = bench.publisher.headers[bench.settings.recommendations]
    assert message is not None
    assert headers["ce_id"].decode() == message["recommendation_id"]
    assert headers["ce_time"].decode() == message["generated_at"]
    assert dict(trace).items() <= headers.items()
    assert (tombstone, none) == (None, {})


async def test_a_ticket_waits_until_the_broker_has_the_list_and_what_is_remembered_of_it(
    bench: Bench,
) -> None:
    bench.publisher.generous = False
    ticket = bench.clicks(u1=1)
    bench.start()
    await until(lambda: bench.publisher.sent["freshrec-lists-changelog"])
    for topic in (bench.settings.recommendations, "freshrec-lists-changelog"):
        await settle_down()
        assert not done(ticket)
        bench.publisher.acknowledge(topic)
    await ticket.published()


async def test_a_click_is_pending_until_its_list_is_acknowledged(bench: Bench) -> None:
    bench.publisher.generous = False
    ticket = bench.clicks(ann=1)
    assert bench.batcher.oldest_pending_seconds > 0
    bench.start()
    await until(lambda: bench.publisher.sent["freshrec-lists-changelog"])
    assert len(bench.batcher) == 0
    assert bench.batcher.oldest_pending_seconds > 0
    for topic in (bench.settings.recommendations, "freshrec-lists-changelog"):
        bench.publisher.acknowledge(topic)
    await until(lambda: done(ticket))
    assert bench.batcher.oldest_pending_seconds == 0


async def test_how_late_a_list_came_leaves_out_what_is_remembered_of_it(bench: Bench) -> None:
    bench.publisher.generous = False
    ticket = bench.clicks(ann=1)
    bench.start()
    await until(lambda: bench.publisher.sent["freshrec-lists-changelog"])
    publication = bench.batcher._publication
    for topic, seconds in ((bench.settings.recommendations, 2), ("freshrec-lists-changelog", 3)):
        publication._now_ms = lambda seconds=seconds: NOW_MS + 1_000 * seconds  # type: ignore[misc]
        bench.publisher.acknowledge(topic)
        await settle_down()
    await ticket.published()
    assert publication._metrics.event_to_recommendation_seconds._sum.get() == 2.0


async def test_an_engine_that_fails_degrades_its_lists_and_not_the_worker(bench: Bench) -> None:
    bench.scorer.error = RuntimeError("out of memory")
    bench.start(with_model=True)
    await bench.clicks(u1=1).published()
    bench.scorer.error = None
    await bench.clicks(u1=2).published()
    told = [(entry["served_by"], entry["degraded_reason"]) for entry in bench.lists if entry]
    assert told == [("graph", "model_failed"), ("bert+graph", None)]


async def test_nothing_comes_between_the_steps_of_lists_that_are_scored_in_place(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.scorer.computes_in_caller = True
    bench.start(with_model=True)
    await bench.clicks(u1=1).published()  # from then on a call is known to be short
    recommender = bench.batcher._recommender
    prepare, finish = recommender.prepare, recommender.finish
    done: list[str] = []

    def preparing(*args: Any) -> Any:
        done.append("prepared")
        asyncio.get_running_loop().call_soon(done.append, "others")
        return prepare(*args)

    def finishing(*args: Any, **named: Any) -> Any:
        done.append("finished")
        return finish(*args, **named)

    monkeypatch.setattr(recommender, "prepare", preparing)
    monkeypatch.setattr(recommender, "finish", finishing)
    await bench.clicks(u1=2).published()
    assert done == ["prepared", "finished", "others"]


async def test_a_newer_list_is_never_followed_by_an_older_one() -> None:
    bench = Bench(list_deadline_seconds=600.0)
    bench.scorer.go_on.clear()
    bench.start(with_model=True)
    first = bench.clicks(u1=1)
    await until(lambda: bench.scorer.runs == 1)
    # The second click's list is made without the engine, which is still at the first.
    bench.batcher.scorer = None
    second = bench.clicks(u1=2)
    await second.published()
    await first.published()
    bench.scorer.go_on.set()
    await until(lambda: not bench.batcher._running)
    assert bench.triggers == [("u1", 2)]
    assert bench.batcher._queue._taken == {}
    await bench.stop()
    assert bench.failures == []


async def test_an_erased_user_who_waits_gets_no_list(bench: Bench) -> None:
    ticket = bench.clicks(u1=1, u2=2)
    bench.batcher.cancel("u1")
    bench.start()
    await ticket.published()
    assert bench.triggers == [("u2", 2)]


async def test_an_erased_user_who_is_being_scored_gets_no_list() -> None:
    bench = Bench(list_deadline_seconds=600.0)
    bench.scorer.go_on.clear()
    bench.start(with_model=True)
    ticket = bench.clicks(u1=1, u2=2)
    await until(lambda: bench.scorer.runs == 1)
    bench.batcher.cancel("u1")
    bench.scorer.go_on.set()
    await ticket.published()
    assert bench.triggers == [("u2", 2)]
    assert bench.batcher._queue._taken == {}
    await bench.stop()


async def test_an_erased_user_who_was_taken_but_not_yet_scored_gets_no_list(bench: Bench) -> None:
    """Late users are served first; the others of the batch must be found meanwhile."""
    late = bench.clicks_of(NOW_MS - DEADLINE_MS - 10, None, late=1)
    ticket = bench.clicks(u1=2, u2=3)
    gate = bench.publisher.held[bench.settings.recommendations] = asyncio.Event()
    bench.start(with_model=True)
    await until(lambda: not len(bench.batcher))
    bench.batcher.cancel("u1")
    gate.set()
    await late.published()
    await ticket.published()
    assert bench.triggers == [("late", 1), ("u2", 3)]
    assert bench.batcher._queue._taken == {}


async def test_a_list_on_its_way_out_goes_before_the_tombstone(bench: Bench) -> None:
    gate = bench.publisher.held[bench.settings.recommendations] = asyncio.Event()
    ticket = bench.clicks(u1=1)
    bench.start()
    await until(lambda: not len(bench.batcher))
    await settle_down()
    bench.batcher.cancel("u1")
    assert bench.partition.recent_lists.get("u1") is not None
    withdrawal = asyncio.create_task(bench.batcher.withdraw(bench.partition, "u1"))
    await settle_down()
    gate.set()
    await withdrawal
    assert bench.partition.recent_lists.get("u1") is None
    await ticket.published()
    assert bench.quality.on_click("u1", "after 1") is None
    assert bench.triggers == [("u1", 1), None]
    assert bench.publisher.values("freshrec-lists-changelog")[-1] is None


async def test_a_list_that_is_not_yet_acknowledged_is_not_judged_after_the_erasure(
    bench: Bench,
) -> None:
    bench.publisher.generous = False
    ticket = bench.clicks(u1=1, u2=2)
    bench.start()
    await until(lambda: len(bench.triggers) == 2)
    await settle_down()
    bench.batcher.cancel("u1")
    bench.quality.forget("u1")
    await bench.batcher.withdraw(bench.partition, "u1")
    for topic in list(bench.publisher.sent):
        bench.publisher.acknowledge(topic)
    await ticket.published()
    assert bench.quality.on_click("u1", "after 1") is None
    assert bench.quality.on_click("u2", "after 2") is not None


async def test_lists_of_a_partition_that_went_away_are_not_published(bench: Bench) -> None:
    tickets = [bench.clicks(u1=1)]
    bench.batcher.abandon(bench.partition)
    tickets.append(bench.clicks(u2=2))
    bench.partition.close()
    bench.start()
    for ticket in tickets:
        await ticket.published()
    assert bench.triggers == []


async def test_a_list_equal_to_the_last_one_is_not_repeated_when_told_so() -> None:
    bench = Bench(suppress_unchanged=True)
    bench.start()
    for offset in (7, 7, 8):
        await bench.clicks(u1=offset).published()
    assert bench.triggers == [("u1", 7), ("u1", 8)]
    await bench.stop()


async def test_a_list_that_no_broker_takes_ends_the_worker() -> None:
    bench = Bench()
    bench.publisher.generous = False
    ticket = bench.clicks(u1=1)
    bench.start()
    await until(lambda: bench.publisher.sent["freshrec-lists-changelog"])
    bench.publisher.sent[bench.settings.recommendations][0].give_up()
    with pytest.raises(RuntimeError, match="did not acknowledge"):
        await ticket.published()
    assert len(bench.failures) == 1
    task = bench.partition.last_list_task
    assert task is not None
    await asyncio.gather(task, return_exceptions=True)
    await bench.stop()
