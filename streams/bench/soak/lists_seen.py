"""Lists seen: the recommendations topic read as it grows, and what its lists say of themselves."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Self

import msgspec
from confluent_kafka import Consumer, TopicPartition

from streams.log_ends import log_ends
from streams.settings import Settings

log = logging.getLogger(__name__)

_FETCH_LISTS = 2_000


class _Trigger(msgspec.Struct):
    partition: int
    offset: int


class _Latency(msgspec.Struct):
    total: float


class ListSeen(msgspec.Struct):
    """The fields of a list that a soak looks at."""

    user_id: str
    served_by: str
    degraded_reason: str | None
    trigger: _Trigger
    latency_ms: _Latency

    @property
    def age_seconds(self) -> float:
        """From the newest click to the making of the list."""
        return self.latency_ms.total / 1000.0


_decode = msgspec.json.Decoder(ListSeen).decode


class ListsSeen:
    """A group-less reader from the end of the topic, with the newest trigger of every user."""

    def __init__(self, settings: Settings) -> None:
        self._consumer = Consumer(
            settings.librdkafka(
                **{
                    "group.id": f"{settings.group}-lists",
                    "enable.auto.commit": False,
                    "fetch.wait.max.ms": 100,
                }
            ),
            logger=log,
        )
        topic = settings.recommendations
        partitions = self._consumer.list_topics(topic, timeout=10).topics[topic].partitions
        self._consumer.assign(
            [
                TopicPartition(topic, number, end)
                for number, (_, end) in log_ends(self._consumer, topic, partitions, 10).items()
            ]
        )
        self.newest: dict[str, int] = {}
        """User -> offset of the newest click that a list of theirs includes."""

    def poll(self, timeout_seconds: float) -> list[ListSeen]:
        """Lists that came meanwhile, waiting at most so long for the first."""
        seen = []
        for message in self._consumer.consume(_FETCH_LISTS, timeout_seconds):
            value = message.value()
            if message.error() is not None or value is None:
                continue
            one = _decode(value)
            self.newest[one.user_id] = max(self.newest.get(one.user_id, -1), one.trigger.offset)
            seen.append(one)
        return seen

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._consumer.close()
