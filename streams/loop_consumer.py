"""Loop consumer: the Kafka client in the worker's own event loop; it knows under which assignment
records were fetched, and what was read to its end.

Faust gives the client a thread, so that agents which block the loop do not cost the membership.
Here nothing blocks it for that long, and whoever did should not keep partitions. Two threads that
both work in Python wait for the interpreter at every step of a fetch, and take it from each other
in the middle of one. What reads much at once lets the loop run in between (`streams.follower`).

It overrides methods of Faust's `AIOKafkaConsumerThread` that faust-streaming does not promise to
keep, hence the exact pin: `_create_worker_consumer`, `_fetch_records`, `_gather_remaining_tasks`,
`getmany`, `start`, `stop`, `on_start`, `on_partitions_revoked` and `on_partitions_assigned`.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import aiokafka
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.client_options import aiokafka_options
from streams.fetch_gate import FetchGate, hold_back
from streams.fetching import (
    close_without_cancelling,
    find_leaders_again,
    hand_out_as_parsed,
)
from streams.header_names import read_any_header_name
from streams.lease import Lease, renew_by_heartbeats
from streams.settings import Settings
from streams.wire import plan_wire_formats


def read_ends(assignment: Any) -> dict[TP, int]:
    """Partitions of an aiokafka assignment that are read to their end, and when that was known.

    Milliseconds since the epoch by this worker's clock: those of the fetch that told the end.
    """
    ends = {}
    for tp in assignment.tps:
        state = assignment.state_value(tp)
        if (
            state.has_valid_position
            and state.highwater is not None
            and state.timestamp is not None
            and state.position >= state.highwater
        ):
            ends[tp] = state.timestamp
    return ends


class LoopConsumer(driver.AIOKafkaConsumerThread):
    """What Faust takes for its consumer's thread, and is a task of the loop it is made for."""

    _serving: asyncio.Task[None] | None = None

    def __init__(self, *args: Any, loop: asyncio.AbstractEventLoop, **kwargs: Any) -> None:
        self.assignment_token: object | None = None
        """Stands for the current assignment; None between two of them."""
        self.fetched_under: object | None = None
        """The assignment that the records of the last fetch belong to."""
        self.fetched_after_ms: Mapping[TP, int] = {}
        """When each partition had last been read to its end before the last fetch."""
        self._read_to_end_ms: dict[TP, int] = {}
        super().__init__(*args, loop=loop, thread_loop=loop, **kwargs)

    async def start(self) -> None:
        """Serve, and wait until the client has its first metadata. Raises what it raises."""
        self._thread_started.set()
        running = self._thread_running = self.parent_loop.create_future()
        self._serving = self.parent_loop.create_task(self._serve_until_stopped())
        try:
            await running
        finally:
            self._thread_running = None

    async def _serve_until_stopped(self) -> None:
        try:
            await self._serve()
        except Exception:  # noqa: BLE001  (`_serve` has told it, and crashed the worker)
            self.set_shutdown()

    async def stop(self) -> None:
        """Leave the group and close the client."""
        await super().stop()
        if self._serving is not None and not self._serving.done():
            await asyncio.wait([self._serving])

    async def _gather_remaining_tasks(self) -> None:
        """Faust's cancels all tasks of the loop, which are others' here."""

    def group_fault(self) -> BaseException | None:
        """Why the group will not have this consumer any more, if so.

        aiokafka keeps such a fault for the next read, and waits. Faust's reads never ask for it.
        """
        coordinator = getattr(self._consumer, "_coordinator", None)
        if coordinator is None:
            return None
        pending: BaseException | None = coordinator._pending_exception
        task = coordinator._coordination_task
        if pending is None and task.done() and not task.cancelled():
            pending = task.exception()
        return pending

    async def getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109
        """Records of these partitions, waiting so many seconds for the first of them.

        Faust lets every call stand in a queue, whose workers wait for a click through several
        tasks.
        """
        consumer = self._ensure_consumer()
        return await self._fetch_records(
            consumer,
            active_partitions,
            timeout=timeout,
            max_records=cast("Any", consumer)._max_poll_records,
        )

    async def on_start(self) -> None:
        await super().on_start()
        lease: Lease = cast("Any", self.app).lease
        renew_by_heartbeats(cast("Any", self._consumer)._coordinator, lease)
        fetcher = cast("Any", self._consumer)._fetcher
        find_leaders_again(fetcher)
        hand_out_as_parsed(fetcher)
        fetch_gate: FetchGate = cast("Any", self.app).fetch_gate
        hold_back(fetcher, fetch_gate)
        close_without_cancelling(fetcher)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self.assignment_token = None
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self.assignment_token = object()
        self._read_to_end_ms = {}
        await super().on_partitions_assigned(assigned, generation_id)

    async def _fetch_records(self, *args: Any, **kwargs: Any) -> Any:
        before, assignment = self._read_to_end_ms, self.assignment_token
        records = await super()._fetch_records(*args, **kwargs)
        # A fetch can begin under one assignment and, since it waits for the rebalance, return
        # records of the next.
        self.fetched_under = self.assignment_token
        # Ends of an assignment that is over were reached from other positions.
        self.fetched_after_ms = before if assignment is self.assignment_token else {}
        subscription = cast("Any", self._consumer)._subscription.subscription
        if subscription is not None and subscription.assignment is not None:
            ends = read_ends(subscription.assignment)
            self._read_to_end_ms = {**self._read_to_end_ms, **ends}
        return records

    def _create_worker_consumer(
        self,
        transport: Any,  # noqa: ARG002
    ) -> aiokafka.AIOKafkaConsumer:
        conf = self.app.conf
        settings: Settings = cast("Any", self.app).settings
        # Faust's assignor only matters for Faust's own tables. Range keeps partition i of every
        # topic with the same number of partitions on one member, which is what ours need.
        self._assignor = RangePartitionAssignor
        read_any_header_name()
        plan_wire_formats()
        return aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            partition_assignment_strategy=[RangePartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=conf.broker_max_poll_records,
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000.0),
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_wait_ms=int(settings.fetch_max_wait_seconds * 1000.0),
            request_timeout_ms=int(conf.broker_request_timeout * 1000.0),
            check_crcs=conf.broker_check_crcs,
            session_timeout_ms=int(conf.broker_session_timeout * 1000.0),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000.0),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000.0),
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
            **aiokafka_options(cast("Any", self.app).settings),
        )
