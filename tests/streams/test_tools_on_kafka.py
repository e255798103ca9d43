"""The tools against a broker: sending, reading, replaying, tailing and erasing."""

import itertools
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest
from aiokafka.partitioner import murmur2
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from streams.broker import EmbeddedBroker
from streams.click_logs import ClickLog
from streams.columns import CLICKS
from streams.erase import EraseError, erase
from streams.replay import ReplayPlan, replay
from streams.sender import KafkaSender, Pace, SendError, ensure_topic
from streams.settings import Settings
from streams.tail import Record, TailError, TopicReader

_prefixes = itertools.count()


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        yield running


@pytest.fixture
def settings(broker: EmbeddedBroker) -> Settings:
    """Settings with topics of this test's own."""
    return Settings(
        bootstrap=broker.bootstrap,
        topic_prefix=f"t{next(_prefixes)}.",
        broker_deadline_seconds=10.0,
        request_timeout_seconds=10.0,
    )


def _partition(partitioner: str, key: str, count: int) -> int:
    """Where Java's default producer (murmur2) and librdkafka's (crc32) put a key."""
    data = key.encode()
    return (murmur2(data) & 0x7FFFFFFF if partitioner == "murmur2" else zlib.crc32(data)) % count


def _until(seconds: float = 20.0):  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def _take(reader: TopicReader, count: int) -> list[Record]:
    return list(itertools.islice(reader.read(_until()), count))


def test_a_missing_topic_is_created_and_an_existing_one_counted(settings: Settings) -> None:
    made = ensure_topic(settings, settings.clicks)
    assert made > 0
    assert ensure_topic(settings, settings.clicks) == made


@pytest.mark.parametrize("partitioner", ["murmur2", "crc32"])
def test_keys_go_where_that_kind_of_producer_puts_them(
    settings: Settings, partitioner: str
) -> None:
    settings = settings.replace(producer_partitioner=partitioner)
    count = ensure_topic(settings, settings.clicks)
    sender = KafkaSender(settings, settings.clicks)
    keys = [f"user-{n}" for n in range(20)]
    for key in keys:
        sender.send(key.encode(), b"x")
    assert sender.finish() == 20
    reader = TopicReader(settings, settings.clicks, from_beginning=True)
    found = {record.key: record.partition for record in _take(reader, 20)}
    reader.close()
    assert found == {key: _partition(partitioner, key, count) for key in keys}


def test_a_log_arrives_complete_and_in_order_for_each_user(
    settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "log.csv"
    rows = [f"u{n % 7},i{n},{1_700_000_000_000 + n * 1000}" for n in range(500)]
    path.write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    ensure_topic(settings, settings.clicks)
    report = replay(
        ClickLog(path, CLICKS), KafkaSender(settings, settings.clicks),
        ReplayPlan(record_time="event"), Pace(), now_ms=time.time_ns() // 1_000_000,
    )  # fmt: skip
    assert report.clicks == 500
    reader = TopicReader(settings, settings.clicks, from_beginning=True)
    records = _take(reader, 500)
    reader.close()
    by_user: dict[str, list[int]] = {}
    for record in records:
        body = msgspec.json.decode(record.value or b"")
        assert body["user_id"] == record.key
        by_user.setdefault(record.key, []).append(int(body["item_id"][1:]))
    assert len(by_user) == 7
    assert all(items == sorted(items) for items in by_user.values())
    assert sorted(n for items in by_user.values() for n in items) == list(range(500))


def test_record_times_are_the_event_times_when_asked(settings: Settings) -> None:
    ensure_topic(settings, settings.clicks)
    sender = KafkaSender(settings, settings.clicks, partition=1)
    sender.send(b"u", b"x", 1_700_000_000_000)
    sender.finish()
    assert sender.last is not None
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": "check"})
    consumer.assign([TopicPartition(settings.clicks, sender.last.partition, 0)])
    message = consumer.poll(20)
    consumer.close()
    assert sender.last.partition == 1
    assert message.timestamp()[1] == 1_700_000_000_000


def test_a_reader_from_now_on_sees_what_comes_after_and_nothing_before(
    settings: Settings,
) -> None:
    ensure_topic(settings, settings.clicks)
    sender = KafkaSender(settings, settings.clicks)
    sender.send(b"before", b"x")
    sender.finish()
    reader = TopicReader(settings, settings.clicks, from_beginning=False)
    sender.send(b"after", b"y")
    sender.finish()
    (record,) = _take(reader, 1)
    reader.close()
    assert (record.key, record.value) == ("after", b"y")


def test_reading_a_topic_that_never_comes_names_the_topic(settings: Settings) -> None:
    impatient = settings.replace(broker_deadline_seconds=0.3)
    with pytest.raises(TailError, match=r"nowhere does not exist .*start a worker"):
        TopicReader(impatient, f"{settings.topic_prefix}nowhere", from_beginning=False)


def test_a_topic_whose_leader_is_not_found_is_one_sentence_with_advice(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaderless(*_asked: object) -> NoReturn:
        raise KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION))

    ensure_topic(settings, settings.clicks)
    monkeypatch.setattr("streams.tail.log_ends", leaderless)
    with pytest.raises(TailError, match=r"clicks is not to be had .*leaders"):
        TopicReader(settings, settings.clicks, from_beginning=False)


def test_no_broker_is_one_sentence_with_advice() -> None:
    nowhere = Settings(bootstrap="127.0.0.1:1", broker_deadline_seconds=0.5)
    with pytest.raises(SendError, match="freshrec broker"):
        ensure_topic(nowhere, "clicks")
    with pytest.raises(TailError, match="freshrec broker"):
        TopicReader(nowhere, "clicks", from_beginning=True)


class ReceiptWriter(threading.Thread):
    """Answers the first null click as a worker does, after receipts that are for others."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self._settings = settings
        self.request: Record | None = None

    def run(self) -> None:
        reader = TopicReader(self._settings, self._settings.clicks, from_beginning=True)
        self.request = next(iter(reader.read(_until())))
        reader.close()
        producer = Producer({"bootstrap.servers": self._settings.bootstrap})
        mine = {
            "user_id": self.request.key, "erased_at": "2026-01-31T12:00:00.000Z",
            "source_topic": self._settings.clicks, "source_partition": self.request.partition,
            "source_offset": self.request.offset,
        }  # fmt: skip
        others = [
            mine | {"user_id": "someone"}, mine | {"source_offset": self.request.offset - 1},
            mine | {"source_topic": "another"},
        ]  # fmt: skip
        topic = self._settings.receipts_topic
        producer.produce(topic, b"not json", self.request.key)
        for receipt in (*others, mine | {"erased_at": "now"}):
            producer.produce(topic, msgspec.json.encode(receipt), str(receipt["user_id"]))
        producer.flush(10)


def test_an_erasure_is_confirmed_by_the_receipt_of_just_that_request(settings: Settings) -> None:
    ensure_topic(settings, settings.receipts_topic)
    count = ensure_topic(settings, settings.clicks)
    worker = ReceiptWriter(settings)
    worker.start()
    report = erase(settings, "ü ser", timeout_seconds=20)
    worker.join(10)
    assert worker.request is not None
    assert worker.request.value is None
    assert report.erased_at == "now"
    assert (report.partition, report.offset) == (
        worker.request.partition, worker.request.offset,
    )  # fmt: skip
    assert report.partition == _partition("murmur2", "ü ser", count)


def test_an_erasure_without_a_worker_times_out_and_says_where_the_request_is(
    settings: Settings,
) -> None:
    ensure_topic(settings, settings.receipts_topic)
    ensure_topic(settings, settings.clicks)
    with pytest.raises(EraseError, match=r"within 0.5 s.*offset 0 of partition 2"):
        erase(settings, "u", timeout_seconds=0.5, partition=2)


def test_a_partition_that_does_not_exist_is_refused_before_anything_is_sent(
    settings: Settings,
) -> None:
    count = ensure_topic(settings, settings.clicks)
    with pytest.raises(EraseError, match=f"has no partition {count}"):
        erase(settings, "u", timeout_seconds=1, partition=count)
