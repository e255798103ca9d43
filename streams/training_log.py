"""The clicks topic as training data: everything in it now, read once, and then no more.

What a worker would refuse is left out; an erasure takes the user's earlier clicks with it, so that
nobody is learned from who asked to be forgotten (`streams.click_columns`).

The reader assigns partitions itself and commits nothing, so it disturbs no consumer group.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from streams.click_columns import ClickColumns, LogRecord, TrainingLog
from streams.log_ends import log_ends
from streams.settings import Settings

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
_RECORDS_AT_ONCE = 1000
_METADATA_SECONDS = 30.0
# Errors of a record that no waiting mends.
_FINAL = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)


class TrainingLogError(RuntimeError):
    """The clicks cannot be read; the message is one sentence that says what to do."""


def read_training_log(
    settings: Settings,
    *,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    clock: Callable[[], float] = time.monotonic,
) -> TrainingLog:
    """All clicks between the topic's beginning and its end as of now.

    `progress(done, total)` is called now and then, in records; `total` counts offsets and is not
    reached where some have been compacted away. Raises `TrainingLogError` where the topic is not
    there, the brokers are silent for `request_timeout_seconds`, or no click is usable.
    """
    columns = ClickColumns(
        settings.click_limits(), frozenset(settings.event_type_registry().positive_names)
    )
    consumer: Any = Consumer(
        settings.librdkafka(
            **{
                "client.id": "freshrec-training",
                "group.id": "freshrec-training",  # required by the client; never joined
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "topic.metadata.refresh.interval.ms": 5000,
            }
        ),
        logger=logging.getLogger("librdkafka"),
    )
    try:
        ends = _ends(consumer, settings)
        total = sum(high - low for low, high in ends.values())
        for done, record in enumerate(_records(consumer, settings, ends, clock), 1):
            columns.add(record)
            if done % _RECORDS_AT_ONCE == 0:
                progress(done, total)
    except KafkaException as error:
        raise TrainingLogError(
            f"Cannot read {settings.clicks} at {settings.bootstrap}: {error.args[0].str()}."
        ) from error
    finally:
        consumer.close()
    log = columns.finish()
    if not len(log.table):
        raise TrainingLogError(
            f"The topic {settings.clicks} at {settings.bootstrap} holds no usable click"
            f" ({_in_words(log.counts)}): correct --clicks-topic or send clicks first."
        )
    return log


def _ends(consumer: Any, settings: Settings) -> dict[int, tuple[int, int]]:
    """Partition -> (first offset, offset after the last) of those that hold anything."""
    try:
        found = consumer.list_topics(timeout=max(0.1, settings.broker_deadline_seconds)).topics.get(
            settings.clicks
        )
    except KafkaException as error:
        raise TrainingLogError(
            f"No Kafka broker answered at {settings.bootstrap} ({error.args[0].str()}): start one"
            " (freshrec broker) or correct --bootstrap."
        ) from error
    if found is None or found.error is not None or not found.partitions:
        raise TrainingLogError(
            f"The topic {settings.clicks} does not exist on {settings.bootstrap}: correct"
            " --clicks-topic or --topic-prefix."
        )
    ends = log_ends(consumer, settings.clicks, found.partitions, _METADATA_SECONDS)
    return {number: (low, high) for number, (low, high) in ends.items() if high > low}


def _records(
    consumer: Any,
    settings: Settings,
    ends: dict[int, tuple[int, int]],
    clock: Callable[[], float],
) -> Iterator[LogRecord]:
    """Every record before the ends, partitions interleaved."""
    left = set(ends)
    consumer.assign([TopicPartition(settings.clicks, n, OFFSET_BEGINNING) for n in left])
    heard = clock()
    last_error = "no answer"
    while left:
        messages = consumer.consume(_RECORDS_AT_ONCE, _POLL_SECONDS)
        if messages:
            heard = clock()
        elif clock() - heard > settings.request_timeout_seconds:
            raise TrainingLogError(
                f"{settings.clicks} gave nothing for {settings.request_timeout_seconds:g} s"
                f" ({last_error}): look at the brokers at {settings.bootstrap}."
            )
        for message in messages:
            partition, error = message.partition(), message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    left.discard(partition)
                elif error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                    pass  # the client asks for a coordinator of the group that it never joins
                elif error.fatal() or error.code() in _FINAL:
                    raise TrainingLogError(f"Cannot read {settings.clicks}: {error.str()}.")
                else:
                    last_error = error.str()
                    _log.warning("%s: %s", settings.clicks, last_error)
                continue
            # The last offset may have been compacted away: what lies beyond it tells as well.
            end = ends[partition][1]
            if message.offset() >= end - 1:
                left.discard(partition)
            if message.offset() < end:
                yield LogRecord(
                    partition,
                    message.offset(),
                    message.timestamp()[1],
                    message.key(),
                    message.value(),
                    message.headers() or (),
                )


def _in_words(counts: dict[str, int]) -> str:
    said: Iterable[str] = (f"{name} {count}" for name, count in counts.items() if count)
    return ", ".join(said) or "no record"
