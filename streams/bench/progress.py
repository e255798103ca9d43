"""Progress: what the broker knows of how far a group has come."""

import logging
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.log_ends import log_ends
from streams.settings import Settings

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.05
_NEW_LEADER_SECONDS = 60.0


class Process(Protocol):
    """A child whose progress is waited for."""

    def alive(self) -> bool:
        """Whether it runs."""

    def log_tail(self) -> str:
        """The end of its log, for an error message."""


class Progress:
    """Committed and end offsets of a topic, for one group."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._consumer = Consumer(
            settings.librdkafka(**{"group.id": settings.group, "enable.auto.commit": False}),
            logger=log,
        )
        metadata = self._consumer.list_topics(topic, timeout=10).topics[topic]
        self._topic = topic
        self._committed = 0
        self._partitions = [TopicPartition(topic, number) for number in metadata.partitions]

    def end(self) -> int:
        """Records in the topic, as the sum of the end offsets."""
        numbers = [tp.partition for tp in self._partitions]
        ends = log_ends(self._consumer, self._topic, numbers, _NEW_LEADER_SECONDS)
        return sum(end for _, end in ends.values())

    def committed(self) -> int:
        """Sum of the committed offsets; what was known last while the coordinator moves."""
        try:
            positions = self._consumer.committed(self._partitions, timeout=10)
        except KafkaException as error:
            log.info("committed offsets are not known at the moment: %s", error)
            return self._committed
        self._committed = sum(max(0, tp.offset) for tp in positions)
        return self._committed

    def wait(
        self, offset: int, workers: Process | Sequence[Process], timeout_seconds: float
    ) -> float:
        """Wait until `offset` is committed; returns the monotonic instant.

        Raises RuntimeError when a worker dies or the time is up.
        """
        if not isinstance(workers, Sequence):
            workers = [workers]
        deadline = time.monotonic() + timeout_seconds
        while (committed := self.committed()) < offset:
            for worker in workers:
                if not worker.alive():
                    raise RuntimeError(f"a worker died:\n{worker.log_tail()}")
            if time.monotonic() > deadline:
                logs = "\n".join(worker.log_tail() for worker in workers)
                raise RuntimeError(
                    f"only {committed} of {offset} records were committed within "
                    f"{timeout_seconds:.0f} s:\n{logs}"
                )
            time.sleep(_POLL_SECONDS)
        return time.monotonic()

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
