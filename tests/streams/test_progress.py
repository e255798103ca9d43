"""How far a group has come, asked of brokers that may be changing places."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from streams.bench import progress as module
from streams.bench.progress import Progress


class MovingLeader:
    """A consumer whose partition has no leader for the first so many questions."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.metadata_asked = 0

    def get_watermark_offsets(self, _tp: TopicPartition, timeout: float) -> tuple[int, int]:
        assert timeout > 0
        if self.refusals:
            self.refusals -= 1
            raise KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION))
        return 0, 7

    def list_topics(self, _topic: str, timeout: float) -> None:
        assert timeout > 0
        self.metadata_asked += 1


def asking(consumer: Any) -> Progress:
    progress = object.__new__(Progress)
    progress._consumer = consumer
    progress._partitions = [TopicPartition("clicks", 0), TopicPartition("clicks", 1)]
    return progress


def test_the_end_is_asked_for_again_while_a_leader_moves() -> None:
    consumer = MovingLeader(refusals=2)
    assert asking(consumer).end() == 14
    assert consumer.metadata_asked == 2


def test_a_leader_that_is_never_found_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_NEW_LEADER_SECONDS", 0.0)
    with pytest.raises(KafkaException):
        asking(MovingLeader(refusals=1_000)).end()
