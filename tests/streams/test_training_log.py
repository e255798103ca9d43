"""The clicks topic as training data: where reading begins and ends, and what goes wrong."""

import itertools
import time
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from streams.broker import EmbeddedBroker
from streams.sender import KafkaSender, ensure_topic
from streams.settings import Settings
from streams.training_log import TrainingLogError, read_training_log

_prefixes = itertools.count()


def click(user: str, item: str, time_ms: int) -> bytes:
    return msgspec.json.encode({"user_id": user, "item_id": item, "timestamp": time_ms})


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        yield running


@pytest.fixture
def settings(broker: EmbeddedBroker) -> Settings:
    return Settings(
        bootstrap=broker.bootstrap,
        topic_prefix=f"log{next(_prefixes)}.",
        broker_deadline_seconds=10.0,
        request_timeout_seconds=10.0,
    )


def test_a_topic_is_read_from_its_beginning_to_its_end(settings: Settings) -> None:
    ensure_topic(settings, settings.clicks)
    sender = KafkaSender(settings, settings.clicks)
    now_ms = time.time_ns() // 1_000_000
    for n in range(3000):
        sender.send(f"u{n % 50}".encode(), click(f"u{n % 50}", f"i{n}", now_ms + n % 100))
    sender.send(b"u7", None)
    sender.send(b"u8", b"rubbish")
    sender.finish()
    done: list[tuple[int, int]] = []
    log = read_training_log(settings, progress=lambda *figures: done.append(figures))
    assert log.counts["records"] == 3002
    assert log.counts["clicks"] == 2940
    assert log.counts["rejected_malformed_json"] == 1
    assert len(log.users) == 49
    assert "u7" not in log.users
    assert done == [(1000, 3002), (2000, 3002), (3000, 3002)]
    again = read_training_log(settings)
    assert np.array_equal(again.table, log.table)


def test_reading_ends_at_the_end_as_it_was_at_the_start(settings: Settings) -> None:
    ensure_topic(settings, settings.clicks)
    sender = KafkaSender(settings, settings.clicks, partition=0)
    now_ms = time.time_ns() // 1_000_000
    for n in range(2500):
        sender.send(b"u", click("u", f"i{n}", now_ms))
    sender.finish()
    asked = []

    def keep_sending(done: int, total: int) -> None:
        asked.append((done, total))
        for n in range(100):
            sender.send(b"u", click("u", f"later{n}", now_ms))
        sender.finish()

    log = read_training_log(settings, progress=keep_sending)
    assert asked == [(1000, 2500), (2000, 2500)]
    assert log.counts["records"] == 2500


def test_a_topic_that_is_not_there_is_named(settings: Settings) -> None:
    ensure_topic(settings, settings.clicks)
    nowhere = settings.replace(topic_prefix="no-such.")
    with pytest.raises(TrainingLogError, match=r"no-such\.clicks"):
        read_training_log(nowhere)


def test_a_topic_without_a_usable_click_says_what_was_in_it(settings: Settings) -> None:
    ensure_topic(settings, settings.clicks)
    sender = KafkaSender(settings, settings.clicks)
    sender.send(b"u", b"rubbish")
    sender.finish()
    with pytest.raises(TrainingLogError, match="no usable click .*rejected_malformed_json 1"):
        read_training_log(settings)


def test_no_broker_is_one_sentence_with_advice() -> None:
    nowhere = Settings(bootstrap="127.0.0.1:1", broker_deadline_seconds=0.3)
    with pytest.raises(TrainingLogError, match="freshrec broker"):
        read_training_log(nowhere)
