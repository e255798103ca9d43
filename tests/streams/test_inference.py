"""Inference: short calls in place, all others in the thread, and none that harms more than its
lists.
"""

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from model.artifact import DEMO_ARTIFACT
from model.scorer import EncoderScorer
from streams.inference import Inference, Scored
from streams.metrics import Metrics
from streams.recommendation import DegradedReason
from tests.streams.shell_fakes import FAKE_BATCH, FakeScorer, until

BATCH: Any = FAKE_BATCH
LONG: Any = SimpleNamespace(**{**vars(FAKE_BATCH), "padded_events": 50_000_000})


class Bench:
    """Inference with a fake engine and a clock that the test moves."""

    def __init__(self, deadline_seconds: float) -> None:
        self.metrics = Metrics()
        self.now = 0.0
        self.inference = Inference(self.metrics, deadline_seconds, clock=lambda: self.now)
        self.scorer: Any = FakeScorer()
        self.scorer.computes_in_caller = True

    async def in_thread(self) -> Scored:
        call = self.inference.begin(self.scorer, BATCH)
        return await self.inference.outcome(call, self.scorer, BATCH, 3)

    def count(self, outcome: str) -> float:
        value = self.metrics.inference_total.labels(outcome)._value
        return float(value.get())


def work(seconds: float) -> None:
    """Keep the processor for so long."""
    began = time.thread_time()
    while time.thread_time() < began + seconds:
        pass


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """With a deadline that no call misses, however busy the machine is."""
    bench = Bench(30)
    yield bench
    bench.inference.close()


@pytest.fixture
async def hasty() -> AsyncIterator[Bench]:
    """With a deadline that a test can wait for."""
    bench = Bench(0.05)
    bench.scorer.go_on.clear()
    yield bench
    bench.scorer.go_on.set()
    bench.inference.close()


async def test_the_first_call_of_a_scorer_is_in_the_thread_and_short_ones_after_it_in_place(
    bench: Bench,
) -> None:
    assert not bench.inference.is_short(bench.scorer, BATCH)
    assert (await bench.in_thread()).scores is not None
    assert bench.inference.is_short(bench.scorer, BATCH)
    assert bench.inference.call(bench.scorer, BATCH, 3).scores is not None
    here = threading.current_thread().name
    assert bench.scorer.threads[0].startswith("inference")
    assert bench.scorer.threads[1:] == [here]
    assert bench.count("ok") == 6


async def test_what_will_take_long_by_the_calls_before_is_not_done_in_place(bench: Bench) -> None:
    await bench.in_thread()
    assert not bench.inference.is_short(bench.scorer, LONG)
    # An engine that has become slow is left to the thread from then on.
    bench.scorer.run = lambda _: work(0.03)
    bench.inference.call(bench.scorer, BATCH, 1)
    assert not bench.inference.is_short(bench.scorer, BATCH)


async def test_a_device_that_may_hang_is_never_waited_for_in_place(bench: Bench) -> None:
    bench.scorer.computes_in_caller = False
    await bench.in_thread()
    assert not bench.inference.is_short(bench.scorer, BATCH)


async def test_another_scorer_is_unknown_again(bench: Bench) -> None:
    await bench.in_thread()
    other: Any = FakeScorer()
    other.computes_in_caller = True
    assert not bench.inference.is_short(other, BATCH)


async def test_nothing_is_done_in_place_while_a_call_is_under_way(bench: Bench) -> None:
    await bench.in_thread()
    bench.scorer.go_on.clear()
    call = bench.inference.begin(bench.scorer, BATCH)
    assert not bench.inference.is_short(bench.scorer, BATCH)
    bench.scorer.go_on.set()
    await call
    await until(bench.inference.free.is_set)
    assert bench.inference.is_short(bench.scorer, BATCH)


@pytest.mark.parametrize("in_place", [True, False])
async def test_a_call_that_fails_says_so_in_place_and_in_the_thread(
    bench: Bench, in_place: bool
) -> None:
    bench.scorer.error = RuntimeError("out of memory")
    if in_place:
        scored = bench.inference.call(bench.scorer, BATCH, 3)
    else:
        scored = await bench.in_thread()
    assert (scored.scores, scored.degraded) == (None, DegradedReason.MODEL_FAILED)
    assert bench.count("failed") == 3
    assert not bench.inference.is_short(bench.scorer, BATCH)


async def test_what_ends_a_thread_is_a_failed_call_like_any_other(bench: Bench) -> None:
    def leave(_: object) -> None:
        raise SystemExit(3)

    bench.scorer.run = leave
    scored = await asyncio.wait_for(bench.in_thread(), 10)
    assert scored.degraded is DegradedReason.MODEL_FAILED
    assert bench.inference.free.is_set()


async def test_the_thread_is_waited_for_until_the_deadline_and_used_when_it_comes_back(
    hasty: Bench,
) -> None:
    scored = await hasty.in_thread()
    assert (scored.scores, scored.degraded) == (None, DegradedReason.DEADLINE)
    assert not await hasty.inference.free_in_time()
    hasty.scorer.go_on.set()
    await asyncio.wait_for(hasty.inference.free.wait(), 10)
    assert await hasty.inference.free_in_time()
    hasty.inference._deadline_seconds = 30
    assert (await hasty.in_thread()).degraded is None
    assert (hasty.count("deadline"), hasty.count("ok")) == (3, 3)


async def test_how_many_a_call_is_done_with_in_time_is_told_by_the_calls_before(
    bench: Bench,
) -> None:
    def taking(seconds: float) -> Any:
        def run(_: object) -> None:
            bench.now += seconds

        return SimpleNamespace(**{**vars(FakeScorer), "run": run})

    inference = bench.inference
    assert inference.users_within(0.01) == math.inf
    scorer = taking(0.03)
    inference.call(scorer, BATCH, 3)
    assert inference.users_within(0.01) == pytest.approx(1)
    inference.call(scorer, BATCH, 1)  # 10 ms a user before, 30 now, of which a fifth counts
    assert inference.users_within(0.01) == pytest.approx(1 / 1.4)
    inference.call(taking(0.003), BATCH, 3)
    assert inference.users_within(0.01) == pytest.approx(10)


async def test_a_call_that_is_given_up_counts_as_one_that_took_until_then(hasty: Bench) -> None:
    call = asyncio.create_task(hasty.in_thread())
    await asyncio.sleep(0)
    hasty.now += 0.06
    assert (await call).degraded is DegradedReason.DEADLINE
    assert hasty.inference.users_within(0.06) == pytest.approx(3)


async def test_an_answer_that_nobody_waits_for_any_more_is_passed_over(hasty: Bench) -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    await hasty.in_thread()
    hasty.scorer.go_on.set()
    await asyncio.wait_for(hasty.inference.free.wait(), 10)
    await asyncio.sleep(0)
    assert faults == []


def test_an_encoder_of_several_threads_computes_elsewhere() -> None:
    assert EncoderScorer.load(DEMO_ARTIFACT, engine="cpu").computes_in_caller
    assert not EncoderScorer.load(DEMO_ARTIFACT, engine="cpu", threads=2).computes_in_caller
