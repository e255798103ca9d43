"""Batcher: changed users become published lists, many at a time.

One owner of the queue. A user who clicks again while waiting is scored once, on the latest
window. An idle engine takes what is there at once; while it works, the next batch is prepared
as soon as it is full or its oldest user has waited `batch_max_wait_seconds`, so that exactly one
prepared batch stands ready. Who has waited longer than `list_deadline_seconds` is served from
the graph: under overload lists get simpler, never silent, and the queue holds a user once.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from streams.instant import iso_utc
from streams.lists import ListRequest, RankedList
from streams.metrics import NO_VARIANT, Metrics
from streams.partition import LastList, Partition
from streams.pipeline import Change
from streams.publisher import Publisher, Sent
from streams.quality import NextClick
from streams.ranking import Prepared
from streams.recommendation import (
    DegradedReason,
    Latency,
    ModelInfo,
    Recommendation,
    Trigger,
    encode_recommendation,
)
from streams.recommender import Recommender
from streams.settings import Settings
from streams.topics import changelog_topic

if TYPE_CHECKING:
    from model.scorer import EncoderScorer, PreparedBatch, Scores

log = logging.getLogger(__name__)

VARIANT = "A"
_GRAPH_BATCH_USERS = 256


class Ticket:
    """What one batch of clicks waits for: the lists of its users, each published once or more."""

    __slots__ = ("_done", "_users")

    def __init__(self, users: int) -> None:
        self._users = users
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if users == 0:
            self._done.set_result(None)

    def settle(self) -> None:
        """One user's list is acknowledged, or not wanted any more."""
        self._users -= 1
        if self._users == 0 and not self._done.done():
            self._done.set_result(None)

    def fail(self, error: BaseException) -> None:
        """A list could not be published."""
        if not self._done.done():
            self._done.set_exception(error)

    async def published(self) -> None:
        """Wait for all of them; raises what `fail` was given."""
        await self._done


class Waiting(msgspec.Struct, gc=True, eq=False):
    """A user in the queue or being scored."""

    user_id: str
    partition: Partition
    topic: str
    change: Change
    since: float
    """Monotonic seconds at which the oldest unserved click came in."""
    tickets: list[Ticket]
    cancelled: bool = False
    settled: bool = False

    def settle(self) -> None:
        """Tell every batch that waits for this list."""
        self.settled = True
        for ticket in self.tickets:
            ticket.settle()


class Batcher:
    """Queue, engine thread and publication of lists."""

    def __init__(
        self,
        settings: Settings,
        recommender: Recommender,
        publisher: Publisher,
        quality: NextClick,
        metrics: Metrics,
        *,
        now_ms: Callable[[], int],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._settings = settings
        self._recommender = recommender
        self._publisher = publisher
        self._quality = quality
        self._metrics = metrics
        self.now_ms = now_ms
        self._fail = fail
        self.scorer: EncoderScorer | None = None
        """Replaced between two batches when another model is loaded."""
        self._without_model = DegradedReason.MODEL_MISSING if settings.encoder else None
        self._lists_changelog = changelog_topic(settings, "lists")
        self._waiting: dict[str, Waiting] = {}
        self._scoring: dict[str, list[Waiting]] = {}
        """Entries taken from the queue whose list is not out yet, oldest first."""
        self._arrived = asyncio.Event()
        self._engine = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._engine_free = asyncio.Event()
        self._engine_free.set()
        self._publication = asyncio.Lock()
        """First come, first served: lists of one user leave in the order they were made."""
        self._running: set[asyncio.Task[None]] = set()
        self._sequence = 0
        self._id_prefix = f"rec-{time.time_ns():x}-"

    # -- the queue

    def submit(self, partition: Partition, topic: str, changed: Mapping[str, Change]) -> Ticket:
        """Ask for the lists of changed users; a user already waiting is only brought up to date."""
        if not self._settings.lists:
            return Ticket(0)
        ticket = Ticket(len(changed))
        waiting = self._waiting
        now = time.monotonic()
        for user_id, change in changed.items():
            entry = waiting.get(user_id)
            if entry is None:
                waiting[user_id] = Waiting(user_id, partition, topic, change, now, [ticket])
            else:
                entry.partition = partition
                entry.topic = topic
                entry.change = change
                entry.tickets.append(ticket)
        if changed:
            self._arrived.set()
        return ticket

    def cancel(self, user_id: str) -> None:
        """The user was erased: no list of theirs may be published from what is known now."""
        entry = self._waiting.pop(user_id, None)
        if entry is not None:
            entry.settle()
        for entry in self._scoring.get(user_id, ()):
            entry.cancelled = True

    def abandon(self, partition: Partition) -> None:
        """The partition goes away: its users are served by whoever replays their clicks."""
        for user_id, entry in list(self._waiting.items()):
            if entry.partition is partition:
                del self._waiting[user_id]
                entry.settle()

    def __len__(self) -> int:
        """Users waiting to be scored."""
        return len(self._waiting)

    @property
    def oldest_wait_seconds(self) -> float:
        """How long the first user in the queue has waited."""
        first = next(iter(self._waiting.values()), None)
        return 0.0 if first is None else time.monotonic() - first.since

    async def run(self) -> None:
        """Serve the queue until cancelled."""
        try:
            while True:
                await self._batch_due()
                await self._next_batch()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._fail(error)
            raise
        finally:
            self._engine.shutdown(wait=False, cancel_futures=True)

    async def _batch_due(self) -> None:
        """Wait until there is someone to serve and the moment to take them has come."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        settings = self._settings
        while (
            not self._engine_free.is_set()
            and len(self._waiting) < settings.batch_max_users
            and self.oldest_wait_seconds < settings.batch_max_wait_seconds
        ):
            left = settings.batch_max_wait_seconds - self.oldest_wait_seconds
            try:
                await asyncio.wait_for(self._engine_free.wait(), max(left, 0.0))
            except TimeoutError:
                break

    async def _next_batch(self) -> None:
        scorer = self.scorer
        limit = self._settings.batch_max_users if scorer is not None else _GRAPH_BATCH_USERS
        users = list(islice(self._waiting, limit))
        entries = [self._waiting.pop(user_id) for user_id in users]
        for entry in entries:
            # From here on until its list is out, an erasure finds it there.
            self._scoring.setdefault(entry.user_id, []).append(entry)
        now = time.monotonic()
        deadline = self._settings.list_deadline_seconds
        if scorer is None:
            await self._serve(entries, None, self._without_model)
            await asyncio.sleep(0)
            return
        on_time = [entry for entry in entries if now - entry.since <= deadline]
        if len(on_time) < len(entries):
            late = [entry for entry in entries if now - entry.since > deadline]
            self._metrics.inference_total.labels("deadline").inc(len(late))
            await self._serve(late, None, DegradedReason.DEADLINE)
            await asyncio.sleep(0)
        if on_time:
            await self._serve(on_time, scorer, None)

    # -- one batch

    async def _serve(
        self,
        entries: Sequence[Waiting],
        scorer: "EncoderScorer | None",
        degraded: DegradedReason | None,
    ) -> None:
        for entry in entries:
            if not self._wanted(entry):
                self._discard(entry)
        entries = [entry for entry in entries if not entry.settled]
        if not entries:
            return
        taken = time.monotonic()
        requests = [self._request(entry) for entry in entries]
        prepared = self._recommender.prepare(requests, scorer)
        self._metrics.batch_size.observe(len(entries))
        if scorer is None or prepared.batch is None:
            await self._finish(entries, prepared, None, taken, 0.0, degraded, None)
            return
        # This prepared batch stands ready behind the one that is being scored.
        if not await self._engine_in_time():
            self._metrics.inference_total.labels("deadline").inc(len(entries))
            late = DegradedReason.DEADLINE
            await self._finish(entries, prepared, None, taken, 0.0, late, None)
            return
        self._engine_free.clear()
        task = asyncio.create_task(self._score(entries, prepared, scorer, taken))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _engine_in_time(self) -> bool:
        """Wait for the engine; False when it works on another batch for longer than the deadline.

        Counted from here, not from the oldest click: with a queue as long as the deadline, every
        batch would give up.
        """
        if self._engine_free.is_set():
            return True
        try:
            await asyncio.wait_for(self._engine_free.wait(), self._settings.list_deadline_seconds)
        except TimeoutError:
            return False
        return True

    def _engine_done(self, inference: "asyncio.Future[Scores]") -> None:
        self._engine_free.set()
        if not inference.cancelled():
            inference.exception()  # looked at, even where nobody waits for it any more

    async def _score(
        self,
        entries: Sequence[Waiting],
        prepared: Prepared,
        scorer: "EncoderScorer",
        taken: float,
    ) -> None:
        """Run the engine in its thread; a failure degrades this batch, not the worker.

        So does an engine that takes longer than the deadline. Its thread goes on, and until it
        comes back every list is served without it.
        """
        started = time.monotonic()
        scores: Scores | None = None
        degraded: DegradedReason | None = None
        model: ModelInfo | None = ModelInfo(scorer.name, scorer.version, VARIANT)
        outcome = "ok"
        try:
            inference = asyncio.get_running_loop().run_in_executor(
                self._engine, scorer.run, prepared.batch
            )
            inference.add_done_callback(self._engine_done)
            deadline = self._settings.list_deadline_seconds
            done, _ = await asyncio.wait({inference}, timeout=deadline)
            if not done:
                log.error(
                    "the encoder has taken longer than list_deadline_seconds (%g s) for %d lists; "
                    "they are served from the graph",
                    deadline,
                    len(entries),
                )
                outcome, degraded, model = "deadline", DegradedReason.DEADLINE, None
            elif (error := inference.exception()) is not None:
                log.error(
                    "the encoder failed on a batch; its users get graph lists", exc_info=error
                )
                outcome, degraded, model = "failed", DegradedReason.MODEL_FAILED, None
            else:
                scores = inference.result()
            seconds = time.monotonic() - started
            self._metrics.inference_total.labels(outcome).inc(len(entries))
            self._measure(scorer, prepared.batch, seconds)
            await self._finish(entries, prepared, scores, taken, seconds, degraded, model)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._fail(error)
            raise

    def _measure(
        self, scorer: "EncoderScorer", batch: "PreparedBatch | None", seconds: float
    ) -> None:
        if batch is None:
            return
        metrics = self._metrics
        metrics.inference_seconds.labels(scorer.provider, str(batch.longest)).observe(seconds)
        metrics.padding_ratio.observe(batch.padding_ratio)
        metrics.unknown_items_total.inc(batch.unknown_events)

    async def _finish(
        self,
        entries: Sequence[Waiting],
        prepared: Prepared,
        scores: "Scores | None",
        taken: float,
        inference_seconds: float,
        degraded: DegradedReason | None,
        model: ModelInfo | None,
    ) -> None:
        """Rank, build the messages, send them, and let the tickets know when acknowledged."""
        async with self._publication:
            await self._publish_ranked(
                entries, prepared, scores, taken, inference_seconds, degraded, model
            )

    async def _publish_ranked(
        self,
        entries: Sequence[Waiting],
        prepared: Prepared,
        scores: "Scores | None",
        taken: float,
        inference_seconds: float,
        degraded: DegradedReason | None,
        model: ModelInfo | None,
    ) -> None:
        ranked = self._recommender.finish(prepared, scores, degraded_reason=degraded, model=model)
        generated_ms = self.now_ms()
        by_partition: dict[Partition, list[tuple[Waiting, RankedList, bytes]]] = {}
        for entry, chosen in zip(entries, ranked, strict=True):
            self._supersede(entry)
            if not self._wanted(entry):
                continue
            message = self._message(entry, chosen, generated_ms, taken, inference_seconds)
            if self._settings.suppress_unchanged and self._unchanged(entry, chosen):
                self._metrics.unchanged_suppressed_total.inc()
                entry.settle()
                continue
            entry.partition.lists.put(
                entry.user_id,
                LastList(
                    message.recommendation_id,
                    generated_ms,
                    [item.item_id for item in chosen.items],
                ),
            )
            by_partition.setdefault(entry.partition, []).append(
                (entry, chosen, encode_recommendation(message))
            )
        for partition, lists in by_partition.items():
            await self._publish(partition, lists)

    async def _publish(
        self, partition: Partition, lists: list[tuple[Waiting, RankedList, bytes]]
    ) -> None:
        number = partition.number
        sent = await self._publisher.send(
            self._settings.recommendations,
            number,
            [(entry.user_id.encode(), body) for entry, _, body in lists],
        )
        changes = partition.lists.take_changes()
        changelog = await self._publisher.send(self._lists_changelog, number, changes)
        partition.last_list_task = asyncio.create_task(
            self._confirm(partition, partition.last_list_task, sent, changelog, changes, lists)
        )

    async def _confirm(
        self,
        partition: Partition,
        previous: asyncio.Task[None] | None,
        sent: Sent,
        changelog: Sent,
        changes: list[Any],
        lists: list[tuple[Waiting, RankedList, bytes]],
    ) -> None:
        try:
            await sent.acknowledged()
            next_offset = await changelog.acknowledged()
            if previous is not None:
                await asyncio.wait([previous])
            if changes and not partition.closed:
                partition.lists.acknowledge(changes, next_offset)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._metrics.publish_errors_total.inc()
            for entry, _, _ in lists:
                for ticket in entry.tickets:
                    ticket.fail(error)
            self._fail(error)
            raise
        metrics = self._metrics
        now_ms = self.now_ms()
        for entry, chosen, _ in lists:
            variant = VARIANT if chosen.model is not None else NO_VARIANT
            metrics.recommendations_total.labels(chosen.served_by, variant).inc()
            if chosen.degraded_reason is not None:
                metrics.degraded_total.labels(chosen.degraded_reason).inc()
            metrics.event_to_recommendation_seconds.observe(
                max(0.0, (now_ms - entry.change.record_time_ms) / 1000.0)
            )
            self._quality.on_list(
                entry.user_id,
                [item.item_id for item in chosen.items],
                chosen.graph_ids,
                chosen.popularity_ids,
                chosen.served_by,
            )
            entry.settle()

    async def withdraw(self, partition: Partition, user_id: str) -> list[Sent]:
        """Replace a user's published list, and what is remembered of it, by tombstones.

        Lists that are being sent go first, so that none of them follows the tombstone.
        """
        async with self._publication:
            partition.lists.delete(user_id)
            changes = partition.lists.take_changes()
            number = partition.number
            send = self._publisher.send
            sent = await send(self._settings.recommendations, number, [(user_id.encode(), None)])
            changelog = await send(self._lists_changelog, number, changes)
            partition.last_list_task = asyncio.create_task(
                self._confirm(partition, partition.last_list_task, sent, changelog, changes, [])
            )
        return [sent, changelog]

    # -- pieces

    def _supersede(self, entry: Waiting) -> None:
        """A newer list must not be followed by an older one: older entries hand over to it.

        It happens when a user who is being scored clicks again, and the second list is made
        without the engine because it is late.
        """
        scoring = self._scoring[entry.user_id]
        for older in scoring[: scoring.index(entry)]:
            if not older.cancelled:
                entry.tickets.extend(older.tickets)
                older.tickets = []
                older.cancelled = True
        self._discard(entry)

    def _discard(self, entry: Waiting) -> None:
        """No list is on its way for this entry any more."""
        scoring = self._scoring[entry.user_id]
        scoring.remove(entry)
        if not scoring:
            del self._scoring[entry.user_id]

    def _wanted(self, entry: Waiting) -> bool:
        if entry.cancelled or entry.partition.closed:
            entry.settle()
            return False
        return True

    def _request(self, entry: Waiting) -> ListRequest:
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

    def _unchanged(self, entry: Waiting, chosen: RankedList) -> bool:
        last = entry.partition.lists.get(entry.user_id)
        return last is not None and last.items == [item.item_id for item in chosen.items]

    def _message(
        self,
        entry: Waiting,
        chosen: RankedList,
        generated_ms: int,
        taken: float,
        inference_seconds: float,
    ) -> Recommendation:
        self._sequence += 1
        queue_seconds = taken - entry.since
        self._metrics.queue_seconds.observe(queue_seconds)
        return Recommendation(
            recommendation_id=f"{self._id_prefix}{self._sequence:x}",
            user_id=entry.user_id,
            generated_at=iso_utc(generated_ms),
            trigger=chosen.request.trigger,
            model=chosen.model,
            served_by=chosen.served_by,
            degraded_reason=chosen.degraded_reason,
            latency_ms=Latency(
                total=round(max(0, generated_ms - entry.change.record_time_ms), 3),
                queue=round(queue_seconds * 1000.0, 3),
                inference=round(inference_seconds * 1000.0, 3),
            ),
            items=chosen.items,
            window=chosen.window,
        )
