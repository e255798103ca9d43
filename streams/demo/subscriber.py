"""Subscriber: the lists as any user of the recommendations topic receives them.

What it measures needs nothing of the worker's own figures: when a click was sent, when a list that
answers it arrived, and whether the list holds what its user had clicked before.
"""

import logging
import threading
import time
from collections import defaultdict, deque

import numpy as np
from confluent_kafka import Consumer

from streams.recommendation import Recommendation, decode_recommendation
from streams.settings import Settings

log = logging.getLogger(__name__)

_KEPT_LATENCIES = 100_000


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
