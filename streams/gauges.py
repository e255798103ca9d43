"""Gauges: what a running worker holds and waits for, written to the metrics once a second."""

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, cast

from faust.exceptions import ConsumerNotStarted

from streams.topics import TABLES, changelog_topic

if TYPE_CHECKING:
    from streams.transport import BatchConsumer
    from streams.worker import Worker

log = logging.getLogger(__name__)

_SECONDS = 1.0
_SLOWLY = 10
"""Rounds between two readings of what takes milliseconds and changes slowly."""


class GroupError(RuntimeError):
    """The consumer group will not have this worker, with what to look at."""


class Gauges:
    """Read the parts of one worker, on its event loop, and set the gauges."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker
        self._lagging: set[tuple[str, str]] = set()
        """Topics and partitions that have a series of their lag."""
        self._damaged = 0

    async def run(self) -> None:
        """Until cancelled. Raises GroupError when the consumer group refuses the worker, which
        would else wait without a word.
        """
        rounds = 0
        while True:
            await asyncio.sleep(_SECONDS)
            self._check_group()
            self._state()
            self._lag()
            if rounds % _SLOWLY == 0:
                self._sizes()
            rounds += 1

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
        metrics.queue_size.set(len(worker.batcher))
        metrics.oldest_pending_event_seconds.set(worker.batcher.oldest_pending_seconds)
        metrics.window_users.set(sum(len(p.windows) for p in worker.owned.values()))
        metrics.graph_items.set(len(worker.replica))
        metrics.graph_edges.set(worker.replica.edges)
        metrics.catalogue_items.set(len(worker.catalogue))
        metrics.cold_items.set(len(worker.cold_items))
        if (damaged := worker.replica.damaged) > self._damaged:
            self._damaged = damaged
            log.error(
                "item states could not be read %d times since the start, and lists are made "
                "without them; stop the worker that owns them, delete its state directory and "
                "start it again: it is rebuilt from the changelog",
                damaged,
            )
        metrics.ready.set(not worker.health.reasons)
        if worker.recovering_since is not None:
            metrics.table_recovery_seconds.set(time.monotonic() - worker.recovering_since)

    def _sizes(self) -> None:
        worker = self._worker
        metrics = worker.metrics
        for name in TABLES:
            size = sum(partition.table(name).size_bytes for partition in worker.owned.values())
            metrics.table_bytes.labels(name).set(size)
        if items := len(worker.replica):
            metrics.catalogue_coverage_ratio.set(worker.quality.distinct_items() / items)

    def _lag(self) -> None:
        worker = self._worker
        changelog = changelog_topic(worker.settings, "graph")
        lags = {
            (topic, str(number)): records
            for topic, follower in (
                (changelog, worker.read_models.graph),
                (worker.settings.items, worker.read_models.items),
            )
            for number, records in follower.lag_records().items()
        }
        consumer = worker.app.consumer
        try:
            highwaters = {tp: consumer.highwater(tp) for tp in consumer.assignment()}
        except (AssertionError, ConsumerNotStarted):
            return  # between two assignments
        for tp, highwater in highwaters.items():
            position = cast("Any", consumer)._read_offset[tp]
            if highwater is not None and position is not None:
                lags[tp.topic, str(tp.partition)] = max(0, highwater - position)
        gauge = worker.metrics.consumer_lag_records
        for gone in self._lagging - lags.keys():
            gauge.remove(*gone)  # another worker reads it now, and shows its lag
        for labels, records in lags.items():
            gauge.labels(*labels).set(records)
        self._lagging = set(lags)
