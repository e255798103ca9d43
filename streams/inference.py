"""Inference: one call of the encoder at a time, in a thread of its own or, if short, in place.

A call in the thread leaves the event loop to everything else, and nobody waits for it longer than
the deadline. But it needs the interpreter to begin and again to end, and a busy event loop gives
that away late: a few windows were scored in one millisecond and waited for through four. So what
will be short, by what the calls before took, is done in place. A processor does not hang where a
device can, so this is for the processor alone.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from streams.metrics import Metrics
from streams.recommendation import DegradedReason

if TYPE_CHECKING:
    from model.scorer import EncoderScorer, PreparedBatch, Scores

log = logging.getLogger(__name__)

_SHORT_SECONDS = 0.004
_WEIGHT_OF_LAST = 0.2
"""Of the last call, in the average that tells how long the next one takes."""


class Scored(NamedTuple):
    """What became of a call: scores, or why there are none."""

    scores: "Scores | None"
    seconds: float
    degraded: DegradedReason | None = None


class Answer(NamedTuple):
    """Scores, and what they took."""

    scores: "Scores"
    work_seconds: float
    """Of the processor, in the thread that called."""


class Inference:
    """Calls a scorer for prepared batches."""

    def __init__(
        self,
        metrics: Metrics,
        deadline_seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock`: seconds, by which calls are timed."""
        self._metrics = metrics
        self._clock = clock
        # Prometheus takes longer to find a series than to count in it.
        self._total_of = cache(metrics.inference_total.labels)
        self._seconds_of = cache(metrics.inference_seconds.labels)
        self._deadline_seconds = deadline_seconds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self.free = asyncio.Event()
        """Set while no call is under way in the thread."""
        self.free.set()
        self._known: EncoderScorer | None = None
        self._seconds_an_event = 0.0
        """Work of the known scorer's calls, padding included."""
        self._timed: EncoderScorer | None = None
        self._seconds_a_user = 0.0
        """What its calls took by the clock, those included that were given up."""

    def close(self) -> None:
        """No more calls; one that is under way is left alone."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def free_in_time(self) -> bool:
        """Wait for the thread; False when its call takes longer than the deadline from now on.

        Not counted from the oldest click: with a queue as long as the deadline, every batch would
        give up.
        """
        if self.free.is_set():
            return True
        try:
            await asyncio.wait_for(self.free.wait(), self._deadline_seconds)
        except TimeoutError:
            return False
        return True

    def is_short(self, scorer: "EncoderScorer", batch: "PreparedBatch") -> bool:
        """Whether to call for this batch in place."""
        return (
            self._known is scorer
            and scorer.computes_in_caller
            and self.free.is_set()
            and self._seconds_an_event * batch.padded_events <= _SHORT_SECONDS
        )

    def users_within(self, seconds: float) -> float:
        """How many users a call is done with in that time, by the calls before."""
        return seconds / self._seconds_a_user if self._seconds_a_user else math.inf

    def call(self, scorer: "EncoderScorer", batch: "PreparedBatch", users: int) -> Scored:
        """Call in place. A failure is a result."""
        began = self._clock()
        try:
            answer = _answer(scorer, batch)
        except Exception as error:  # noqa: BLE001  (the engine raises a dozen unrelated classes)
            return self._failed(error, scorer, batch, self._clock() - began, users)
        return self._succeeded(scorer, batch, answer, self._clock() - began, users)

    def begin(
        self, scorer: "EncoderScorer", batch: "PreparedBatch"
    ) -> "asyncio.Future[Answer | None]":
        """Call in the thread, which must be free. What comes of it is for `outcome`."""
        self.free.clear()
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer | None] = loop.create_future()
        self._thread.submit(self._in_thread, scorer, batch, answered)
        return answered

    def _in_thread(
        self,
        scorer: "EncoderScorer",
        batch: "PreparedBatch",
        answered: "asyncio.Future[Answer | None]",
    ) -> None:
        """As `run_in_executor`, which hands a result over from one future to another, and so
        through one pass more of an event loop that is busy.
        """
        answer: Answer | None = None
        error: Exception | None = None
        try:
            answer = _answer(scorer, batch)
        except Exception as raised:  # noqa: BLE001  (`outcome` looks at it)
            error = raised
        except BaseException as raised:  # noqa: BLE001  (would end the task that waits)
            error = RuntimeError(f"{type(raised).__name__}: {raised}")
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            answered.get_loop().call_soon_threadsafe(self._done, answered, answer, error)

    async def outcome(
        self,
        call: "asyncio.Future[Answer | None]",
        scorer: "EncoderScorer",
        batch: "PreparedBatch",
        users: int,
    ) -> Scored:
        """Wait for a call that has just begun, until the deadline. The thread goes on after it, and
        until it comes back `free` is not set.
        """
        began = self._clock()
        deadline = asyncio.get_running_loop().call_later(self._deadline_seconds, _give_up, call)
        try:
            answer = await call
        except Exception as error:  # noqa: BLE001  (the engine raises a dozen unrelated classes)
            return self._failed(error, scorer, batch, self._clock() - began, users)
        finally:
            deadline.cancel()
        seconds = self._clock() - began
        if answer is None:
            log.error(
                "the encoder has taken longer than list_deadline_seconds (%g s) for %d lists; "
                "they are served from the graph",
                self._deadline_seconds,
                users,
            )
            self._took(scorer, seconds / users)
            self._measure("deadline", scorer, batch, seconds, users)
            return Scored(None, seconds, DegradedReason.DEADLINE)
        return self._succeeded(scorer, batch, answer, seconds, users)

    def _done(
        self,
        answered: "asyncio.Future[Answer | None]",
        answer: Answer | None,
        error: Exception | None,
    ) -> None:
        self.free.set()
        if answered.done():  # given up
            return
        if error is None:
            answered.set_result(answer)
        else:
            answered.set_exception(error)
            answered.exception()  # looked at, even where nobody waits for it any more

    def _failed(
        self,
        error: BaseException,
        scorer: "EncoderScorer",
        batch: "PreparedBatch",
        seconds: float,
        users: int,
    ) -> Scored:
        log.error("the encoder failed on a batch; its users get graph lists", exc_info=error)
        self._measure("failed", scorer, batch, seconds, users)
        return Scored(None, seconds, DegradedReason.MODEL_FAILED)

    def _succeeded(
        self,
        scorer: "EncoderScorer",
        batch: "PreparedBatch",
        answer: Answer,
        seconds: float,
        users: int,
    ) -> Scored:
        seconds_an_event = answer.work_seconds / max(1, batch.padded_events)
        if self._known is not scorer:
            self._known, self._seconds_an_event = scorer, seconds_an_event
        self._seconds_an_event += _WEIGHT_OF_LAST * (seconds_an_event - self._seconds_an_event)
        self._took(scorer, seconds / users)
        self._measure("ok", scorer, batch, seconds, users)
        return Scored(answer.scores, seconds)

    def _took(self, scorer: "EncoderScorer", seconds_a_user: float) -> None:
        if self._timed is not scorer:
            self._timed, self._seconds_a_user = scorer, seconds_a_user
        self._seconds_a_user += _WEIGHT_OF_LAST * (seconds_a_user - self._seconds_a_user)

    def _measure(
        self,
        outcome: str,
        scorer: "EncoderScorer",
        batch: "PreparedBatch",
        seconds: float,
        users: int,
    ) -> None:
        metrics = self._metrics
        self._total_of(outcome).inc(users)
        self._seconds_of(scorer.provider, str(batch.longest)).observe(seconds)
        metrics.padding_ratio.observe(batch.padding_ratio)
        metrics.unknown_items_total.inc(batch.unknown_events)


def _give_up(call: "asyncio.Future[Answer | None]") -> None:
    if not call.done():
        call.set_result(None)


def _answer(scorer: "EncoderScorer", batch: "PreparedBatch") -> Answer:
    began = time.thread_time()
    scores = scorer.run(batch)
    return Answer(scores, time.thread_time() - began)
