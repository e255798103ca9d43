"""Batcher: changed users become published lists, many at a time.

One owner of the queue. A user who clicks again while waiting is scored once, on the latest
window. An idle engine takes what is there at once; while it works, the next batch is prepared
as soon as it is full or its oldest user has waited `batch_max_wait_seconds`, so that exactly one
prepared batch stands ready. A list costs less in a large batch, but one of all who wait would
leave the engine without work while the next is prepared: of a long queue a batch takes half. Who
has waited longer than `list_deadline_seconds` is served from the graph: under overload lists get
simpler, never silent, and the queue holds a user once. The time that a click waited in Kafka
counts: a worker that is behind makes cheap lists until it is not.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from streams.effects import Change
from streams.fetch_gate import FetchGate
from streams.inference import Answer, Inference, Scored
from streams.instant import iso_utc
from streams.list_publication import ListPublication, ScoredBatch
from streams.list_queue import ListQueue, Ticket, Waiting
from streams.lists import ListRequest
from streams.metrics import DEFAULT_VARIANT, Metrics
from streams.partition import Partition
from streams.publisher import Publisher
from streams.quality import NextClick
from streams.recommendation import DegradedReason, ModelInfo, Trigger
from streams.recommender import Recommender
from streams.sent import Sent
from streams.settings import Settings
from streams.turns import Turns

if TYPE_CHECKING:
    from model.scorer import EncoderScorer

_GRAPH_BATCH_USERS = 256
_LONG_QUEUE_USERS = 128
"""Of a longer queue a batch takes half; of a shorter one as many as half of this."""
_SHARE_OF_DEADLINE = 0.25
"""That a call of the engine should take at most: those behind it have a deadline, too."""


class Batcher:
    """Takes users from the queue through the engine's thread to the publication of their lists."""

    def __init__(
        self,
        settings: Settings,
        recommender: Recommender,
        publisher: Publisher,
        quality: NextClick,
        metrics: Metrics,
        turns: Turns,
        fetch_gate: FetchGate,
        *,
        now_ms: Callable[[], int],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._settings = settings
        self._recommender = recommender
        self._metrics = metrics
        self._turns = turns
        self._fetch_gate = fetch_gate
        self.now_ms = now_ms
        self._fail = fail
        self.scorer: EncoderScorer | None = None
        """Replaced between two batches when another model is loaded."""
        self._without_model = DegradedReason.MODEL_MISSING if settings.encoder else None
        self._queue = ListQueue()
        self._publication = ListPublication(
            settings,
            self._queue,
            recommender,
            publisher,
            quality,
            metrics,
            turns,
            now_ms=now_ms,
            fail=fail,
        )
        self._inference = Inference(metrics, settings.list_deadline_seconds)
        self._running: set[asyncio.Task[None]] = set()

    def submit(
        self,
        partition: Partition,
        topic: str,
        changed: Mapping[str, Change],
        *,
        read_to_end_ms: int | None = None,
    ) -> Ticket:
        """Ask for the lists of changed users, whose clicks came after `read_to_end_ms`."""
        if not self._settings.lists:
            return Ticket(0)
        ticket = self._queue.put(
            partition, topic, changed, now_ms=self.now_ms(), read_to_end_ms=read_to_end_ms
        )
        if changed and self._inference.free.is_set():
            self._fetch_gate.close()
        return ticket

    def cancel(self, user_id: str) -> None:
        """The user was erased: no list of theirs may be published from what is known now."""
        self._queue.cancel(user_id)
        self._open_for_nobody()

    def abandon(self, partition: Partition) -> None:
        """The partition goes away: its users are served by whoever replays their clicks."""
        self._queue.abandon(partition)
        self._open_for_nobody()

    def _open_for_nobody(self) -> None:
        """No batch comes that would open the gate."""
        if not len(self._queue):
            self._fetch_gate.open()

    async def withdraw(self, partition: Partition, user_id: str) -> list[Sent]:
        """Replace an erased user's published list by tombstones; call `cancel` first."""
        return await self._publication.withdraw(partition, user_id)

    def __len__(self) -> int:
        """Users waiting to be scored."""
        return len(self._queue)

    @property
    def oldest_pending_seconds(self) -> float:
        """How long ago the oldest click came in whose list no broker has acknowledged yet."""
        return max(self._queue.oldest_pending_seconds, self._publication.oldest_unconfirmed_seconds)

    async def run(self) -> None:
        """Serve the queue until cancelled."""
        try:
            while True:
                await self._batch_due()
                await self._turns.take()
                try:
                    await self._next_batch()
                finally:
                    self._fetch_gate.open()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._fail(error)
            raise
        finally:
            self._inference.close()

    async def _batch_due(self) -> None:
        """Wait until there is someone to serve and the moment to take them has come."""
        queue = self._queue
        await queue.someone()
        settings = self._settings
        while (
            not self._inference.free.is_set()
            and len(queue) < settings.batch_max_users
            and queue.oldest_wait_seconds < settings.batch_max_wait_seconds
        ):
            left = settings.batch_max_wait_seconds - queue.oldest_wait_seconds
            try:
                await asyncio.wait_for(self._inference.free.wait(), max(left, 0.0))
            except TimeoutError:
                break

    async def _next_batch(self) -> None:
        scorer = self.scorer
        entries = self._queue.take(_GRAPH_BATCH_USERS if scorer is None else self._most_users())
        now = time.monotonic()
        deadline = self._settings.list_deadline_seconds
        if scorer is None:
            await self._serve(entries, None, self._without_model)
            await asyncio.sleep(0)
            return
        on_time = [entry for entry in entries if now - entry.arrived <= deadline]
        if len(on_time) < len(entries):
            late = [entry for entry in entries if now - entry.arrived > deadline]
            self._metrics.inference_total.labels("deadline").inc(len(late))
            await self._serve(late, None, DegradedReason.DEADLINE)
            await asyncio.sleep(0)
        if on_time:
            await self._serve(on_time, scorer, None)

    def _most_users(self) -> int:
        """Of a batch for the engine."""
        settings = self._settings
        half = max(_LONG_QUEUE_USERS, len(self._queue)) // 2
        in_time = self._inference.users_within(settings.list_deadline_seconds * _SHARE_OF_DEADLINE)
        return int(max(1, min(settings.batch_max_users, half, in_time)))

    async def _serve(
        self,
        entries: Sequence[Waiting],
        scorer: "EncoderScorer | None",
        degraded: DegradedReason | None,
    ) -> None:
        for entry in entries:
            if not entry.wanted():
                self._queue.release(entry)
        entries = [entry for entry in entries if not entry.settled]
        if not entries:
            return
        taken = time.monotonic()
        prepared = self._recommender.prepare([_request(entry) for entry in entries], scorer)
        batch = ScoredBatch(entries, prepared, taken)
        self._metrics.batch_size.observe(len(entries))
        if scorer is None or prepared.batch is None:
            await self._publication.publish(batch._replace(degraded=degraded))
            return
        inference = self._inference
        if inference.is_short(scorer, prepared.batch):
            # All in the turn that the batch was prepared in: so little is soonest done at once.
            scored = inference.call(scorer, prepared.batch, len(entries))
            await self._publish(batch, scorer, scored, in_turn=True)
            return
        # This prepared batch stands ready behind the one that is being scored.
        if not await inference.free_in_time():
            self._metrics.inference_total.labels("deadline").inc(len(entries))
            await self._publication.publish(batch._replace(degraded=DegradedReason.DEADLINE))
            return
        call = inference.begin(scorer, prepared.batch)
        task = asyncio.create_task(self._score(batch, scorer, call))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _score(
        self, batch: ScoredBatch, scorer: "EncoderScorer", call: "asyncio.Future[Answer | None]"
    ) -> None:
        """Wait for the engine's thread; a failure degrades this batch, not the worker."""
        try:
            users = len(batch.entries)
            scored = await self._inference.outcome(call, scorer, batch.prepared.batch, users)
            await self._publish(batch, scorer, scored)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._fail(error)
            raise

    async def _publish(
        self, batch: ScoredBatch, scorer: "EncoderScorer", scored: Scored, *, in_turn: bool = False
    ) -> None:
        model = None
        if scored.degraded is None:
            model = ModelInfo(scorer.name, scorer.version, DEFAULT_VARIANT)
        await self._publication.publish(
            batch._replace(
                scores=scored.scores,
                inference_seconds=scored.seconds,
                degraded=scored.degraded,
                model=model,
            ),
            in_turn=in_turn,
        )


def _request(entry: Waiting) -> ListRequest:
    change = entry.change
    return ListRequest(
        user_id=entry.user_id,
        window=change.window,
        trigger=Trigger(
            change.event_id,
            entry.topic,
            entry.partition.number,
            change.offset,
            iso_utc(change.event_time_ms),
        ),
        partition=entry.partition.number,
        now_ms=change.record_time_ms,
        enqueued_at_seconds=entry.since,
    )
