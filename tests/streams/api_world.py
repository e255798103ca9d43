"""A worker's HTTP server over a small world that the real folds made, without Kafka."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from streams.health import Health
from streams.instant import iso_utc
from streams.lookups import Lookups
from streams.metrics import DEFAULT_VARIANT, Metrics
from streams.partition import LastList
from streams.quality import NextClick
from streams.recent_lists import RecentLists
from streams.recommendation import (
    Latency,
    ModelInfo,
    Reason,
    ReasonCode,
    Recommendation,
    RecommendedItem,
    ServedBy,
    Trigger,
    WindowInfo,
    encode_recommendation,
)
from streams.serving import Server
from tests.streams.list_world import NOW_MS, World
from tests.streams.shell_fakes import make_settings

TOKEN = "t0ken"
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

USERS = ("u", "ü/1", "tourist")
ITEMS = ("lamp", "desk", "tent", "a/ä b")


def make_world() -> World:
    """Three users, the first with two sessions: of the outdoors, then of the home."""
    world = World()
    for item, title, categories in (
        ("lamp", "Desk lamp", ("home", "light")),
        ("desk", "Desk", ("home",)),
        ("tent", "Tent", ("outdoor",)),
    ):
        world.item(item, title=title, categories=categories)
    world.clicks("u", "tent", "a/ä b", "tent", at_ms=NOW_MS - DAY_MS)
    world.clicks("u", "lamp", "desk", "lamp", at_ms=NOW_MS - MINUTE_MS)
    world.click("u", "desk", "dislike", NOW_MS)
    world.crowd("tent", "desk", users=3, at_ms=NOW_MS - 5 * DAY_MS)
    world.clicks("ü/1", "a/ä b", "a/ä b", at_ms=NOW_MS)
    world.click("tourist", "lamp", "check_in", NOW_MS, place_cell=(1 << 30) + 12_345)
    return world


def worker_of(world: World, now_ms: int = NOW_MS) -> Any:
    """What look-ups read of a worker."""
    metrics = Metrics()
    metrics.events_total.labels("click").inc(12)
    metrics.recommendations_total.labels("graph", "none").inc(3)
    metrics.event_to_recommendation_seconds.observe(0.03)
    metrics.consumer_lag_records.labels("clicks", "0").set(2)
    metrics.engine_ready("cpu", ["50"])
    metrics.model_loaded("bert", "3f9a", DEFAULT_VARIANT, "cpu", 10.0)
    lists = {
        "u": LastList("rec-1", NOW_MS, ["lamp", "desk"]),
        "tourist": LastList("rec-9", NOW_MS, ["desk"]),
    }
    recent_lists = RecentLists()
    recent_lists.put("u", encode_recommendation(a_recommendation("u", "rec-1")))
    health = Health()
    health.beat()
    return SimpleNamespace(
        settings=make_settings(),
        metrics=metrics,
        health=health,
        replica=world.replica,
        catalogue=world.catalogue,
        batcher=_Batcher(now_ms),
        owned={0: SimpleNamespace(windows=world.windows, lists=lists, recent_lists=recent_lists)},
        partitions=2,
        model=SimpleNamespace(refusal=None),
        quality=NextClick(),
    )


def a_recommendation(user: str, recommendation_id: str) -> Recommendation:
    """The lamp, because of the desk and of its trend, then the desk."""
    of_lamp = [
        Reason(ReasonCode.CO_CLICKED, "desk", 0.5, None, 34.0),
        Reason(ReasonCode.TRENDING),
    ]
    of_desk = [Reason(ReasonCode.SEQUENCE, "lamp", None, 0.75)]
    return Recommendation(
        recommendation_id,
        user,
        iso_utc(NOW_MS),
        Trigger(None, "clicks", 0, 1, iso_utc(NOW_MS)),
        ModelInfo("bert", "3f9a"),
        ServedBy.BERT_GRAPH,
        None,
        Latency(12.5),
        [
            RecommendedItem("lamp", 1, 6.25, "Desk lamp", of_lamp),
            RecommendedItem("desk", 2, 3.0, "Desk", of_desk),
        ],
        WindowInfo(3),
    )


class _Batcher:
    """Nobody waits; an encoder serves."""

    scorer = SimpleNamespace(name="bert", version="3f9a", provider="CPUExecutionProvider")

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def __len__(self) -> int:
        return 0

    def now_ms(self) -> int:
        return self._now_ms


@contextmanager
def running_lookups(worker: Any) -> Iterator[Lookups]:
    """The look-ups of a worker whose event loop runs in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield Lookups(worker, loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@contextmanager
def running_server(worker: Any) -> Iterator[Server]:
    """The HTTP server of such a worker."""
    with running_lookups(worker) as reader, serving(worker, reader) as server:
        yield server


@contextmanager
def serving(worker: Any, reader: Lookups) -> Iterator[Server]:
    """An HTTP server over look-ups that run."""
    server = Server(
        "127.0.0.1", 0,
        metrics=worker.metrics, health=worker.health, reader=reader, lookup_token=TOKEN,
    )  # fmt: skip
    server.start()
    try:
        yield server
    finally:
        server.stop()
