"""Workload: reproducible synthetic clicks, published as fast as the broker takes them."""

import logging
import random
from collections.abc import Iterator

import msgspec
from confluent_kafka import Producer

from streams.instant import iso_utc
from streams.settings import Settings

log = logging.getLogger(__name__)

_ZIPF_EXPONENT = 0.9


class Workload(msgspec.Struct, frozen=True):
    """How many clicks of whom on what; item popularity follows Zipf's law."""

    clicks: int
    users: int
    items: int
    bad_share: float = 0.0
    seed: int = 7


class Tally(msgspec.Struct):
    """What was published."""

    clicks: int = 0
    bad: int = 0


_BAD_VALUES = (
    b"{not json",
    b"[]",
    b'{"user_id":"u1","timestamp":"2026-01-01T00:00:00Z"}',
    b'{"user_id":"u1","item_id":"i1","timestamp":"yesterday"}',
    b'{"user_id":"u1","item_id":7,"timestamp":"2026-01-01T00:00:00Z"}',
    b"\xff\xfe\xfd",
    b"",
)


def records(workload: Workload, now_ms: int) -> Iterator[tuple[bytes, bytes, bool]]:
    """Key, value and whether the value is good; the same for the same workload and instant."""
    chance = random.Random(workload.seed)
    weights = [1.0 / (rank + 1) ** _ZIPF_EXPONENT for rank in range(workload.items)]
    items = chance.choices(range(workload.items), weights, k=workload.clicks)
    for number, item in enumerate(items):
        user = f"user{chance.randrange(workload.users):06d}"
        if workload.bad_share and chance.random() < workload.bad_share:
            yield user.encode(), chance.choice(_BAD_VALUES), False
            continue
        value = (
            f'{{"event_id":"e{number:08d}","event_type":"click","user_id":"{user}",'
            f'"item_id":"item{item:05d}","timestamp":"{iso_utc(now_ms + number // 50)}"}}'
        )
        yield user.encode(), value.encode(), True


def publish(settings: Settings, workload: Workload, now_ms: int) -> Tally:
    """Publish a workload; returns when the broker has acknowledged all of it.

    Raises RuntimeError when a record was not delivered.
    """
    producer = Producer(
        settings.librdkafka(
            **{
                "partitioner": "murmur2",
                "linger.ms": 20,
                "batch.num.messages": 50_000,
                "queue.buffering.max.messages": 500_000,
                "enable.idempotence": True,
            }
        ),
        logger=log,
    )
    tally = Tally()
    failed: list[str] = []

    def delivered(error: object, _message: object) -> None:
        if error is not None:
            failed.append(str(error))

    topic = settings.clicks
    for key, value, good in records(workload, now_ms):
        while True:
            try:
                producer.produce(topic, value, key, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
        tally.clicks += 1
        tally.bad += not good
        if tally.clicks % 10_000 == 0:
            producer.poll(0)
    producer.flush()
    if failed:
        raise RuntimeError(f"{len(failed)} clicks were not delivered, the first: {failed[0]}")
    return tally
