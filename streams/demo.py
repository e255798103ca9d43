"""The demo: real clicks through a broker and a worker, and what came of them.

Publishes a click log at a steady pace, subscribes to the recommendations topic like any user of
it, and reads the worker's metrics and status like any operator.
"""

import json
import logging
import socket
import tempfile
import threading
import time
import urllib.request
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from streams.broker import EmbeddedBroker
from streams.instant import iso_utc
from streams.recommendation import Recommendation, decode_recommendation
from streams.replay import WEEK_MS, shift_weeks
from streams.sender import PARTITIONERS
from streams.settings import Settings
from streams.topics import plan
from streams.worker_process import WorkerProcess

log = logging.getLogger(__name__)

PARTITIONS = 4
_READY_SECONDS = 60.0
_LINGER_MS = 10
_FINISH_SECONDS = 60.0
_WINDOW_SECONDS = 400 * 86_400
_WINDOW_EVENTS = 1_000  # more than any user of the data sets has: all seen items are known
_KEPT_LATENCIES = 100_000


class DemoClick(NamedTuple):
    """One event of the log, in time order."""

    user_id: str
    item_id: str
    timestamp_ms: int
    event_type: str


class DemoItem(NamedTuple):
    """One entry of the catalogue."""

    item_id: str
    title: str
    categories: Sequence[str]


class DemoPlan(NamedTuple):
    """What to show."""

    clicks: Sequence[DemoClick]
    items: Sequence[DemoItem]
    seconds: float
    """Time in which the clicks are published."""
    bootstrap: str | None
    """A Kafka to use; None starts the embedded broker."""
    model_dir: Path | None


class DemoError(RuntimeError):
    """The demo could not be shown, with what to do about it."""


class Moment(NamedTuple):
    """What the live view shows."""

    elapsed_seconds: float
    clicks: int
    clicks_total: int
    lists: int
    clicks_per_second: float
    lists_per_second: float
    latency_seconds: Mapping[str, float]
    next_click: Mapping[str, float]
    served_by: Mapping[str, int]
    newest: Recommendation | None
    window: Sequence[str]
    """Titles of the newest list's user's last clicks."""


class Subscriber:
    """Reads the recommendations topic in a thread and measures freshness from outside.

    A click is answered by the first list of its user whose trigger is that click or a later one.
    """

    def __init__(self, settings: Settings) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[tuple[int, float]]] = defaultdict(deque)
        self.latencies: deque[float] = deque(maxlen=_KEPT_LATENCIES)
        self.users: set[str] = set()
        self.lists = 0
        self.repeats = 0
        """Recommended items that the user had clicked before the trigger."""
        self.served_by: dict[str, int] = defaultdict(int)
        self.degraded: dict[str, int] = defaultdict(int)
        self.newest: Recommendation | None = None
        self.histories: dict[str, list[str]] = defaultdict(list)
        self._stopped = threading.Event()
        self._consumer = Consumer(
            settings.librdkafka(
                **{
                    "group.id": f"{settings.group}-demo-subscriber",
                    "auto.offset.reset": "earliest",
                    "enable.auto.commit": False,
                    "fetch.wait.max.ms": 10,
                }
            ),
            logger=log,
        )
        self._topic = settings.recommendations
        self._thread = threading.Thread(target=self._run, name="subscriber", daemon=True)

    def start(self) -> None:
        """Subscribe."""
        self._consumer.subscribe([self._topic])
        self._thread.start()

    def stop(self) -> None:
        """Unsubscribe."""
        self._stopped.set()
        self._thread.join(timeout=10)
        self._consumer.close()

    def published(self, user_id: str, number: int, item_id: str) -> None:
        """Note a click that is about to be sent."""
        with self._lock:
            self._waiting[user_id].append((number, time.monotonic()))
            self.histories[user_id].append(item_id)

    def _run(self) -> None:
        while not self._stopped.is_set():
            for message in self._consumer.consume(500, timeout=0.02):
                value = message.value()
                if message.error() is None and value is not None:
                    self._take(decode_recommendation(value))

    def _take(self, recommendation: Recommendation) -> None:
        now = time.monotonic()
        newest = int((recommendation.trigger.event_id or "0").rsplit("-", 1)[-1])
        with self._lock:
            waiting = self._waiting[recommendation.user_id]
            answered = 0
            while waiting and waiting[0][0] <= newest:
                self.latencies.append(now - waiting.popleft()[1])
                answered += 1
            history = self.histories[recommendation.user_id]
            known = set(history[: len(history) - len(waiting)])
            self.repeats += sum(item.item_id in known for item in recommendation.items)
            self.lists += 1
            self.users.add(recommendation.user_id)
            self.served_by[recommendation.served_by] += 1
            if recommendation.degraded_reason is not None:
                self.degraded[recommendation.degraded_reason] += 1
            if recommendation.items or self.newest is None:
                self.newest = recommendation

    def percentiles(self) -> dict[str, float]:
        """Seconds from sending a click to having its list."""
        with self._lock:
            values = np.array(self.latencies)
        if not len(values):
            return {"p50": 0.0, "p99": 0.0}
        p50, p99 = np.percentile(values, [50, 99]).tolist()
        return {"p50": round(p50, 4), "p99": round(p99, 4)}


def run(show: DemoPlan, view: Callable[[Moment], None]) -> dict[str, Any]:
    """Run the demo; returns the summary (one JSON object). Raises `DemoError`."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        run_id = f"{time.time_ns():x}"[-8:]
        broker = None
        if show.bootstrap is None:
            broker = stack.enter_context(EmbeddedBroker())
        port = _free_port()
        flags: dict[str, Any] = {
            "bootstrap": show.bootstrap or (broker.bootstrap if broker else ""),
            "group": f"freshrec-demo-{run_id}",
            "topic_prefix": "" if broker else f"demo-{run_id}-",
            "partitions": PARTITIONS,
            "store": "memory",
            "state_dir": directory / "state",
            "window_seconds": _WINDOW_SECONDS,
            "window_events": _WINDOW_EVENTS,
            "repeat_policy": "exclude",
            "metrics_port": port,
            "fetch_max_wait_seconds": 0.01 if broker else 0.5,
            "session_timeout_seconds": 6.0,
            "heartbeat_seconds": 2.0,
        }
        if show.model_dir is not None:
            flags["model_dir"] = show.model_dir
        settings = Settings(**flags)
        if show.model_dir is not None:
            flags["config"] = _decay_config(show.model_dir, directory / "freshrec.toml")
        _make_topics(settings, broker)
        worker = stack.enter_context(WorkerProcess(flags, directory / "worker.log"))
        _publish_items(settings, show.items)
        status_url = f"http://127.0.0.1:{port}"
        _wait_ready(status_url, worker, len(show.items))
        subscriber = Subscriber(settings)
        subscriber.start()
        stack.callback(subscriber.stop)
        stage = _Stage(show, settings, subscriber, status_url, view)
        stage.play(worker)
        return stage.summary("embedded" if broker else "kafka")


class _Stage:
    """One performance: publishing, watching, summing up."""

    def __init__(
        self,
        show: DemoPlan,
        settings: Settings,
        subscriber: Subscriber,
        status_url: str,
        view: Callable[[Moment], None],
    ) -> None:
        self._show = show
        self._settings = settings
        self._subscriber = subscriber
        self._status_url = status_url
        self._view = view
        self._titles = {item.item_id: item.title for item in show.items}
        self._published = 0
        self._started = 0.0
        self._counts: dict[str, float] = {}
        self._status: dict[str, Any] = {}

    def play(self, worker: WorkerProcess) -> None:
        """Publish at a steady pace, then wait until everything published is processed."""
        # The embedded broker answers a fetch with one batch as it was produced: single records
        # would make one round trip each.
        producer = Producer(
            self._settings.librdkafka(
                **{"partitioner": PARTITIONERS["murmur2"], "linger.ms": _LINGER_MS}
            ),
            logger=log,
        )
        clicks = self._show.clicks
        pace = len(clicks) / self._show.seconds
        shift_ms = shift_weeks(clicks[-1].timestamp_ms, time.time_ns() // 1_000_000) * WEEK_MS
        self._started = time.monotonic()
        next_view = self._started
        while self._published < len(clicks):
            now = time.monotonic()
            due = min(len(clicks), int((now - self._started) * pace) + 1)
            for number in range(self._published, due):
                click = clicks[number]
                self._subscriber.published(click.user_id, number, click.item_id)
                producer.produce(
                    self._settings.clicks, _encode(click, number, shift_ms), click.user_id.encode()
                )
            self._published = due
            producer.poll(0)
            if now >= next_view:
                self._look(worker)
                next_view = now + 0.5
            time.sleep(0.002)
        if producer.flush(30):
            raise DemoError("the broker did not take all clicks; look at its log")
        self._finish(worker)

    def _finish(self, worker: WorkerProcess) -> None:
        deadline = time.monotonic() + _FINISH_SECONDS
        while True:
            self._look(worker)
            if self._processed() >= self._published and not self._status.get("queue"):
                break
            if time.monotonic() > deadline:
                log.warning("the worker has processed %d clicks", self._processed())
                break
            time.sleep(0.1)
        # The last lists are on their way to the subscriber.
        last, since = -1, time.monotonic()
        while time.monotonic() - since < 1.0 and time.monotonic() < deadline:
            if self._subscriber.lists != last:
                last, since = self._subscriber.lists, time.monotonic()
            time.sleep(0.05)
        self._look(worker)

    def _look(self, worker: WorkerProcess) -> None:
        if not worker.alive():
            raise DemoError(f"the worker ended:\n{worker.log_tail()}")
        self._counts = _metrics(self._status_url)
        self._status = _get_json(self._status_url + "/status")
        elapsed = max(time.monotonic() - self._started, 1e-9)
        subscriber = self._subscriber
        newest = subscriber.newest
        window: list[str] = []
        if newest is not None:
            recent = subscriber.histories[newest.user_id][-6:]
            window = [self._titles.get(item, item) for item in recent]
        self._view(
            Moment(
                elapsed_seconds=elapsed,
                clicks=self._published,
                clicks_total=len(self._show.clicks),
                lists=subscriber.lists,
                clicks_per_second=self._processed() / elapsed,
                lists_per_second=subscriber.lists / elapsed,
                latency_seconds=subscriber.percentiles(),
                next_click=self._status["next_click"],
                served_by=dict(subscriber.served_by),
                newest=newest,
                window=window,
            )
        )

    def _processed(self) -> int:
        return int(
            _sum(self._counts, "freshrec_events_total")
            + _sum(self._counts, "freshrec_rejects_total")
            + _sum(self._counts, "freshrec_duplicates_total")
        )

    def summary(self, broker: str) -> dict[str, Any]:
        """The JSON object of `--json`."""
        next_click = self._status["next_click"]
        subscriber = self._subscriber
        return {
            "clicks_published": self._published,
            "clicks_processed": self._processed(),
            "rejects": int(_sum(self._counts, "freshrec_rejects_total")),
            "recommendations": subscriber.lists,
            "users": len(subscriber.users),
            "broker": broker,
            "model": self._status["model"],
            "next_click": {
                name: round(value, 4) if isinstance(value, float) else value
                for name, value in next_click.items()
            },
            "event_to_recommendation_seconds": subscriber.percentiles(),
            "served_by": dict(subscriber.served_by),
            "degraded": dict(subscriber.degraded),
            "already_seen_items_recommended": subscriber.repeats,
        }


def _encode(click: DemoClick, number: int, shift_ms: int) -> bytes:
    return msgspec.json.encode(
        {
            "event_id": f"demo-{number}",
            "event_type": click.event_type,
            "user_id": click.user_id,
            "item_id": click.item_id,
            "timestamp": iso_utc(click.timestamp_ms + shift_ms),
        }
    )


def _decay_config(model_dir: Path, path: Path) -> Path:
    """Let edges decay as slowly as they did where the artefact's blend was fitted."""
    half_life_seconds = None
    try:
        manifest = json.loads((model_dir / "manifest.json").read_bytes())
        half_life_seconds = manifest["training"]["priors"]["graph_half_life_seconds"]
    except (OSError, ValueError, KeyError, TypeError):
        log.info("no half-life in %s: the defaults stay", model_dir)
    lines = ["[event_types.click]", f"half_life_seconds = {half_life_seconds}"]
    path.write_text("\n".join(lines) if half_life_seconds else "")
    return path


def _make_topics(settings: Settings, broker: EmbeddedBroker | None) -> None:
    """Clicks and items exist before anybody publishes; the worker makes the rest."""
    if broker is not None:
        for topic in plan(settings):
            broker.create_topic(topic.name, PARTITIONS)
        return
    admin = AdminClient(settings.librdkafka(), logger=log)
    topics = [NewTopic(name, PARTITIONS) for name in (settings.clicks, settings.items)]
    for name, future in admin.create_topics(topics).items():
        try:
            future.result(30)
        except Exception as error:
            raise DemoError(f"topic {name} cannot be created: {error}") from error


def _publish_items(settings: Settings, items: Sequence[DemoItem]) -> None:
    producer = Producer(settings.librdkafka(), logger=log)
    for item in items:
        value = {
            "item_id": item.item_id,
            "title": item.title,
            "categories": list(item.categories),
            "available": True,
        }
        producer.produce(settings.items, msgspec.json.encode(value), item.item_id.encode())
        producer.poll(0)
    if producer.flush(30):
        raise DemoError("the broker did not take the catalogue; look at its log")


def _wait_ready(url: str, worker: WorkerProcess, items: int) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        if not worker.alive():
            raise DemoError(f"the worker ended:\n{worker.log_tail()}")
        try:
            status = _get_json(url + "/status")
        except OSError:
            status = {}
        if status.get("ready") and status.get("catalogue_items", 0) >= items:
            return
        time.sleep(0.1)
    raise DemoError(f"the worker was not ready in time:\n{worker.log_tail()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _get_json(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310  (our own loopback URL)
        document: dict[str, Any] = json.loads(response.read())
        return document


def _metrics(url: str) -> dict[str, float]:
    with urllib.request.urlopen(url + "/metrics", timeout=10) as response:  # noqa: S310
        lines = response.read().decode().splitlines()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")
    }


def _sum(counts: Mapping[str, float], name: str) -> float:
    return sum(value for series, value in counts.items() if series.split("{")[0] == name)
