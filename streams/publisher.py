"""Publisher: packed batches to exact partitions, each with a future for its acknowledgement."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import MessageBatch
from aiokafka.structs import TopicPartition

from streams.client_options import aiokafka_options
from streams.lease import Lease, send_only_with
from streams.sent import Lane, Sent
from streams.settings import Settings
from streams.topics import MAX_RECORD_BYTES
from streams.wire import plan_wire_formats

Header = tuple[str, bytes]

_BATCH_BYTES = 512 * 1024
_MAX_QUEUED_BYTES = 32 * 1024 * 1024
# The client has one request under way to a broker: what nobody waits for but the commit leaves in
# few and large ones, which cost broker and worker less and leave the way free for lists.
_LINGER_SECONDS = 0.02
_UNTIL_DEPARTURE_SECONDS = 3600.0
"""For the client; the departure comes first."""
_NO_HEADERS: list[Header] = []


class Publisher:
    """An idempotent aiokafka producer that keeps the order within a partition."""

    def __init__(self, settings: Settings, lease: Lease | None = None) -> None:
        """`lease`: without it nothing is sent."""
        self._patience_seconds = settings.request_timeout_seconds
        plan_wire_formats()
        self._producer = AIOKafkaProducer(
            **aiokafka_options(settings),
            client_id="freshrec",
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=_BATCH_BYTES,
            max_request_size=MAX_RECORD_BYTES,
            request_timeout_ms=int(settings.request_timeout_seconds * 1000),
        )
        if lease is not None:
            send_only_with(lease, self._producer.client)
        self._lanes: dict[TopicPartition, Lane] = {}
        self._departure: asyncio.TimerHandle | None = None
        self._boarding: list[Callable[[], None]] = []
        self._queued_bytes = 0
        self._acknowledged = asyncio.Event()

    @property
    def queued_bytes(self) -> int:
        """Of packed batches that no broker has acknowledged yet."""
        return self._queued_bytes

    async def room(self) -> None:
        """Wait until little enough is queued: what a batch of clicks changes can be much larger
        than the clicks, and a broker slower than the folds.
        """
        while self._queued_bytes > _MAX_QUEUED_BYTES:
            self._acknowledged.clear()
            await self._acknowledged.wait()

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()

    async def stop(self) -> None:
        """Send what is queued and disconnect."""
        await self._producer.stop()

    async def send(
        self,
        topic: str,
        partition: int,
        records: Iterable[tuple[bytes | None, bytes | None]],
        *,
        linger: bool = False,
    ) -> Sent:
        """Queue keys and values, packed as full batches, in order.

        `linger`: they may leave a little later, with what else lingers by then; see `hurry`.
        """
        with_headers = ((key, value, _NO_HEADERS) for key, value in records)
        return await self._send(topic, partition, with_headers, linger=linger)

    async def send_with_headers(
        self,
        topic: str,
        partition: int,
        records: Iterable[tuple[bytes | None, bytes | None, list[Header]]],
    ) -> Sent:
        """Queue keys, values (both may be None) and headers, packed as full batches, in order."""
        return await self._send(topic, partition, records, linger=False)

    def before_departure(self, board: Callable[[], None]) -> None:
        """Call this once, right before what lingers leaves: soon, or when somebody is in a hurry.

        What it sends, or a task that it begins does at once, leaves along.
        """
        self._boarding.append(board)
        self._depart_soon()

    def hurry(self) -> None:
        """Have everything that is queued leave at once."""
        boarding, self._boarding = self._boarding, []
        for board in boarding:
            board()
        accumulator = self._producer._message_accumulator
        for batches in accumulator._batches.values():
            for batch in batches:
                batch._linger_time = 0.0
        self._wake()

    async def _send(
        self,
        topic: str,
        partition: int,
        records: Iterable[tuple[bytes | None, bytes | None, list[Header]]],
        *,
        linger: bool,
    ) -> Sent:
        """They go into the batch that waits for the partition, if one does: the client sends one
        batch of a partition at a time, so many small ones would wait for each other.
        """
        tp = TopicPartition(topic, partition)
        lane = self._lane(tp)
        futures: list[tuple[asyncio.Future[Any], int]] = []
        waiting = self._waiting(tp)
        batch = self._producer.create_batch() if waiting is None else waiting._builder
        first, size = batch.record_count(), batch.size()
        for key, value, headers in records:
            if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                if batch.record_count() > first:
                    futures.append(await self._queue(batch, size, tp, lane, linger=linger))
                batch = self._producer.create_batch()
                first, size = 0, batch.size()
                # The first record of a batch is taken whatever its size.
                batch.append(timestamp=None, key=key, value=value, headers=headers)
        if batch.record_count() > first:
            futures.append(await self._queue(batch, size, tp, lane, linger=linger))
        return Sent(futures, self._patience_seconds, lane)

    def _waiting(self, tp: TopicPartition) -> Any:
        """The client's batch that would leave last for a partition, if none has taken it up yet."""
        batches = self._producer._message_accumulator._batches.get(tp)
        # One that comes back for another try is built, and has its numbers.
        return batches[-1] if batches and not batches[-1].retry_count else None

    async def _queue(
        self, batch: Any, size_before: int, tp: TopicPartition, lane: Lane, *, linger: bool
    ) -> tuple[asyncio.Future[Any], int]:
        """Queue a batch behind those of its partition, unless it stands there already.

        `send_batch` waits until the one before has left, and the worker with it. What bounds the
        queue here is the number of record batches that the agents have in flight.
        """
        end, size = batch.record_count(), batch.size() - size_before
        accumulator = self._producer._message_accumulator
        is_open = not accumulator._closed and not accumulator._exception
        before = self._waiting(tp)
        is_queued = before is not None and before._builder is batch
        if before is not None and not (is_queued and linger):
            before._linger_time = 0.0
            self._wake()
        future: asyncio.Future[Any]
        if is_queued:
            future = before.future
        elif is_open and accumulator._batches.get(tp):
            future = accumulator._append_batch(batch, tp).future
        elif is_open and self._has_leader(tp):
            alone = self._linger if linger else accumulator._append_batch
            future = alone(batch, tp).future
        else:
            # This is also what makes a topic known to the client.
            future = await self._producer.send_batch(batch, tp.topic, partition=tp.partition)
        self._watch(future, lane, size)
        return future, end

    def _linger(self, batch: Any, tp: TopicPartition) -> MessageBatch:
        """Queue a batch that leaves with all that linger. As `_append_batch`, but the client is not
        woken for it, and sets no timer of its own for each.
        """
        self._depart_soon()
        accumulator = self._producer._message_accumulator
        queued = MessageBatch(tp, batch, accumulator._batch_ttl, _UNTIL_DEPARTURE_SECONDS)
        accumulator._batches[tp].append(queued)
        return queued

    def _depart_soon(self) -> None:
        if self._departure is None:
            loop = asyncio.get_running_loop()
            self._departure = loop.call_later(_LINGER_SECONDS, self._depart)

    def _has_leader(self, tp: TopicPartition) -> bool:
        leader = self._producer.client.cluster.leader_for_partition(tp)
        return leader is not None and leader >= 0

    def _depart(self) -> None:
        self._departure = None
        self.hurry()

    def _wake(self) -> None:
        """Have the client look for what lingers no more."""
        waiter = self._producer._message_accumulator.waiter()
        if not waiter.done():
            waiter.set_result(None)

    def _lane(self, tp: TopicPartition) -> Lane:
        lane = self._lanes.get(tp)
        if lane is None:
            lane = self._lanes[tp] = Lane()
        return lane

    def _watch(self, future: asyncio.Future[Any], lane: Lane, size: int) -> None:
        """Note when a batch has left the queue, whatever becomes of it. A failure is thereby looked
        at, even where nobody waits for it any more.
        """
        self._queued_bytes += size

        def left(done: asyncio.Future[Any]) -> None:
            self._queued_bytes -= size
            self._acknowledged.set()
            if not done.cancelled() and done.exception() is None:
                lane.acknowledged_at = time.monotonic()

        future.add_done_callback(left)

    async def send_one(
        self,
        topic: str,
        partition: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[Header] = (),
        timestamp_ms: int | None = None,
    ) -> Sent:
        """Queue one record with headers."""
        future = await self._producer.send(
            topic, value, key, partition=partition, timestamp_ms=timestamp_ms, headers=headers
        )
        lane = self._lane(TopicPartition(topic, partition))
        self._watch(future, lane, 0)
        return Sent([(future, 1)], self._patience_seconds, lane)
