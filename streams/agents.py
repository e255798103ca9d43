"""Agents: what happens to a delivered batch, in the order that the delivery guarantee needs.

For a batch of clicks (for transitions: `streams.graph_agent`):

1. fold it (pure), 2. send the changelog of the changed windows, 3. send dead letters and rekeyed
clicks, and hand the transitions to the outbox, which sends them soon, 4. hand the changed users to
the batcher, which sends their lists, 5. await the broker's acknowledgement of all of these, 6. move
the windows into the local store, 7. finish the delivery, so that its offset may be committed.

Steps 1 to 4 of a batch run while earlier batches of its partition are still at step 5; steps 6
and 7 are taken in order. A send that the client gave up on ends the process: nothing after it
was finished, so a restart replays it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from streams.batcher import Batcher
from streams.dead_letters import DeadLetters
from streams.effects import ClickEffects, Rekeyed
from streams.instant import iso_utc
from streams.list_queue import Ticket
from streams.metrics import Metrics
from streams.offsets import Delivery
from streams.partition import Partition
from streams.pipeline import ClickPipeline
from streams.publisher import Header, Publisher
from streams.quality import NextClick
from streams.receipt import Receipt, encode_receipt
from streams.sent import Sent
from streams.settings import Settings
from streams.stores import Change
from streams.topics import changelog_topic
from streams.transition_outbox import Told, TransitionOutbox

RawRecord = Any
"""An aiokafka ConsumerRecord."""

ORIGIN_HEADER = "ce_id"
"""A rekeyed click without an event id gets its origin as one, so that a replayed forward is
recognised as a duplicate."""


class ClickAgent:
    """Handles batches of the clicks topic and of the rekeyed topic."""

    def __init__(
        self,
        settings: Settings,
        pipeline: ClickPipeline,
        publisher: Publisher,
        batcher: Batcher,
        quality: NextClick,
        metrics: Metrics,
        *,
        dead_letters: DeadLetters,
        partition_of: Callable[[bytes], int],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._settings = settings
        self._pipeline = pipeline
        self._publisher = publisher
        self._batcher = batcher
        self._quality = quality
        self._metrics = metrics
        self._dead_letters = dead_letters
        self._partition_of = partition_of
        self._fail = fail
        self._windows_changelog = changelog_topic(settings, "windows")
        self._outbox = TransitionOutbox(pipeline, publisher, settings.transitions_topic)
        self._events = {
            name: metrics.events_total.labels(name) for name in settings.event_type_registry().names
        }
        # A replay must still find the predecessors of every click whose transitions may not
        # have left, so a user has at most this many clicks in flight.
        self._user_limit = max(1, settings.window_events - settings.predecessors)

    async def free(self, partition: Partition) -> None:
        """Wait until few enough batches of the partition are in flight for one more."""
        if not partition.is_free:
            self._publisher.hurry()
            async with partition.slots:
                pass

    async def handle(
        self,
        partition: Partition,
        topic: str,
        records: Sequence[RawRecord],
        delivery: Delivery,
        *,
        read_to_end_ms: int | None = None,
    ) -> None:
        """Take one delivered batch through steps 1 to 4; the rest happens in the background.

        read_to_end_ms: when the partition last had nothing unread before these records; None: never
        since it was assigned.
        """
        await partition.recovered.wait()
        keys = _clicks_by_key(records)
        limit = self._user_limit
        if partition.in_flight.fits(keys, limit):
            await self._handle(partition, topic, records, keys, delivery, read_to_end_ms)
            return
        parts = list(_cut(records, limit))
        for part in parts:
            self._publisher.hurry()
            await partition.drain()
            last = part is parts[-1]
            part_keys = _clicks_by_key(part)
            finishes = delivery if last else None
            await self._handle(partition, topic, part, part_keys, finishes, read_to_end_ms)

    async def _handle(
        self,
        partition: Partition,
        topic: str,
        records: Sequence[RawRecord],
        keys: Mapping[bytes | None, int],
        delivery: Delivery | None,
        read_to_end_ms: int | None,
    ) -> None:
        async with partition.taking_clicks:
            await self._publisher.room()
            await self.free(partition)
            await partition.slots.acquire()
            if partition.draining or partition.closed:
                partition.slots.release()
                return
            await self._take(partition, topic, records, keys, delivery, read_to_end_ms)

    async def _take(
        self,
        partition: Partition,
        topic: str,
        records: Sequence[RawRecord],
        keys: Mapping[bytes | None, int],
        delivery: Delivery | None,
        read_to_end_ms: int | None,
    ) -> None:
        partition.in_flight.begin(keys)
        is_clicks = topic == self._settings.clicks
        sent_positions = partition.clicks_sent if is_clicks else partition.rekeyed_sent
        effects = self._pipeline.fold(
            records, partition.windows, sent_positions.source, rekey=is_clicks
        )
        changes = partition.windows.take_changes()
        self._count(effects)
        number = partition.number
        changelog = await self._publisher.send(
            self._windows_changelog, number, changes, linger=True
        )
        others: list[Sent | Told] = []
        if effects.links.any:
            others.append(self._outbox.put(sent_positions, effects.links))
        if effects.dead_letters:
            others.append(await self._dead_letters.send(partition, topic, effects.dead_letters))
        others += [await self._forward(topic, number, rekeyed) for rekeyed in effects.rekeyed]
        for user_id, offset in effects.erased.items():
            others += await self._erase(partition, topic, user_id, offset)
        ticket = self._batcher.submit(
            partition, topic, effects.changed, read_to_end_ms=read_to_end_ms
        )
        partition.last_task = asyncio.create_task(
            self._finish(
                partition, partition.last_task, changes, changelog, others, ticket, keys, delivery
            )
        )

    async def _finish(
        self,
        partition: Partition,
        previous: asyncio.Task[None] | None,
        changes: list[Change],
        changelog: Sent,
        others: Sequence[Sent | Told],
        ticket: Ticket,
        keys: Mapping[bytes | None, int],
        delivery: Delivery | None,
    ) -> None:
        """Steps 5 to 7."""
        try:
            next_offset = await changelog.acknowledged()
            for sent in others:
                await sent.acknowledged()
            await ticket.published()
            if not await succeeded(previous) or partition.closed:
                return
            if changes:
                partition.windows.acknowledge(changes, next_offset)
            partition.in_flight.end(keys)
            if delivery is not None:
                delivery.finish()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._fail(error)
            raise
        finally:
            partition.slots.release()

    async def _forward(self, topic: str, number: int, rekeyed: Rekeyed) -> Sent:
        headers: list[Header] = list(rekeyed.headers)
        if not any(name == ORIGIN_HEADER for name, _ in headers):
            origin = f"{topic}/{number}/{rekeyed.record.offset}"
            headers.append((ORIGIN_HEADER, origin.encode()))
        return await self._publisher.send_one(
            self._settings.rekeyed_topic,
            self._partition_of(rekeyed.user_key),
            rekeyed.key,
            rekeyed.value,
            headers,
            rekeyed.record.timestamp,
        )

    async def _erase(
        self, partition: Partition, topic: str, user_id: str, offset: int
    ) -> list[Sent]:
        """Tombstone for the published list and for the last list, and a receipt."""
        settings = self._settings
        self._batcher.cancel(user_id)
        self._quality.forget(user_id)
        key = user_id.encode()
        receipt = Receipt(
            user_id=user_id,
            erased_at=iso_utc(self._batcher.now_ms()),
            source_partition=partition.number,
            source_offset=offset,
            source_topic=topic,
        )
        return [
            *await self._batcher.withdraw(partition, user_id),
            await self._publisher.send_one(
                settings.receipts_topic, None, key, encode_receipt(receipt)
            ),
        ]

    def _count(self, effects: ClickEffects) -> None:
        metrics = self._metrics
        for event_type, count in effects.events.items():
            self._events[event_type].inc(count)
        if effects.duplicates:
            metrics.duplicates_total.inc(effects.duplicates)
        if effects.screened:
            metrics.screened_total.inc(effects.screened)
        if effects.replayed:
            metrics.replayed_total.inc(effects.replayed)
        if effects.late:
            metrics.late_events_total.inc(effects.late)
        if effects.rekeyed:
            metrics.rekeyed_total.inc(len(effects.rekeyed))
        for letter in effects.dead_letters:
            metrics.rejects_total.labels(letter.reject.reason.value).inc()
        for _ in effects.erased:
            metrics.erasures_total.labels("erased").inc()
        verdicts = self._quality.judged(effects.trials)
        if verdicts:
            metrics.judged(verdicts)


async def succeeded(previous: asyncio.Task[None] | None) -> bool:
    """Wait for the batch before; False when it failed, and so must not be passed over."""
    if previous is None:
        return True
    if not previous.done():
        await asyncio.wait([previous])
    return not previous.cancelled() and previous.exception() is None


def _clicks_by_key(records: Sequence[RawRecord]) -> Mapping[bytes | None, int]:
    # A worker that keeps up has one, and to make a `Counter` takes longer than to count.
    if len(records) == 1:
        return {records[0].key: 1}
    return Counter([record.key for record in records])


def _cut(records: Sequence[RawRecord], limit: int) -> Iterator[list[RawRecord]]:
    """Cut a batch where a key would have more than `limit` records in one part."""
    part: list[RawRecord] = []
    counts: Counter[bytes | None] = Counter()
    for record in records:
        counts[record.key] += 1
        if counts[record.key] > limit:
            yield part
            part = []
            counts = Counter((record.key,))
        part.append(record)
    yield part
