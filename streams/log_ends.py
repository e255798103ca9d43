"""Where partitions begin and end as of now, asked of brokers whose leaders may be changing places.

A topic just made, or one whose broker went away, has no leader for a moment: librdkafka gives that
error to whoever asks for offsets, and asks again only for what it fetches itself.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 0.05
_METADATA_SECONDS = 10.0
# Errors that no waiting mends.
_FINAL = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._AUTHENTICATION,
    }
)


def log_ends(
    consumer: Any,
    topic: str,
    numbers: Iterable[int],
    deadline_seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[int, tuple[int, int]]:
    """Partition -> (first offset, offset after the last), of these partitions of a topic.

    `consumer` is a confluent-kafka one, assigned or not. Who leads a partition is looked for again
    until `deadline_seconds` have passed for all of them; then, and at once for what no waiting
    mends (rights, credentials), the client's KafkaException is raised.
    """
    until = clock() + deadline_seconds
    return {
        number: _ends_of(consumer, TopicPartition(topic, number), until, clock, sleep)
        for number in numbers
    }


def _ends_of(
    consumer: Any,
    partition: TopicPartition,
    until: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> tuple[int, int]:
    while True:
        left = max(_AGAIN_SECONDS, until - clock())
        try:
            low, high = consumer.get_watermark_offsets(partition, timeout=left)
        except KafkaException as error:
            if error.args[0].code() in _FINAL or clock() >= until:
                raise
            log.info(
                "the end of %s/%d is not known yet: %s", partition.topic, partition.partition, error
            )
        else:
            return int(low), int(high)
        sleep(_AGAIN_SECONDS)
        with contextlib.suppress(KafkaException):
            consumer.list_topics(
                partition.topic,
                timeout=min(_METADATA_SECONDS, max(_AGAIN_SECONDS, until - clock())),
            )
