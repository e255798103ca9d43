"""Ends of partitions, asked of brokers that may be changing places."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from streams.log_ends import log_ends


class MovingLeader:
    """A consumer whose partitions have no leader for the first so many questions."""

    def __init__(self, refusals: int, code: int = KafkaError.NOT_LEADER_FOR_PARTITION) -> None:
        self.refusals = refusals
        self.code = code
        self.asked = 0
        self.metadata_asked = 0
        self.seconds = 0.0

    def get_watermark_offsets(self, tp: TopicPartition, timeout: float) -> tuple[int, int]:
        assert timeout > 0
        self.asked += 1
        if self.refusals:
            self.refusals -= 1
            raise KafkaException(KafkaError(self.code))
        return tp.partition, 7

    def list_topics(self, topic: str, timeout: float) -> None:
        assert (topic, timeout > 0) == ("clicks", True)
        self.metadata_asked += 1
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def ends(consumer: MovingLeader, deadline_seconds: float = 5.0) -> dict[int, tuple[int, int]]:
    asked: Any = consumer
    return log_ends(
        asked,
        "clicks",
        (0, 3),
        deadline_seconds,
        clock=lambda: consumer.seconds,
        sleep=consumer.sleep,
    )


def test_the_end_is_asked_for_again_while_a_leader_moves() -> None:
    consumer = MovingLeader(refusals=2)
    assert ends(consumer) == {0: (0, 7), 3: (3, 7)}
    assert (consumer.asked, consumer.metadata_asked) == (4, 2)


def test_a_leader_that_is_never_found_is_an_error_once_the_time_is_up() -> None:
    consumer = MovingLeader(refusals=1_000_000)
    with pytest.raises(KafkaException):
        ends(consumer, deadline_seconds=2.0)
    assert consumer.seconds == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(
    "code", [KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError._AUTHENTICATION]
)
def test_what_no_waiting_mends_is_an_error_at_once(code: int) -> None:
    consumer = MovingLeader(refusals=1, code=code)
    with pytest.raises(KafkaException):
        ends(consumer)
    assert (consumer.asked, consumer.seconds) == (1, 0.0)
