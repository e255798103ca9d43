"""Load: clicks published at given instants, whether or not the worker keeps up (open loop)."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import Producer

from streams.settings import Settings

log = logging.getLogger(__name__)

_ZIPF_EXPONENT = 0.9
_DRAWN_ITEMS = 50_000
_POLL_CLICKS = 1_000


class Load:
    """Publishes clicks of random users on items of the encoder's dictionary (Zipf's law)."""

    def __init__(self, settings: Settings, items: Sequence[str], users: int, seed: int) -> None:
        self._topic = settings.clicks
        self._users = users
        self._chance = random.Random(seed)
        weights = [1.0 / (rank + 1) ** _ZIPF_EXPONENT for rank in range(len(items))]
        self._items = self._chance.choices(items, weights, k=_DRAWN_ITEMS)
        self.published = 0
        self.last_offsets: dict[str, int] = {}
        """User -> offset of their last acknowledged click."""
        self._failed: str | None = None
        self._producer = Producer(
            settings.librdkafka(
                **{
                    "partitioner": "murmur2_random",
                    "linger.ms": 2,
                    "enable.idempotence": True,
                    "queue.buffering.max.messages": 200_000,
                }
            ),
            logger=log,
        )

    def publish(self, clicks: int) -> None:
        """Hand over so many clicks of now. Raises RuntimeError once one was not delivered."""
        now_ms = time.time_ns() // 1_000_000
        chance = self._chance
        for _ in range(clicks):
            user = f"user{chance.randrange(self._users):06d}"
            number = self.published
            value = (
                f'{{"event_id":"s{number:09d}","user_id":"{user}",'
                f'"item_id":"{self._items[number % _DRAWN_ITEMS]}","timestamp":{now_ms}}}'
            )
            self._produce(user.encode(), value.encode())
            self.published += 1
            if self.published % _POLL_CLICKS == 0:
                self._producer.poll(0)
        self._producer.poll(0)
        if self._failed is not None:
            raise RuntimeError(f"a click was not delivered: {self._failed}")

    def finish(self) -> None:
        """Wait for every acknowledgement."""
        self._producer.flush()
        self.publish(0)

    def _produce(self, key: bytes, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(self._topic, value, key, on_delivery=self._delivered)
                return
            except BufferError:
                self._producer.poll(0.1)

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self._failed = str(error)
        else:
            self.last_offsets[message.key().decode()] = message.offset()
