"""Open loop: clicks leave at instants planned in advance, and latency counts from the plan.

A sender that waits for answers sends less while the system is slow, and so never sees how slow it
is; here a late send makes the latency longer. Sender and subscriber are processes of their own and
read one monotonic clock.
"""

import logging
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import msgspec
from confluent_kafka import OFFSET_END, Consumer, Message, Producer, TopicPartition

from streams.instant import iso_utc
from streams.settings import Settings

log = logging.getLogger(__name__)

_SLEEP_SECONDS = 0.0005


class Clicks(NamedTuple):
    """Who clicks on what: each user as often as any other, items evenly."""

    users: int
    items: Sequence[str]
    seed: int

    def user(self, number: int) -> str:
        """Id of one of the users."""
        return f"user{number:06d}"

    def record(self, chance: random.Random) -> tuple[bytes, bytes]:
        """Key and value of one click of whoever it may be, now."""
        return self.of_user(self.user(chance.randrange(self.users)), chance)

    def of_user(self, user: str, chance: random.Random) -> tuple[bytes, bytes]:
        """Key and value of one click of that user, now."""
        item = chance.choice(self.items)
        at = iso_utc(time.time_ns() // 1_000_000)
        value = f'{{"user_id":"{user}","item_id":"{item}","timestamp":"{at}"}}'
        return user.encode(), value.encode()

    def at_random(self, count: int) -> Iterator[tuple[bytes, bytes]]:
        """So many, each from the moment when it is asked for."""
        chance = random.Random(self.seed)
        return (self.record(chance) for _ in range(count))

    def in_turn(self, count: int) -> Iterator[tuple[bytes, bytes]]:
        """As `at_random`, with as many of each user."""
        chance = random.Random(self.seed)
        return (self.of_user(self.user(n % self.users), chance) for n in range(count))


class SentClick(NamedTuple):
    """Where a click went, and when it was to leave."""

    partition: int
    offset: int
    user: str
    planned: float
    """Monotonic seconds."""


class SeenList(NamedTuple):
    """A published list as the subscriber got it."""

    partition: int
    offset: int
    """Of the click that it includes; all earlier ones of the user in that partition, too."""
    user: str
    seen: float
    """Monotonic seconds."""
    encoded: bool = True
    """Whether the encoder had a part in it."""


def send_at_rate(
    settings: Settings, clicks: Clicks, rate: float, seconds: float
) -> list[SentClick]:
    """Send for so long at so many a second; RuntimeError when a click was not delivered."""
    producer = Producer(
        settings.librdkafka(**{"partitioner": "murmur2", "linger.ms": 1}), logger=log
    )
    chance = random.Random(clicks.seed)
    sent: list[SentClick] = []
    failed: list[str] = []

    def delivered(planned: float, error: object, message: Message) -> None:
        if error is not None:
            failed.append(str(error))
            return
        key = message.key() or b""
        sent.append(
            SentClick(message.partition() or 0, message.offset() or 0, key.decode(), planned)
        )

    topic = settings.clicks
    producer.list_topics(topic, timeout=10)
    start = time.monotonic() + 0.1
    for number in range(int(rate * seconds)):
        planned = start + number / rate
        while time.monotonic() < planned:
            producer.poll(0)
            time.sleep(_SLEEP_SECONDS)
        key, value = clicks.record(chance)
        producer.produce(topic, value, key, on_delivery=partial(delivered, planned))
    producer.flush()
    if failed:
        raise RuntimeError(f"{len(failed)} clicks were not delivered, the first: {failed[0]}")
    return sent


def subscribe(settings: Settings) -> Consumer:
    """A consumer of the lists that come from now on."""
    consumer = Consumer(
        settings.librdkafka(**{"group.id": "bench-lists", "enable.auto.commit": False}), logger=log
    )
    topic = settings.recommendations
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_END) for number in partitions])
    return consumer


class Subscriber:
    """Takes lists from the recommendations topic as they appear; parses them afterwards."""

    def __init__(self, settings: Settings) -> None:
        self._consumer = subscribe(settings)
        self._seen: list[tuple[float, bytes]] = []

    def read(self, timeout_seconds: float) -> bool:
        """Take one list; False when none came."""
        message = self._consumer.poll(timeout_seconds)
        if message is None or message.error() is not None:
            return False
        self._seen.append((time.monotonic(), message.value() or b"{}"))
        return True

    def lists(self) -> list[SeenList]:
        """All that were taken, in their order."""
        found = []
        for seen, value in self._seen:
            body = msgspec.json.decode(value)
            trigger = body.get("trigger")
            if trigger:
                found.append(
                    SeenList(
                        trigger["partition"],
                        trigger["offset"],
                        body["user_id"],
                        seen,
                        body["model"] is not None,
                    )
                )
        return found

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()


def latencies(clicks: Sequence[SentClick], lists: Sequence[SeenList]) -> list[float]:
    """Seconds from each click's plan to the first list that includes it, ascending.

    RuntimeError when a click has none.
    """
    by_user: dict[tuple[str, int], list[SeenList]] = defaultdict(list)
    for seen in lists:
        by_user[seen.user, seen.partition].append(seen)
    found = []
    missing = 0
    for click in clicks:
        including = (
            seen.seen
            for seen in by_user.get((click.user, click.partition), ())
            if seen.offset >= click.offset
        )
        first = min(including, default=None)
        if first is None:
            missing += 1
        else:
            found.append(first - click.planned)
    if missing:
        raise RuntimeError(f"{missing} of {len(clicks)} clicks are on no list")
    return sorted(found)


def quantile(ascending: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    return ascending[min(len(ascending) - 1, int(len(ascending) * share))]
