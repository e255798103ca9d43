"""One point of a curve: a shard of a given size, with what a click and a list cost there."""

import resource
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import TypeVar

import msgspec

from model.artifact import DEMO_ARTIFACT
from model.scorer import EncoderScorer
from streams.bench.growth.clicks import Clicks
from streams.bench.growth.shard import Shard
from streams.bench.list_cost import ListCost, make_lists
from streams.bench.open_loop import quantile
from streams.lists import RecommenderConfig
from streams.recommender import Recommender
from streams.settings import Settings
from streams.stores import RocksStores

Element = TypeVar("Element")

BATCH_USERS = 64
_BATCH_CLICKS = 500
"""About what a busy worker folds between two rounds of its graph."""
_WINDOWS_AT_ONCE = 10_000


class PointPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to build and measure. Without `items`, the catalogue and the encoder of the demo."""

    users: int = 1_000
    items: int | None = None
    window: int = 50
    """Events of a user, and most that are kept."""
    passes: int = 1
    """Of clicks on every item, before anything is measured."""
    warm_clicks: int = 40_000
    clicks: int = 50_000
    lists: int = 1_000
    """One by one, and as many batches as make four times that."""


class Spread(msgspec.Struct):
    """Of milliseconds of processor time: what a list takes where nothing else wants its core."""

    p50: float
    p99: float
    longest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Of at least one."""
        ordered = sorted(values)
        return cls(
            round(quantile(ordered, 0.5), 4),
            round(quantile(ordered, 0.99), 4),
            round(ordered[-1], 4),
        )


class PointFigures(msgspec.Struct):
    """What was measured: one process, one partition on RocksDB, no Kafka."""

    users: int
    items: int
    window: int
    clicks_per_second: float
    """Of one core."""
    cpu_microseconds_per_click: float
    """Of the whole process, RocksDB's threads included: windows, graph, stores, replica."""
    cpu_microseconds_per_list: float
    """Candidates, inputs, blend, reasons; in batches of 64 users."""
    encoder_microseconds_per_list: float | None
    """In the same batches; None without an encoder."""
    list_milliseconds: Spread
    """Of a list by itself, encoder included."""
    batch_milliseconds: Spread
    """Of 64 lists together, encoder included."""
    window_bytes: float
    """Of a window and its key, as written to the changelog."""
    item_bytes: float
    """The same of an item of the graph."""
    window_bytes_per_click: float
    """To the changelog: a window is written once for all its clicks of a batch of 500."""
    graph_records_per_click: float
    """Items of the graph that are written for a click. Every worker reads those of all."""
    graph_bytes_per_click: float
    transition_bytes_per_click: float
    disk_bytes: int
    rss_bytes: int
    cached_windows: int
    """Of users whose windows are held unpacked."""
    edges: int


def measure(plan: PointPlan) -> PointFigures:
    """Build the shard in a directory of its own and measure it."""
    with tempfile.TemporaryDirectory() as directory:
        return _Point(plan, Path(directory)).measure()


class _Point:
    def __init__(self, plan: PointPlan, directory: Path) -> None:
        self._plan = plan
        self._scorer = None
        if plan.items is None:
            self._scorer = EncoderScorer.load(DEMO_ARTIFACT, engine="cpu", threads=1)
            items = self._scorer.items
        else:
            items = [f"item{number:07d}" for number in range(plan.items)]
        self._items = len(items)
        self._settings = Settings(window_events=plan.window, state_dir=directory)
        self._shard = Shard(self._settings, RocksStores(directory))
        self._clicks = Clicks(plan.users, items, time.time_ns() // 1_000_000)
        config = RecommenderConfig(window=self._settings.window_config())
        if self._scorer is not None:
            manifest = self._scorer.manifest
            config = msgspec.structs.replace(
                RecommenderConfig.fitted(manifest.blend, manifest.repeat_policy),
                window=config.window,
            )
        self._recommender = Recommender(self._shard.replica, self._shard.catalogue, config)

    def measure(self) -> PointFigures:
        """Fill, fold, make lists."""
        plan, shard = self._plan, self._shard
        for windows in _chunks(
            self._clicks.windows(plan.window, self._settings.window_config()), _WINDOWS_AT_ONCE
        ):
            shard.fill(windows)
        for records in _chunks(self._clicks.visits(plan.passes), _BATCH_CLICKS):
            shard.fold(records)
        self._fold(plan.warm_clicks)
        shard.written = type(shard.written)()
        cpu_seconds = self._fold(plan.clicks)
        written = shard.written
        alone = [self._lists(1) for _ in range(plan.lists)]
        self._lists(BATCH_USERS)  # the first of its shape makes room for itself
        together = [self._lists(BATCH_USERS) for _ in range(max(4 * plan.lists // BATCH_USERS, 10))]
        figures = PointFigures(
            users=plan.users,
            items=self._items,
            window=plan.window,
            clicks_per_second=round(plan.clicks / cpu_seconds, 1),
            cpu_microseconds_per_click=round(cpu_seconds / plan.clicks * 1e6, 3),
            cpu_microseconds_per_list=_microseconds(
                cost.ranking_seconds / cost.lists for cost in together
            ),
            encoder_microseconds_per_list=(
                None
                if self._scorer is None
                else _microseconds(cost.encoder_seconds / cost.lists for cost in together)
            ),
            list_milliseconds=Spread.of(map(_milliseconds, alone)),
            batch_milliseconds=Spread.of(map(_milliseconds, together)),
            window_bytes=round(written.window_bytes / written.windows, 1),
            item_bytes=round(written.item_bytes / written.items, 1),
            window_bytes_per_click=round(written.window_bytes / plan.clicks, 1),
            graph_records_per_click=round(written.items / plan.clicks, 3),
            graph_bytes_per_click=round(written.item_bytes / plan.clicks, 1),
            transition_bytes_per_click=round(written.transition_bytes / plan.clicks, 1),
            disk_bytes=shard.partition.windows.size_bytes + shard.partition.graph.size_bytes,
            rss_bytes=_rss_bytes(),
            cached_windows=len(shard.partition.windows),
            edges=shard.replica.edges,
        )
        shard.close()
        return figures

    def _fold(self, clicks: int) -> float:
        """Processor seconds of so many clicks."""
        seconds = 0.0
        while clicks > 0:
            records = self._clicks.take(min(clicks, _BATCH_CLICKS))
            clicks -= len(records)
            began = time.process_time()
            self._shard.fold(records)
            seconds += time.process_time() - began
        return seconds

    def _lists(self, users: int) -> ListCost:
        """Lists of the users of so many clicks."""
        records = self._clicks.take(users)
        self._shard.fold(records)
        return make_lists(
            self._recommender, self._scorer, records, self._shard.window, self._clicks.now_ms
        )


def _chunks(elements: Iterator[Element], size: int) -> Iterator[list[Element]]:
    while chunk := list(islice(elements, size)):
        yield chunk


def _milliseconds(cost: ListCost) -> float:
    return (cost.ranking_seconds + cost.encoder_seconds) * 1e3


def _microseconds(seconds: Iterable[float]) -> float:
    return round(mean(seconds) * 1e6, 2)


def _rss_bytes() -> int:
    """Of this process now; the most it had where that is not to be had."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
