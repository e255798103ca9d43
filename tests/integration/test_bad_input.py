"""On real Kafka: whatever a producer sends, the worker goes on and nothing gets lost."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.record.default_records import DefaultRecordBase
from aiokafka.record.util import calc_crc32c

from streams.bench.oracle import StoredRecord, latest, read_topic
from streams.events import RejectReason
from streams.settings import Settings
from streams.topics import changelog_topic
from streams.window import decode_window
from tests.integration.running import (
    Outgoing,
    click,
    create_topic,
    figures,
    flags_for,
    running,
    send,
    set_largest_record,
    wait_for_all,
)

pytestmark = pytest.mark.kafka


class Bad(NamedTuple):
    """A record that must become a dead letter."""

    name: str
    value: bytes | None
    reason: RejectReason
    key: bytes | None = b"u1"
    headers: tuple[tuple[str, bytes | None], ...] = ()


def _click_with(**changes: Any) -> bytes:
    body: dict[str, Any] = {**json.loads(click("u1", "i1")), **changes}
    return json.dumps({name: value for name, value in body.items() if value != "absent"}).encode()


R = RejectReason
CASES = [
    Bad("cut off", b'{"user_id":"u1","item_id', R.MALFORMED_JSON),
    Bad("empty", b"", R.MALFORMED_JSON),
    Bad("no UTF-8", b"\xff\xfe\xfd", R.MALFORMED_JSON),
    Bad("no UTF-8 where nobody reads", click("u1", "i1")[:-1] + b',"x":"\xff"}', R.MALFORMED_JSON),
    Bad("a lone surrogate", b'{"user_id":"\\ud800","item_id":"i","timestamp":1}', R.MALFORMED_JSON),
    Bad("nested deeply", b'{"a":' * 20_000 + b"1" + b"}" * 20_000, R.TOO_LARGE),
    Bad("nested deeply, but short", b'{"a":' * 6_000 + b"1" + b"}" * 6_000, R.MALFORMED_JSON),
    Bad("NaN", click("u1", "i1")[:-1] + b',"value":NaN}', R.MALFORMED_JSON),
    Bad("a list", b"[1,2]", R.WRONG_TYPE),
    Bad("a number as item", _click_with(item_id=7), R.WRONG_TYPE),
    Bad("a text as value", _click_with(value="much"), R.WRONG_TYPE),
    Bad("a number too huge for a float", click("u1", "i1")[:-1] + b',"value":1e999}', R.WRONG_TYPE),
    Bad("no item", _click_with(item_id="absent"), R.MISSING_FIELD),
    Bad("no user and no session", _click_with(user_id="absent"), R.MISSING_FIELD),
    Bad("no timestamp", _click_with(timestamp="absent"), R.MISSING_FIELD),
    Bad("an empty item", _click_with(item_id=""), R.BAD_ID),
    Bad("an item of 10,000 characters", _click_with(item_id="i" * 10_000), R.BAD_ID),
    Bad("a user of 10,000 characters", _click_with(user_id="u" * 10_000), R.BAD_ID),
    Bad("a user with a NUL", _click_with(user_id="u\x00"), R.BAD_ID),
    Bad("an unknown type", _click_with(event_type="teleport"), R.UNKNOWN_EVENT_TYPE),
    Bad("yesterday", _click_with(timestamp="yesterday"), R.BAD_TIMESTAMP),
    Bad("no zone", _click_with(timestamp="2026-01-31T12:00:00"), R.BAD_TIMESTAMP),
    Bad("1970", _click_with(timestamp="1970-01-01T00:00:00Z"), R.TOO_OLD),
    Bad("2100", _click_with(timestamp="2100-01-01T00:00:00Z"), R.IN_FUTURE),
    Bad("huge timestamp", _click_with(timestamp=10**30), R.IN_FUTURE),
    Bad("one byte over the limit", _click_with(x="")[:-2] + b"x" * 65_536, R.TOO_LARGE),
    Bad("900 KB", _click_with(x="x" * 900_000), R.TOO_LARGE),
    Bad("2 MB", _click_with(x="x" * 2_000_000), R.TOO_LARGE),
    Bad("an erasure of nobody", None, R.BAD_ID, key=None),
    Bad("an erasure with a key that is no text", None, R.BAD_ID, key=b"\xff\xfe"),
    Bad("no key", b"{", R.MALFORMED_JSON, key=None),
    Bad(
        "with headers", b"{", R.MALFORMED_JSON,
        headers=(("trace", b"\x00\xff"), ("empty", b""), ("reason", b"mine"), ("none", None)),
    ),
    Bad("with 900 KB of headers", b"{", R.MALFORMED_JSON, headers=(("h", b"h" * 900_000),)),
]  # fmt: skip


class Outcome(NamedTuple):
    """What a worker made of all cases, each followed by a good click."""

    settings: Settings
    letters: list[StoredRecord]
    metrics: dict[str, float]
    sources: dict[str, tuple[int, int]]
    """Case -> partition and offset."""


async def _send_under_no_text(settings: Settings, key: bytes, value: bytes) -> None:
    """Send a record with a header whose name is not UTF-8. No client for Python does: the batch is
    built with another name, which is overwritten.
    """
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, acks="all")
    await producer.start()
    try:
        batch = producer.create_batch()
        batch.append(timestamp=None, key=key, value=value, headers=[("zz", b"")])
        built = bytearray(batch._build())
        at = built.rindex(b"zz")
        built[at : at + 2] = b"\xff\xfe"
        covered = DefaultRecordBase.ATTRIBUTES_OFFSET
        at = DefaultRecordBase.CRC_OFFSET
        built[at : at + 4] = calc_crc32c(bytes(built[covered:])).to_bytes(4, "big")
        batch._buffer = bytes(built)
        partitions = sorted(await producer.partitions_for(settings.clicks))
        partition = DefaultPartitioner()(key, partitions, partitions)
        await (await producer.send_batch(batch, settings.clicks, partition=partition))
    finally:
        await producer.stop()


@pytest.fixture(scope="module")
def outcome(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    directory = tmp_path_factory.mktemp("bad-input")
    flags = flags_for(kafka, directory)
    settings = Settings(**flags)
    create_topic(kafka, settings.clicks, max_message_bytes="4000000")
    with running(flags, directory / "worker.log") as worker:
        records = []
        for number, case in enumerate(CASES):
            headers = (*case.headers, ("case", case.name.encode()))
            records.append(Outgoing(case.key, case.value, headers))
            records.append(Outgoing(b"good", click("good", f"i{number}")))
        send(settings, records)
        # Before the next one, which the reader of these tests cannot read.
        sources = {
            dict(record.headers)["case"].decode(): (record.partition, record.offset)
            for part in read_topic(settings, settings.clicks)
            for record in part
            if record.headers
        }
        asyncio.run(_send_under_no_text(settings, b"good", click("good", "odd")))
        send(settings, [Outgoing(b"good", click("good", "last"))])
        wait_for_all(settings, worker)
        metrics = figures(flags)
        assert worker.stop() == 0, worker.log_tail()
    letters = [r for part in read_topic(settings, settings.dead_letter_topic) for r in part]
    return Outcome(settings, letters, metrics, sources)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_record_becomes_one_dead_letter_as_it_came(outcome: Outcome, case: Bad) -> None:
    marked = [r for r in outcome.letters if ("case", case.name.encode()) in r.headers]
    (letter,) = marked
    headers = letter.headers
    assert (letter.key, letter.value) == (case.key, case.value)
    assert headers[: len(case.headers)] == list(case.headers)
    told = dict(headers)
    assert told["reason"].decode() == case.reason
    assert told["source-topic"].decode() == outcome.settings.clicks
    partition, offset = outcome.sources[case.name]
    assert (int(told["source-partition"]), int(told["source-offset"])) == (partition, offset)
    assert letter.partition == partition
    detail = told["detail"].decode()
    assert 10 < len(detail) <= 400, detail


def test_rejects_are_counted_exactly_by_reason(outcome: Outcome) -> None:
    counted = {reason: outcome.metrics[f"freshrec_rejects_total{{{reason}}}"] for reason in R}
    wanted = Counter(case.reason for case in CASES)
    assert counted == {reason: wanted[reason] for reason in R}
    assert len(outcome.letters) == len(CASES)


def test_good_clicks_between_bad_records_are_all_used(outcome: Outcome) -> None:
    # And one with a header whose name is no text, at which aiokafka's own parser ends for good.
    good = len(CASES) + 2
    settings = outcome.settings
    windows = latest(read_topic(settings, changelog_topic(settings, "windows")))
    assert list(windows) == [b"good"]
    window = decode_window(windows[b"good"])
    assert len(window) == good
    assert window.items[-2:] == ["odd", "last"]
    assert outcome.metrics["freshrec_events_total{click}"] == good
    lists = latest(read_topic(settings, settings.recommendations))
    assert list(lists) == [b"good"]


def test_a_dead_letter_too_large_for_an_existing_topic_goes_without_its_value_until_it_fits(
    kafka: str, tmp_path: Path
) -> None:
    flags = flags_for(kafka, tmp_path)
    settings = Settings(**flags)
    create_topic(kafka, settings.clicks, max_message_bytes="4000000")
    create_topic(kafka, settings.dead_letter_topic)
    value = _click_with(x="x" * 2_000_000)
    with running(flags, tmp_path / "worker.log") as worker:
        send(settings, [Outgoing(b"u1", value), Outgoing(b"u1", click("u1", "i1"))])
        wait_for_all(settings, worker)
        assert figures(flags)["freshrec_events_total{click}"] == 1
        assert "raise its max.message.bytes" in worker.log_tail()
        set_largest_record(kafka, settings.dead_letter_topic, 4_000_000)
        send(settings, [Outgoing(b"u1", value)])
        wait_for_all(settings, worker)
    letter, later = [r for part in read_topic(settings, settings.dead_letter_topic) for r in part]
    assert later.value == value
    told = dict(letter.headers)
    assert (letter.key, letter.value) == (b"u1", None)
    assert told["reason"] == b"too_large"
    assert int(told["value-omitted-bytes"]) == len(value)
