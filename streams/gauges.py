"""Gauges: what a running worker holds and waits for, written to the metrics once a second."""

import asyncio
from typing import TYPE_CHECKING, Any, cast

from faust.exceptions import ConsumerNotStarted

from streams.topics import changelog_topic

if TYPE_CHECKING:
    from streams.transport import BatchConsumer
    from streams.worker import Worker

_SECONDS = 1.0


class GroupError(RuntimeError):
    """The consumer group will not have this worker, with what to look at."""


class Gauges:
    """Read the parts of one worker, on its event loop, and set the gauges."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker

    async def run(self) -> None:
        """Until cancelled. Raises GroupError when the consumer group refuses the worker, which
        would else wait without a word.
        """
        while True:
            await asyncio.sleep(_SECONDS)
            self._check_group()
            self._state()
            self._lag()

    def _check_group(self) -> None:
        fault = cast("BatchConsumer", self._worker.app.consumer).group_fault()
        if fault is not None:
            settings = self._worker.settings
            raise GroupError(
                f"the consumer group {settings.group} refused this worker: {fault!r}; check "
                "its rights, and that session_timeout_seconds "
                f"({settings.session_timeout_seconds:g}) is within what the brokers allow "
                "(group.min.session.timeout.ms, group.max.session.timeout.ms)"
            )

    def _state(self) -> None:
        worker = self._worker
        metrics = worker.metrics
        items = len(worker.replica)
        metrics.queue_size.set(len(worker.batcher))
        metrics.oldest_pending_event_seconds.set(worker.batcher.oldest_wait_seconds)
        metrics.window_users.set(sum(len(p.windows) for p in worker.owned.values()))
        metrics.graph_items.set(items)
        metrics.graph_edges.set(worker.replica.edges)
        metrics.catalogue_items.set(len(worker.catalogue))
        metrics.cold_items.set(len(worker.cold_items))
        metrics.ready.set(not worker.health.reasons)
        if items:
            metrics.catalogue_coverage_ratio.set(worker.quality.distinct_items() / items)

    def _lag(self) -> None:
        worker = self._worker
        lag_of = worker.metrics.consumer_lag_records.labels
        changelog = changelog_topic(worker.settings, "graph")
        for number, records in worker.graph_follower.lag_records().items():
            lag_of(changelog, str(number)).set(records)
        consumer = worker.app.consumer
        try:
            highwaters = {tp: consumer.highwater(tp) for tp in consumer.assignment()}
        except (AssertionError, ConsumerNotStarted):
            return  # the assignment changed in the consumer's thread meanwhile
        for tp, highwater in highwaters.items():
            position = cast("Any", consumer)._read_offset[tp]
            if highwater is not None and position is not None:
                lag_of(tp.topic, str(tp.partition)).set(max(0, highwater - position))
