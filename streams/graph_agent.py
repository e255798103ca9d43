"""Graph agent: a delivered batch of transitions becomes items of the graph, on disk and everywhere.

The order is that of `streams.agents`, with nobody who waits for it: fold, send the changelog, and
once the broker has that, store, show the items to the lists, finish the delivery.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from streams.agents import RawRecord, succeeded
from streams.graph_pipeline import GraphPipeline
from streams.metrics import Metrics
from streams.offsets import Delivery
from streams.partition import Partition
from streams.publisher import Publisher
from streams.sent import Sent
from streams.settings import Settings
from streams.stores import Change
from streams.topics import changelog_topic
from streams.transitions import CHAIN_KEY

log = logging.getLogger(__name__)


class GraphAgent:
    """Handles batches of the transitions topic: fold, changelog, acknowledge, finish."""

    def __init__(
        self,
        settings: Settings,
        pipeline: GraphPipeline,
        publisher: Publisher,
        metrics: Metrics,
        *,
        on_items: Callable[[int, list[Change], int], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._pipeline = pipeline
        self._publisher = publisher
        self._metrics = metrics
        self._on_items = on_items
        self._fail = fail
        self._changelog = changelog_topic(settings, "graph")

    async def handle(
        self, partition: Partition, records: Sequence[RawRecord], delivery: Delivery
    ) -> None:
        """Take one delivered batch of transitions through fold and changelog."""
        await partition.recovered.wait()
        async with partition.taking_transitions:
            await self._publisher.room()
            await partition.graph_slots.acquire()
            if partition.draining or partition.closed:
                partition.graph_slots.release()
                return
            await self._take(partition, records, delivery)

    async def _take(
        self, partition: Partition, records: Sequence[RawRecord], delivery: Delivery
    ) -> None:
        effects = self._pipeline.process(records, partition.graph, partition.received)
        if effects.evicted:
            self._metrics.evictions_total.labels("graph", "neighbour_cap").inc(effects.evicted)
        if effects.damaged:
            log.error(
                "%d damaged transition records in partition %d were skipped; something else than "
                "freshrec writes to that topic",
                effects.damaged,
                partition.number,
            )
        changes = partition.graph.take_changes()
        # The chain goes last: a position that outlives its items would hide a hole.
        changes.append((CHAIN_KEY.encode(), partition.received.encode()))
        changelog = await self._publisher.send(
            self._changelog, partition.number, changes, linger=True
        )
        partition.last_graph_task = asyncio.create_task(
            self._finish(partition, partition.last_graph_task, changes, changelog, delivery)
        )

    async def _finish(
        self,
        partition: Partition,
        previous: asyncio.Task[None] | None,
        changes: list[Change],
        changelog: Sent,
        delivery: Delivery,
    ) -> None:
        try:
            next_offset = await changelog.acknowledged()
            if not await succeeded(previous) or partition.closed:
                return
            partition.graph.acknowledge(changes, next_offset)
            self._on_items(partition.number, changes, next_offset)
            delivery.finish()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._fail(error)
            raise
        finally:
            partition.graph_slots.release()
