"""List publication: scored users become lists on the recommendations topic, in the order made.

1. Rank, and drop who is not wanted any more; a newer list takes over from an older one.
2. Remember the list as the user's last one and build its message.
3. Send the messages of a partition, then the changelog of what is remembered of them.
4. When both are acknowledged, and the confirmation before this one is over, mark the changes as
   stored, count the lists and tell the tickets.

One batch at a time passes steps 1 to 3, an erasure's tombstones as well: lists of one user leave
in the order they were made, and none follows its tombstone.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from streams.instant import iso_utc
from streams.list_headers import ListHeaders
from streams.list_queue import ListQueue, Waiting
from streams.lists import RankedList
from streams.metrics import DEFAULT_VARIANT, NO_VARIANT, Metrics
from streams.partition import LastList, Partition
from streams.publisher import Header, Publisher
from streams.quality import NextClick
from streams.ranking import Prepared
from streams.recommendation import (
    DegradedReason,
    Latency,
    ModelInfo,
    Recommendation,
    ServedBy,
    encode_recommendation,
    items_to_encode,
)
from streams.recommender import Recommender
from streams.sent import Sent
from streams.settings import Settings
from streams.topics import changelog_topic
from streams.turns import Turns

if TYPE_CHECKING:
    from model.scorer import Scores


class ScoredBatch(NamedTuple):
    """A batch of users on its way to their lists, with what the engine said of it."""

    entries: Sequence[Waiting]
    prepared: Prepared
    taken: float
    """Monotonic seconds at which the users left the queue."""
    scores: "Scores | None" = None
    """None: lists come from the graph."""
    inference_seconds: float = 0.0
    degraded: DegradedReason | None = None
    model: ModelInfo | None = None


class Made(NamedTuple):
    """A list on its way: who it is for, what it is, and its record."""

    entry: Waiting
    chosen: RankedList
    body: bytes
    headers: list[Header]


class ListPublication:
    """Makes, sends and confirms the lists of scored batches; withdraws those of erased users."""

    def __init__(
        self,
        settings: Settings,
        queue: ListQueue,
        recommender: Recommender,
        publisher: Publisher,
        quality: NextClick,
        metrics: Metrics,
        turns: Turns,
        *,
        now_ms: Callable[[], int],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._recommender = recommender
        self._publisher = publisher
        self._quality = quality
        self._metrics = metrics
        # Prometheus takes longer to find a series than to count in it.
        self._total_of = cache(metrics.recommendations_total.labels)
        self._turns = turns
        self._now_ms = now_ms
        self._fail = fail
        self._headers = ListHeaders(settings.group)
        self._changelog = changelog_topic(settings, "lists")
        self._one_at_a_time = asyncio.Lock()
        """First come, first served."""
        self._unconfirmed: dict[int, list[Made]] = {}
        """Lists on their way, by the identity of their batch."""
        self._sequence = 0
        self._id_prefix = f"rec-{time.time_ns():x}-"

    async def publish(self, batch: ScoredBatch, *, in_turn: bool = False) -> None:
        """Steps 1 to 3; the tickets hear of the lists when step 4 is done.

        `in_turn`: the caller's turn is for this, too.
        """
        async with self._one_at_a_time:
            if not in_turn:
                await self._turns.take_first()
            made = self._made(batch)
            for lists in made.values():
                self._unconfirmed[id(lists)] = lists
            try:
                for partition, lists in made.items():
                    records = [
                        (each.entry.user_id.encode(), each.body, each.headers) for each in lists
                    ]
                    await self._send(partition, records, lists)
            except BaseException:  # no confirmation will come
                for lists in made.values():
                    self._unconfirmed.pop(id(lists), None)
                raise

    @property
    def oldest_unconfirmed_seconds(self) -> float:
        """How long ago the oldest click came in whose list is made and not yet confirmed."""
        oldest = min(
            (each.entry.since for lists in self._unconfirmed.values() for each in lists),
            default=None,
        )
        return 0.0 if oldest is None else time.monotonic() - oldest

    async def withdraw(self, partition: Partition, user_id: str) -> list[Sent]:
        """Replace a user's published list, and what is remembered of it, by tombstones.

        Lists that are being sent go first, so that none of them follows the tombstone; they are
        not judged.
        """
        for lists in self._unconfirmed.values():
            for each in lists:
                if each.entry.user_id == user_id:
                    each.entry.cancelled = True
        async with self._one_at_a_time:
            partition.lists.delete(user_id)
            partition.recent_lists.forget(user_id)
            return await self._send(partition, [(user_id.encode(), None, [])], [])

    def _made(self, batch: ScoredBatch) -> dict[Partition, list[Made]]:
        """Steps 1 and 2: the lists to send, with their messages."""
        ranked = self._recommender.finish(
            batch.prepared, batch.scores, degraded_reason=batch.degraded, model=batch.model
        )
        generated_ms = self._now_ms()
        generated_at = iso_utc(generated_ms)
        inference_ms = round(batch.inference_seconds * 1000.0, 3)
        by_partition: dict[Partition, list[Made]] = {}
        for entry, chosen in zip(batch.entries, ranked, strict=True):
            self._queue.supersede(entry)
            if not entry.wanted():
                continue
            queue_seconds = batch.taken - entry.since
            self._metrics.queue_seconds.observe(queue_seconds)
            latency = Latency(
                total=max(0, generated_ms - entry.change.record_time_ms),
                queue=round(queue_seconds * 1000.0, 3),
                inference=inference_ms,
            )
            message = self._message(entry.user_id, chosen, generated_at, latency)
            if self._settings.suppress_unchanged and _unchanged(entry, chosen):
                self._metrics.unchanged_suppressed_total.inc()
                entry.settle()
                continue
            entry.partition.lists.put(
                entry.user_id,
                LastList(
                    message.recommendation_id,
                    generated_ms,
                    chosen.listed.ids,
                ),
            )
            body = encode_recommendation(message)
            entry.partition.recent_lists.put(entry.user_id, body)
            headers = self._headers.of(message.recommendation_id, generated_at, entry.change.trace)
            by_partition.setdefault(entry.partition, []).append(Made(entry, chosen, body, headers))
        return by_partition

    async def _send(
        self,
        partition: Partition,
        records: Sequence[tuple[bytes, bytes | None, list[Header]]],
        lists: list[Made],
    ) -> list[Sent]:
        """Step 3; step 4 goes on in the partition's `last_list_task`, for the lists among them."""
        number = partition.number
        sent = await self._publisher.send_with_headers(
            self._settings.recommendations, number, records
        )
        changes = partition.lists.take_changes()
        # Nobody waits for what is remembered of a list, but the commit.
        changelog = await self._publisher.send(self._changelog, number, changes, linger=True)
        partition.last_list_task = asyncio.create_task(
            self._confirm(partition, partition.last_list_task, sent, changelog, changes, lists)
        )
        return [sent, changelog]

    async def _confirm(
        self,
        partition: Partition,
        previous: asyncio.Task[None] | None,
        sent: Sent,
        changelog: Sent,
        changes: list[Any],
        lists: list[Made],
    ) -> None:
        """Step 4; a send that no broker takes fails the tickets and the worker."""
        try:
            await sent.acknowledged()
            published_ms = self._now_ms()
            next_offset = await changelog.acknowledged()
            if previous is not None and not previous.done():
                await asyncio.wait([previous])
            if changes and not partition.closed:
                partition.lists.acknowledge(changes, next_offset)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._metrics.publish_errors_total.inc()
            for each in lists:
                for ticket in each.entry.tickets:
                    ticket.fail(error)
            self._fail(error)
            raise
        finally:
            self._unconfirmed.pop(id(lists), None)
        self._count(lists, published_ms)
        for each in lists:
            if not each.entry.cancelled:  # else the user was erased since: nothing is remembered
                self._remember(each.entry.user_id, each.chosen)
            each.entry.settle()

    def _count(self, lists: Sequence[Made], published_ms: int) -> None:
        metrics = self._metrics
        observe_seconds = metrics.event_to_recommendation_seconds.observe
        # Mostly all lists of a batch are alike.
        alike: dict[tuple[ServedBy, bool, DegradedReason | None], int] = {}
        for each in lists:
            chosen = each.chosen
            kind = (chosen.served_by, chosen.model is None, chosen.degraded_reason)
            alike[kind] = alike.get(kind, 0) + 1
        for (served_by, no_model, degraded_reason), count in alike.items():
            variant = NO_VARIANT if no_model else DEFAULT_VARIANT
            self._total_of(served_by, variant).inc(count)
            if degraded_reason is not None:
                metrics.degraded_total.labels(degraded_reason).inc(count)
        for each in lists:
            observe_seconds(max(0.0, (published_ms - each.entry.change.record_time_ms) / 1000.0))

    def _remember(self, user_id: str, chosen: RankedList) -> None:
        """To judge the list by the user's next click."""
        self._quality.on_list(
            user_id,
            chosen.listed.ids,
            chosen.graph_ids,
            chosen.popularity_ids,
            chosen.served_by,
        )

    def _message(
        self, user_id: str, chosen: RankedList, generated_at: str, latency: Latency
    ) -> Recommendation:
        self._sequence += 1
        return Recommendation(
            recommendation_id=f"{self._id_prefix}{self._sequence:x}",
            user_id=user_id,
            generated_at=generated_at,
            trigger=chosen.request.trigger,
            model=chosen.model,
            served_by=chosen.served_by,
            degraded_reason=chosen.degraded_reason,
            latency_ms=latency,
            items=items_to_encode(chosen.listed),
            window=chosen.window,
        )


def _unchanged(entry: Waiting, chosen: RankedList) -> bool:
    last = entry.partition.lists.get(entry.user_id)
    return last is not None and last.items == chosen.listed.ids
