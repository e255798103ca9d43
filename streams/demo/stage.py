"""Stage: one performance of a demo, from the first click to the last list and their summary."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import Producer

from streams.demo.plan import DemoClick, DemoError, DemoPlan
from streams.demo.readings import Readings
from streams.demo.subscriber import Subscriber
from streams.instant import iso_utc
from streams.recommendation import Recommendation
from streams.replay import WEEK_MS, shift_weeks
from streams.sender import PARTITIONERS
from streams.settings import Settings

log = logging.getLogger(__name__)

_LINGER_MS = 10
_FINISH_SECONDS = 60.0


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
    console_url: str
    """Where the worker shows itself in a browser."""
    lookup_token: str
    """What opens look-ups there; of this performance alone."""


class Stage:
    """One performance: publishing, watching, summing up."""

    def __init__(
        self,
        show: DemoPlan,
        settings: Settings,
        subscriber: Subscriber,
        readings: Readings,
        view: Callable[[Moment], None],
    ) -> None:
        self._show = show
        self._settings = settings
        self._subscriber = subscriber
        self._readings = readings
        self._view = view
        self._titles = {item.item_id: item.title for item in show.items}
        self._published = 0
        self._started = 0.0

    def play(self) -> None:
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
                self._look()
                next_view = now + 0.5
            time.sleep(0.002)
        if producer.flush(30):
            raise DemoError("the broker did not take all clicks; look at its log")
        self._finish()

    def _finish(self) -> None:
        readings = self._readings
        deadline = time.monotonic() + _FINISH_SECONDS
        while True:
            self._look()
            if readings.processed >= self._published and not readings.status.get("queue"):
                break
            if time.monotonic() > deadline:
                log.warning("the worker has processed %d clicks", readings.processed)
                break
            time.sleep(0.1)
        # The last lists are on their way to the subscriber.
        last, since = -1, time.monotonic()
        while time.monotonic() - since < 1.0 and time.monotonic() < deadline:
            if self._subscriber.lists != last:
                last, since = self._subscriber.lists, time.monotonic()
            time.sleep(0.05)
        self._look()

    def _look(self) -> None:
        readings = self._readings
        readings.take()
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
                clicks_per_second=readings.processed / elapsed,
                lists_per_second=subscriber.lists / elapsed,
                latency_seconds=subscriber.percentiles(),
                next_click=readings.status["next_click"],
                served_by=dict(subscriber.served_by),
                newest=newest,
                window=window,
                console_url=readings.url,
                lookup_token=self._settings.lookup_token or "",
            )
        )

    def summary(self, broker: str) -> dict[str, Any]:
        """The JSON object of `--json`."""
        readings = self._readings
        next_click = readings.status["next_click"]
        subscriber = self._subscriber
        return {
            "clicks_published": self._published,
            "clicks_processed": readings.processed,
            "rejects": readings.rejects,
            "recommendations": subscriber.lists,
            "users": len(subscriber.users),
            "broker": broker,
            "model": readings.status["model"],
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
