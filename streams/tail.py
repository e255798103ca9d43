"""Subscribe to topics from the tools: recommendations as they come out, receipts as they arrive.

Readers assign partitions themselves and commit nothing, so they disturb no consumer group.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from streams.events import Recommendation, decode_recommendation
from streams.log_ends import log_ends
from streams.settings import Settings

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.2


class TailError(RuntimeError):
    """A topic that cannot be read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record as read. A null value is an erased user."""

    key: str
    value: bytes | None
    partition: int
    offset: int


class TopicReader:
    """Reads all partitions of a topic, from the beginning or from now on.

    Waits up to `broker_deadline_seconds` for a topic that does not exist yet and then reads all of
    it, since everything in it is new. Raises `TailError` from the constructor.
    """

    def __init__(self, settings: Settings, topic: str, *, from_beginning: bool) -> None:
        self._topic = topic
        self._settings = settings
        self._consumer: Any = Consumer(
            settings.librdkafka(
                **{
                    "client.id": "freshrec-tools",
                    "group.id": "freshrec-tools",  # required by the client; never joined
                    "enable.auto.commit": False,
                    "fetch.wait.max.ms": 100,
                    "topic.metadata.refresh.interval.ms": 5000,
                }
            ),
            logger=logging.getLogger("librdkafka"),
        )
        try:
            self._assign(from_beginning)
        except BaseException:
            self._consumer.close()
            raise

    def read(self, until: Callable[[], bool]) -> Iterator[Record]:
        """Records as they arrive; `until` is asked at least five times a second."""
        while not until():
            message = self._consumer.poll(_POLL_SECONDS)
            if message is None:
                continue
            if message.error() is not None:
                if message.error().fatal():
                    raise TailError(f"Cannot read {self._topic}: {message.error().str()}.")
                # The client asks for a coordinator of the group that it never joins.
                if message.error().code() != KafkaError.GROUP_AUTHORIZATION_FAILED:
                    _log.warning("%s: %s", self._topic, message.error().str())
                continue
            key = (message.key() or b"").decode(errors="replace")
            yield Record(key, message.value(), message.partition(), message.offset())

    def close(self) -> None:
        """Leave the brokers."""
        self._consumer.close()

    def _assign(self, from_beginning: bool) -> None:
        deadline = time.monotonic() + self._settings.broker_deadline_seconds
        start = OFFSET_BEGINNING if from_beginning else OFFSET_END
        while not (count := self._partition_count(deadline)):
            start = OFFSET_BEGINNING
            if time.monotonic() > deadline:
                raise TailError(
                    f"The topic {self._topic} does not exist on {self._settings.bootstrap}: start a"
                    " worker, which creates it, or correct --topic-prefix."
                )
            time.sleep(_POLL_SECONDS)
        starts = dict.fromkeys(range(count), OFFSET_BEGINNING)
        if start == OFFSET_END:
            # The end as of now: OFFSET_END would be looked up at the first fetch, which may come
            # after a record that this reader is to see.
            starts = self._ends(count)
        self._consumer.assign([TopicPartition(self._topic, *place) for place in starts.items()])

    def _ends(self, count: int) -> dict[int, int]:
        """Partition -> offset after its last record."""
        try:
            found = log_ends(
                self._consumer, self._topic, range(count), self._settings.broker_deadline_seconds
            )
        except KafkaException as error:
            raise TailError(
                f"The end of {self._topic} is not to be had from {self._settings.bootstrap}"
                f" ({error.args[0].str()}): look at the topic's leaders and at the rights to it."
            ) from error
        return {number: end for number, (_, end) in found.items()}

    def _partition_count(self, deadline: float) -> int:
        timeout = max(0.1, deadline - time.monotonic())
        try:
            found = self._consumer.list_topics(timeout=timeout).topics.get(self._topic)
        except KafkaException as error:
            raise TailError(
                f"No Kafka broker answered at {self._settings.bootstrap} ({error.args[0].str()}):"
                " start one (freshrec broker) or correct --bootstrap."
            ) from error
        return 0 if found is None or found.error is not None else len(found.partitions)


def recommendations(
    records: Iterator[Record], *, user: str | None, limit: int | None
) -> Iterator[tuple[Record, Recommendation | None]]:
    """The lists among records, at most `limit`, of one user or of all; None: erased.

    A record that is not a recommendation is named in the log and passed over.
    """
    shown = 0
    for record in records:
        if user is not None and record.key != user:
            continue
        try:
            found = None if record.value is None else decode_recommendation(record.value)
        except msgspec.DecodeError as error:
            _log.warning(
                "partition %d offset %d is not a recommendation: %s",
                record.partition, record.offset, error,
            )  # fmt: skip
            continue
        yield record, found
        shown += 1
        if shown == limit:
            return


def lines(key: str, found: Recommendation | None) -> list[str]:
    """A list for people: a head line, then one line for an item with its reasons."""
    if found is None:
        return [f"{key}: erased"]
    head = (
        f"{found.user_id}  {found.served_by}"
        + (f" ({found.degraded_reason})" if found.degraded_reason else "")
        + f"  {found.latency_ms.total:.1f} ms  {found.window.events} events"
        + f"  {found.generated_at}"
    )
    rows = [head]
    for item in found.items:
        title = f"  {item.title}" if item.title else ""
        reasons = ", ".join(
            str(reason.code) + (f" {reason.item_id}" if reason.item_id else "")
            for reason in item.reasons
        )
        rows.append(
            f"  {item.rank:>2}. {item.item_id}{title}  {item.score:.3f}  {reasons}".rstrip()
        )
    return rows
