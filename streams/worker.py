"""Worker: everything of one worker process, wired together.

A fault that could lose a click (a send that the client gave up on, a crashed agent) is reported
through `failure`: the process then ends at once, without committing.
"""

import asyncio
import logging
import time
import zlib
from collections.abc import Coroutine
from functools import partial
from typing import Any

import msgspec
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2
from faust.types import TP

from streams.agents import ClickAgent
from streams.batcher import Batcher
from streams.catalogue import Catalogue
from streams.cold_items import ColdItems
from streams.connection import raise_if_denied
from streams.dead_letters import DeadLetters
from streams.engine import ModelWatch
from streams.faust_app import WorkerApp, faust_app
from streams.fetch_gate import FetchGate
from streams.fitted_state import differences
from streams.follower import Follower
from streams.gauges import Gauges
from streams.graph_agent import GraphAgent
from streams.graph_pipeline import GraphPipeline
from streams.health import Health
from streams.intake import Intake
from streams.item_placement import ItemPlacement
from streams.lease import Lease
from streams.lists import RecommenderConfig
from streams.lookups import Lookups
from streams.metrics import Metrics
from streams.partition import Partition, recover
from streams.pipeline import ClickPipeline
from streams.publisher import Publisher
from streams.quality import NextClick
from streams.read_models import ReadModels
from streams.recommender import Recommender
from streams.replica import GraphReplica
from streams.serving import Server
from streams.settings import Settings
from streams.stores import MemoryStores, RocksStores, StoreError
from streams.topics import ask_record_limit_bytes
from streams.transport import Lifecycle
from streams.turns import Turns
from streams.write_behind import WriteBehindStores

log = logging.getLogger(__name__)

_BEAT_SECONDS = 0.25


class Worker(Lifecycle):
    """Everything of one worker process, wired together."""

    recommender_type: type[Recommender] = Recommender
    graph_pipeline_type: type[GraphPipeline] = GraphPipeline
    """Both for a subclass that does less: the benchmark's hollow worker."""

    def __init__(self, settings: Settings, partitions: int, dead_letter_bytes: int) -> None:
        """`partitions`: of the clicks topic. `dead_letter_bytes`: largest record that the
        dead-letter topic accepts now.
        """
        self.settings = settings
        self.partitions = partitions
        self.metrics = Metrics(settings.event_type_registry().names)
        self.health = Health()
        self.failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self.quality = NextClick()
        self.replica = GraphReplica(settings.graph_config())
        self.catalogue = Catalogue(self.replica.ids)
        self.lease = Lease(settings.session_timeout_seconds)
        self.publisher = Publisher(settings, self.lease)
        self.cold_items = ColdItems(self.replica.ids, self.catalogue)
        self.placement = ItemPlacement(self.cold_items)
        self.read_models = ReadModels(
            settings, partitions, self.replica, self.catalogue, self.placement
        )
        self.recommender = self.recommender_type(
            self.replica,
            self.catalogue,
            self._recommender_config(RecommenderConfig()),
            self.cold_items,
        )
        turns = Turns()
        fetch_gate = FetchGate()
        self.batcher = Batcher(
            settings,
            self.recommender,
            self.publisher,
            self.quality,
            self.metrics,
            turns,
            fetch_gate,
            now_ms=lambda: time.time_ns() // 1_000_000,
            fail=self.fail,
        )
        config = settings.pipeline_config(partitions)
        self.clicks = ClickAgent(
            settings,
            ClickPipeline(config),
            self.publisher,
            self.batcher,
            self.quality,
            self.metrics,
            dead_letters=DeadLetters(
                settings,
                self.publisher,
                dead_letter_bytes,
                partial(ask_record_limit_bytes, settings, settings.dead_letter_topic),
            ),
            partition_of=self._partition_of,
            fail=self.fail,
        )
        self.graph = GraphAgent(
            settings,
            self.graph_pipeline_type(config),
            self.publisher,
            self.metrics,
            on_items=self.read_models.take_over,
            fail=self.fail,
        )
        self.model = ModelWatch(settings, self.batcher, self.metrics, self._on_model)
        self.stores: MemoryStores | WriteBehindStores = (
            MemoryStores()
            if settings.store == "memory"
            else WriteBehindStores(RocksStores(settings.state_dir))
        )
        self.owned: dict[int, Partition] = {}
        intake = Intake(
            self.clicks,
            self.graph,
            turns,
            owned=lambda: self.owned,
            spawn=self._spawn,
            fail=self.fail,
        )
        self.app: WorkerApp = faust_app(settings, self, intake, self.lease, fetch_gate)
        self.server = Server(
            settings.metrics_host,
            settings.metrics_port,
            metrics=self.metrics,
            health=self.health,
            reader=Lookups(self, asyncio.get_running_loop()),
            lookup_token=settings.secret("lookup_token"),
        )
        self._gauges = Gauges(self)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._recovery: asyncio.Task[None] | None = None
        self.recovering_since: float | None = None
        """Monotonic seconds at which the recovery that runs began; None: none runs."""

    # -- life

    async def start(self, item_partitions: int) -> None:
        """Start everything; returns when the consumer has joined or is about to."""
        for part in ("partitions", "model", "graph replica", "catalogue"):
            self.health.not_ready(part, "starting")
        self.server.start()
        await self.publisher.start()
        await self.model.load()
        self.health.ready("model")
        self.read_models.follow(item_partitions)
        self._spawn(self._beat())
        self._spawn(self._gauges.run())
        self._spawn(self.batcher.run())
        self._spawn(self.model.run())
        self._spawn(self.placement.run())
        for follower, part in (
            (self.read_models.graph, "graph replica"),
            (self.read_models.items, "catalogue"),
        ):
            self._spawn(follower.run())
            self._spawn(self._ready_when(follower, part))
        await self.app.start()
        self._spawn(self._watch_faust())

    async def stop(self) -> None:
        """Finish what is in flight, commit, leave the group, release everything."""
        self.health.not_ready("worker", "stopping")
        await self.app.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.publisher.stop()
        self._close_partitions()
        self.server.stop()

    def fail(self, error: BaseException) -> None:
        """End the process: something happened after which nothing may be sent or committed."""
        self.lease.end()
        if not self.failure.done():
            self.failure.set_result(error)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    async def _watch_faust(self) -> None:
        """Faust notes a crash and stops its services; the process must end with it."""
        await self.app.wait_until_stopped()
        if self.app.crashed:
            self.fail(self.app.crash_reason or RuntimeError("Faust crashed without a reason"))

    # -- partitions (called by the consumer)

    async def drain(self) -> None:
        for partition in self.owned.values():
            partition.draining = True
        await asyncio.gather(*(partition.drain() for partition in self.owned.values()))

    def committing(self) -> None:
        """Put on the disk what they stand for: a worker that is killed then reads little again."""
        if isinstance(self.stores, WriteBehindStores):
            try:
                self.stores.write()
            except Exception as error:
                self.fail(error)
                raise

    async def revoked(self, partitions: set[TP]) -> None:
        if partitions:
            self.health.not_ready("partitions", "rebalancing")
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.wait([self._recovery])
            self._recovery = None
        self.recovering_since = None
        self._close_partitions()

    def _close_partitions(self) -> None:
        for partition in self.owned.values():
            self.batcher.abandon(partition)
            partition.close()
        self.owned = {}

    def assigned(self, partitions: set[TP]) -> None:
        settings = self.settings
        self._close_partitions()
        self.metrics.rebalances_total.inc()
        numbers = {tp.partition for tp in partitions if tp.topic == settings.clicks}
        self.health.not_ready("partitions", f"recovering partitions {sorted(numbers)}")
        try:
            self.owned = {
                number: Partition(number, settings, self.stores) for number in sorted(numbers)
            }
        except StoreError as error:
            self.fail(error)
            return
        self.read_models.follow_graph_without(self.owned)
        self.recovering_since = time.monotonic()
        self._recovery = self._spawn(self._recover(list(self.owned.values())))

    async def _recover(self, partitions: list[Partition]) -> None:
        while True:
            try:
                seconds = await recover(self.settings, partitions, self.publisher)
                break
            except KafkaError as error:
                raise_if_denied(error, "reading the changelogs")
                log.warning("recovery was interrupted, trying again: %r", error)
                await asyncio.sleep(1.0)
        for partition in partitions:
            if not self._knows_users_of(partition):
                return
            graph = partition.graph
            self.read_models.take_over(partition.number, graph.blobs(), graph.next_offset)
        self.recovering_since = None
        self.metrics.table_recovery_seconds.set(seconds)
        self.health.ready("partitions")

    def _knows_users_of(self, partition: Partition) -> bool:
        """False, and the end of the process, where state names users in another way: every user
        would be two.
        """
        pseudonyms = self.settings.pseudonyms()
        first = next(iter(partition.windows.blobs()), None)
        if pseudonyms is None or first is None or pseudonyms.is_ours(first[0].decode()):
            return True
        self.fail(
            StoreError(
                f"partition {partition.number} holds users under another pseudonym key, or under"
                " their ids: give the key that they were stored with, or start anew as"
                " docs/security.md says of changing the key"
            )
        )
        return False

    def _partition_of(self, key: bytes) -> int:
        """Where keyed producers of the clicks topic put this key."""
        if self.settings.producer_partitioner == "crc32":
            return zlib.crc32(key) % self.partitions
        return int((murmur2(key) & 0x7FFFFFFF) % self.partitions)

    # -- the model

    def _on_model(self, scorer: Any) -> None:
        manifest = scorer.manifest
        settings = self.settings
        others = differences(
            settings, settings.event_type_registry(), manifest.event_types, manifest.training
        )
        if others:
            log.warning("model %s expects other state: %s", scorer.version, ", ".join(others))
        self.recommender.config = self._recommender_config(
            RecommenderConfig.fitted(manifest.blend, manifest.repeat_policy)
        )
        self.placement.serve(scorer)

    def _recommender_config(self, base: RecommenderConfig) -> RecommenderConfig:
        settings = self.settings
        changes: dict[str, Any] = {
            "list_size": settings.list_size,
            "window": settings.window_config(),
        }
        if settings.repeat_policy is not None:
            changes["repeat_policy"] = settings.repeat_policy
        return msgspec.structs.replace(base, **changes)

    # -- watching

    async def _ready_when(self, follower: Follower, part: str) -> None:
        await follower.caught_up.wait()
        self.health.ready(part)

    async def _beat(self) -> None:
        """Tell that the event loop is alive, and how late it wakes."""
        while True:
            due = time.monotonic() + _BEAT_SECONDS
            await asyncio.sleep(_BEAT_SECONDS)
            self.health.beat()
            self.metrics.event_loop_lag_seconds.observe(max(0.0, time.monotonic() - due))
