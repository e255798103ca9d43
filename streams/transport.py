"""Transport: Faust's Kafka consumer, delivering one event per fetched batch of a partition.

Stock Faust starts four tasks per message and commits over unacknowledged work in several
corner cases. This transport hands every agent the raw records of one (fetch, partition) as
one event, decodes nothing, and commits only what `OffsetTracker` reports.

It overrides methods that faust-streaming does not promise to keep, hence the exact pin:
`_commit_handler`, `_commit_offsets`, `_drain_messages`, `_wait_next_records`, `_new_offset`,
`_filter_tps_with_pending_acks`, `wait_empty`, `on_partitions_revoked` and
`on_partitions_assigned`. `streams.loop_consumer` overrides those of its thread, and has none.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Protocol, cast

from faust.transport import drivers
from faust.transport.consumer import ensure_TP
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service

from streams.commit_pace import CommitPace
from streams.lease import HandoverError
from streams.loop_consumer import LoopConsumer
from streams.offsets import OffsetTracker
from streams.record_batch import RecordBatch

SCHEME = "freshrec"
"""URL scheme under which the transport is registered with Faust."""

_IDLE_SECONDS = 0.05
_FETCH_SECONDS = 0.25
"""Longest wait for records: how old the news of an idle partition's end may be."""
_DRAIN_SHARE_OF_REBALANCE_TIMEOUT = 0.8
_MOST_WAITING_BYTES = 64 * 1024 * 1024
"""Of records that wait for the agents; the fetch waits above that."""
_RECORD_BYTES = 256
"""What a record takes beside its value."""


class Lifecycle(Protocol):
    """Callbacks of the consumer into the shell (set once by the app before it starts)."""

    async def drain(self) -> None:
        """Finish what is in flight."""

    def committing(self) -> None:
        """Offsets are about to be committed."""

    async def revoked(self, partitions: set[TP]) -> None:
        """These partitions go away."""

    def assigned(self, partitions: set[TP]) -> None:
        """These partitions are ours now: all of them, not only new ones."""

    def fail(self, error: BaseException) -> None:
        """End the process: nothing may be sent or committed any more."""


class BatchConsumer(driver.Consumer):
    """Delivers batches; commits by `OffsetTracker`."""

    _thread: LoopConsumer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._untaken: dict[TP, RecordBatch] = {}
        self._waiting: set[int] = set()
        """Batches that no agent has taken, by identity."""
        self._waiting_bytes = 0
        """Of all of them."""
        self._room = asyncio.Event()
        super().__init__(*args, **kwargs)
        # To ask Faust's settings for something takes longer than most of what is done with it.
        self._most_records: int = self.app.conf.broker_max_poll_records
        self._event_type: Any = self.app.conf.Event
        self._pace = CommitPace(self.commit_interval)
        self.tracker = OffsetTracker(self._pace.rest)

    def group_fault(self) -> BaseException | None:
        """Why the group will not have this consumer any more, if so."""
        return self._thread.group_fault()

    @property
    def lifecycle(self) -> Lifecycle:
        return cast("Lifecycle", cast("Any", self.app).lifecycle)

    def _new_consumer_thread(self) -> LoopConsumer:
        return LoopConsumer(self, loop=self.loop, beacon=self.beacon)

    # -- offsets

    @Service.task
    async def _commit_handler(self) -> None:
        while not (await self.wait(self._pace.due())).stopped:
            await self.commit()

    async def _commit_offsets(
        self,
        offsets: Mapping[TP, int],
        start_new_transaction: bool = True,  # noqa: ARG002  (Faust's)
    ) -> bool:
        """As Faust's, which draws a table of the offsets for a log that nobody keeps, and has
        tables, transactions and a producer of its own to think of.
        """
        assignment = self.assignment()
        ours = {tp: offset for tp, offset in offsets.items() if tp in assignment}
        if not ours:
            return False
        self.lifecycle.committing()
        did_commit: bool = await self._commit(ours)
        self._committed_offset.update(ours)
        return did_commit

    def _new_offset(self, tp: TP) -> int | None:
        return self.tracker.committable(tp)

    def _filter_tps_with_pending_acks(
        self,
        topics: Any = None,  # noqa: ARG002  (all partitions commit together)
    ) -> Iterator[TP]:
        return iter(self.tracker.partitions())  # type: ignore[arg-type]

    async def wait_empty(self) -> None:
        """Before a rebalance and at shutdown: finish what is in flight, then commit it.

        What cannot be finished in time must not be sent once the partitions are another's, and
        the client takes nothing back: the process ends.
        """
        seconds = self.app.conf.broker_rebalance_timeout * _DRAIN_SHARE_OF_REBALANCE_TIMEOUT
        try:
            await asyncio.wait_for(self.lifecycle.drain(), seconds)
        except TimeoutError:
            self.lifecycle.fail(
                HandoverError(
                    f"sends in flight were not acknowledged within {seconds:.0f} s, and the "
                    "partitions have to be given up; a restart replays them"
                )
            )
            return
        await self.commit_and_end_transactions()
        # Where a periodic commit was under way, the call above only waited for that one.
        await self.commit_and_end_transactions()

    # -- rebalance

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self.tracker.drop(ensure_TP(tp))
        self._untaken.clear()
        self._waiting.clear()
        self._waiting_bytes = 0
        self._room.set()
        await self.lifecycle.revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self.lifecycle.assigned(assigned)
        await super().on_partitions_assigned(assigned, generation_id)

    # -- fetch and delivery

    async def _wait_next_records(self, timeout: float) -> tuple[Any, Any]:  # noqa: ASYNC109
        if not self.flow_active:
            await self.can_resume_flow.wait()
        active = self._get_active_partitions()
        if self.app.rebalancing or not active:
            # Until the rebalance is over and every partition stands at its committed offset,
            # a fetch could deliver records of a position that is about to change.
            await self.sleep(_IDLE_SECONDS)
            return {}, active
        return await self._getmany(active_partitions=set(active), timeout=timeout), active

    async def _drain_messages(self, fetcher: Any) -> None:
        stopped: Callable[[], bool] = self._stopped.is_set
        fetcher_stopped: Callable[[], bool] = fetcher._stopped.is_set
        app = self.app
        try:
            while not (stopped() or fetcher_stopped()):
                records, _ = await self._wait_next_records(_FETCH_SECONDS)
                if not records or self.should_stop:
                    continue
                assignment = self._thread.fetched_under
                fetched_after_ms = self._thread.fetched_after_ms
                await self._until_flow(assignment)
                for tp, batch in records.items():
                    if not self._deliverable(assignment):
                        break
                    await self._deliver(ensure_TP(tp), batch, assignment, fetched_after_ms.get(tp))
                await asyncio.sleep(0)
        except self.consumer_stopped_errors:
            if not app.should_stop:
                raise
        except asyncio.CancelledError:
            if not app.should_stop:
                raise

    def _ended(self, assignment: object | None) -> bool:
        return assignment is None or assignment is not self._thread.assignment_token

    def _deliverable(self, assignment: object | None) -> bool:
        """Records of an assignment that has ended must not be delivered: the next one begins at
        the committed offsets and brings them again.
        """
        return self.flow_active and not self._ended(assignment)

    async def _until_flow(self, assignment: object | None) -> None:
        """Wait while a rebalance that began with this assignment is being completed.

        The consumer has moved past these records, so they must not be dropped. What the seek to
        the committed offsets brings a second time is recognised by its offset.
        """
        while not self._ended(assignment) and (self.app.rebalancing or not self.flow_active):
            if self.should_stop:
                return
            await self.sleep(_IDLE_SECONDS)

    async def _deliver(
        self,
        tp: TP,
        records: list[Any],
        assignment: object | None,
        read_to_end_ms: int | None,
    ) -> None:
        read_offset = self._read_offset[tp]
        if read_offset is not None and records[0].offset < read_offset:
            records = [record for record in records if record.offset >= read_offset]
            if not records:
                return
        last = records[-1]
        size_bytes = _size_bytes(records)
        untaken = self._untaken.get(tp)
        if (
            untaken is not None
            and not untaken.taken
            and len(untaken.records) + len(records) <= self._most_records
            and self._has_room()
        ):
            untaken.records.extend(records)
            untaken.size_bytes += size_bytes
            untaken.delivery.last_offset = last.offset
            self._waiting_bytes += size_bytes
            self._read_offset[tp] = last.offset + 1
            return
        message = RecordBatch.of(
            tp,
            records,
            size_bytes,
            generation_id=self.app.consumer_generation_id,
            read_to_end_ms=read_to_end_ms,
            on_take=self._on_take,
        )
        channels = cast("Any", self.app.topics)._tp_index[tp]
        await self.app.flow_control.acquire()
        # Wait here and not in the queue: a rebalance clears the queues and cancels whoever waits
        # to put something into a full one, which would end the fetcher.
        while not self._has_room():
            self._room.clear()
            await self._room.wait()
        if not self._deliverable(assignment):
            return
        message.delivery = self.tracker.deliver(tp, last.offset)
        message.refcount += len(channels)
        self._read_offset[tp] = last.offset + 1
        self._untaken[tp] = message
        self._waiting.add(id(message))
        self._waiting_bytes += size_bytes
        for channel in channels:
            channel.queue.put_nowait(self._event_type(self.app, None, records, None, message))

    def _has_room(self) -> bool:
        return self._waiting_bytes < _MOST_WAITING_BYTES

    def _on_take(self, message: RecordBatch) -> None:
        if id(message) in self._waiting:  # one of an assignment that has ended is not
            self._waiting.remove(id(message))
            self._waiting_bytes -= message.size_bytes
            self._room.set()


def _size_bytes(records: list[Any]) -> int:
    values = sum([len(record.value) for record in records if record.value is not None])
    return values + _RECORD_BYTES * len(records)


class BatchTransport(driver.Transport):
    """Faust transport with `BatchConsumer`."""

    Consumer: ClassVar[type[BatchConsumer]] = BatchConsumer


def register() -> None:
    """Make `freshrec://host:port` a broker URL that Faust understands."""
    drivers.TRANSPORTS.aliases[SCHEME] = "streams.transport:BatchTransport"
