"""On real Kafka: the clicks topic as training data, transactions and growing topic included."""

import json
import time
import uuid

import pytest
from confluent_kafka import Producer

from streams.sender import KafkaSender, ensure_topic
from streams.settings import Settings
from streams.training_log import TrainingLogError, read_training_log

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka: str) -> Settings:
    found = Settings(bootstrap=kafka, topic_prefix=f"log-{uuid.uuid4().hex[:8]}.", partitions=3)
    ensure_topic(found, found.clicks)
    return found


def _click(user: str, item: str) -> bytes:
    now_ms = time.time_ns() // 1_000_000
    return json.dumps({"user_id": user, "item_id": item, "timestamp": now_ms}).encode()


def test_everything_but_erased_users_is_read_from_all_partitions(settings: Settings) -> None:
    sender = KafkaSender(settings, settings.clicks)
    for n in range(2000):
        sender.send(f"u{n % 40}".encode(), _click(f"u{n % 40}", f"i{n % 90}"))
    sender.send(b"u5", None)
    sender.finish()
    log = read_training_log(settings)
    assert (log.counts["records"], log.counts["clicks"]) == (2001, 1950)
    assert "u5" not in log.users
    assert len(log.users) == 39


def test_an_aborted_transaction_is_not_read_and_its_markers_do_not_stop_the_end(
    settings: Settings,
) -> None:
    producer = Producer(
        {"bootstrap.servers": settings.bootstrap, "transactional.id": uuid.uuid4().hex}
    )
    producer.init_transactions(30)
    for user, commits in (("kept", True), ("aborted", False)):
        producer.begin_transaction()
        for n in range(10):
            producer.produce(settings.clicks, _click(user, f"i{n}"), user, partition=n % 3)
        producer.flush(30)
        if commits:
            producer.commit_transaction(30)
        else:
            producer.abort_transaction(30)
    # Every partition ends with a marker, at whose offset there is no record to read.
    log = read_training_log(settings.replace(request_timeout_seconds=20))
    assert log.users == ["kept"]
    assert log.counts["clicks"] == 10


def test_clicks_that_come_while_it_reads_are_left_for_the_next_time(settings: Settings) -> None:
    sender = KafkaSender(settings, settings.clicks)
    for n in range(3000):
        sender.send(f"u{n % 40}".encode(), _click(f"u{n % 40}", f"i{n % 90}"))
    sender.finish()

    def send_more(_done: int, _total: int) -> None:
        for n in range(50):
            sender.send(f"u{n}".encode(), _click(f"u{n}", "later"))
        sender.finish()

    log = read_training_log(settings, progress=send_more)
    assert log.counts["clicks"] == 3000
    assert "later" not in log.items
    assert "later" in read_training_log(settings).items


def test_an_empty_topic_is_said_to_be_empty(settings: Settings) -> None:
    with pytest.raises(TrainingLogError, match="no usable click"):
        read_training_log(settings)
