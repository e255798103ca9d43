"""Sending clicks from the tools: a librdkafka producer with back-pressure, and pacing.

The worker does not use this; it publishes through its own client.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streams.settings import Settings

_log = logging.getLogger(__name__)

PARTITIONERS = {"murmur2": "murmur2_random", "crc32": "consistent_random"}
_QUEUE_MESSAGES = 50_000


class SendError(RuntimeError):
    """Records that no broker acknowledged; the message says what to look at."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a record ended up."""

    topic: str
    partition: int
    offset: int


class Sender(Protocol):
    """Takes records for one topic. `send` may block: that is the back-pressure."""

    def send(self, key: bytes, value: bytes | None, timestamp_ms: int | None = None) -> None:
        """Queue a record; `timestamp_ms` None is now. Raises `SendError` once a send failed."""

    def finish(self) -> int:
        """Wait for every acknowledgement; how many there were. Raises `SendError`."""


class KafkaSender:
    """A `Sender` to a topic, idempotent: retries neither reorder nor double clicks.

    Keys go to the partition that `settings.producer_partitioner` says, or all to `partition`.
    """

    def __init__(self, settings: Settings, topic: str, partition: int | None = None) -> None:
        self._topic = topic
        self._partition = partition
        self._settings = settings
        self._acknowledged = 0
        self._failed: KafkaError | None = None
        self.last: Position | None = None
        self._producer = Producer(
            settings.librdkafka(
                **{
                    "client.id": "freshrec-tools",
                    "enable.idempotence": True,
                    "partitioner": PARTITIONERS[settings.producer_partitioner],
                    "linger.ms": 5,
                    "message.timeout.ms": round(settings.request_timeout_seconds * 1000),
                    "queue.buffering.max.messages": _QUEUE_MESSAGES,
                }
            ),
            logger=_log,
        )

    def send(self, key: bytes, value: bytes | None, timestamp_ms: int | None = None) -> None:
        """Queue a record, waiting while the queue is full."""
        more: dict[str, Any] = {} if self._partition is None else {"partition": self._partition}
        while True:
            self._check()
            try:
                self._producer.produce(
                    self._topic,
                    value,
                    key,
                    timestamp=timestamp_ms or 0,
                    on_delivery=self._delivered,
                    **more,
                )
            except BufferError:
                self._producer.poll(0.1)
                continue
            except KafkaException as error:
                raise SendError(f"Cannot send to {self._topic}: {error.args[0].str()}.") from error
            self._producer.poll(0)
            return

    def finish(self) -> int:
        """Wait until every record is acknowledged or has failed."""
        left = self._producer.flush(self._settings.request_timeout_seconds + 5)
        self._check()
        if left:
            raise SendError(
                f"{left} records to {self._topic} were not acknowledged within"
                f" {self._settings.request_timeout_seconds:g} s by {self._settings.bootstrap}."
            )
        return self._acknowledged

    def _delivered(self, error: KafkaError | None, message: Any) -> None:
        if error is not None:
            self._failed = self._failed or error
            return
        self._acknowledged += 1
        self.last = Position(message.topic(), message.partition(), message.offset())

    def _check(self) -> None:
        if self._failed is not None:
            raise SendError(
                f"A record to {self._topic} was not acknowledged: {self._failed.str()}; look at the"
                f" brokers at {self._settings.bootstrap}."
            )


class Pace:
    """Waits until a record is due: at `rate` records a second, or by event time at `speed` x.

    Neither: no waiting. `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        *,
        rate: float | None = None,
        speed: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if rate is not None and speed is not None:
            raise ValueError("Give a rate or a speed, not both.")
        self._rate = rate
        self._speed = speed
        self._clock = clock
        self._sleep = sleep
        self._start: float | None = None
        self._first_ms = 0
        self._records = 0

    def wait(self, time_ms: int) -> None:
        """Sleep until the next record, whose event time is `time_ms`, is due."""
        if self._start is None:
            self._start = self._clock()
            self._first_ms = time_ms
        if self._rate is not None:
            due = self._records / self._rate
        elif self._speed is not None:
            due = (time_ms - self._first_ms) / 1000 / self._speed
        else:
            return
        self._records += 1
        ahead = self._start + due - self._clock()
        if ahead > 0.001:  # a shorter sleep costs more than it gives
            self._sleep(ahead)


def ensure_topic(settings: Settings, topic: str) -> int:
    """The partition count of a topic, which is created where it is missing. Raises `SendError`."""
    admin = AdminClient(settings.librdkafka(), logger=_log)
    deadline = time.monotonic() + settings.broker_deadline_seconds
    created = False
    while True:
        left = max(0.1, deadline - time.monotonic())
        known = _partitions(admin, settings, topic, left)
        if known:
            return known
        if not created:
            created = True
            _create(admin, settings, topic)
        elif time.monotonic() > deadline:
            raise SendError(
                f"The topic {topic} was not there {settings.broker_deadline_seconds:g} s after its"
                f" creation; look at the brokers at {settings.bootstrap}."
            )
        else:
            time.sleep(0.05)


def _partitions(admin: Any, settings: Settings, topic: str, timeout_seconds: float) -> int:
    found = _metadata(admin, settings, timeout_seconds).topics.get(topic)
    return 0 if found is None or found.error is not None else len(found.partitions)


def _metadata(admin: Any, settings: Settings, timeout_seconds: float) -> Any:
    try:
        return admin.list_topics(timeout=timeout_seconds)
    except KafkaException as error:
        raise SendError(
            f"No Kafka broker answered at {settings.bootstrap} ({error.args[0].str()}): start one"
            " (freshrec broker) or correct --bootstrap."
        ) from error


def _create(admin: Any, settings: Settings, topic: str) -> None:
    """Create by request; the embedded broker has no controller and creates what is asked for."""
    metadata = _metadata(admin, settings, settings.request_timeout_seconds)
    if metadata.controller_id not in metadata.brokers:
        admin.list_topics(topic, timeout=settings.request_timeout_seconds)
        return
    wanted = NewTopic(
        topic,
        num_partitions=settings.partitions,
        replication_factor=settings.replication_factor,
    )
    try:
        admin.create_topics([wanted], request_timeout=settings.request_timeout_seconds)[
            topic
        ].result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise SendError(f"Cannot create the topic {topic}: {error.args[0].str()}.") from error
