"""Oracle: what state, lists and dead letters must be, from an offline replay of the topics.

Windows and transitions come from the clicks topic alone. Edges of one item can come from clicks
of several partitions, and which came first was decided when the worker wrote the transitions
topic; the oracle takes that order, and nothing else, from there: what is applied is what the
replay of the clicks says, and what was never written comes last.
"""

import logging
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from streams.core import MemoryTable
from streams.graph import ItemState, encode_item
from streams.graph_pipeline import GraphPipeline
from streams.log_ends import log_ends
from streams.pipeline import ClickPipeline, PipelineConfig
from streams.settings import Settings
from streams.topics import changelog_topic
from streams.transitions import (
    CHAIN_KEY,
    ReceivedPositions,
    SentPositions,
    TransitionBatch,
    decode_transitions,
    encode_transitions,
)
from streams.window import Window, encode_window

log = logging.getLogger(__name__)

_READ_SECONDS = 30.0
_CONSUME_SECONDS = 0.2


class StoredRecord(NamedTuple):
    """A record as it lies in a topic."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


class Verdict(msgspec.Struct):
    """What a comparison found; everything but the counts must be empty or zero."""

    clicks: int
    users: int
    items: int
    windows_differ: list[str]
    items_differ: list[str]
    missing_lists: list[str]
    dead_letters_expected: int
    dead_letters: int
    dead_letters_differ: list[str]
    dead_letters_repeated: list[str]

    @property
    def clean(self) -> bool:
        """Whether nothing is lost, doubled or missing."""
        return not (
            self.windows_differ
            or self.items_differ
            or self.missing_lists
            or self.dead_letters_differ
            or self.dead_letters != self.dead_letters_expected
        )


class Expected(NamedTuple):
    """The replay of the clicks topic."""

    windows: dict[str, Window]
    transitions: dict[tuple[int, int], TransitionBatch]
    """By (graph partition, source)."""
    newest: dict[str, int]
    """User -> offset of the newest accepted click."""
    dead_letters: dict[tuple[int, int], tuple[str, bytes | None]]
    """(partition, offset) -> reason and original bytes."""
    clicks: int


def read_topic(settings: Settings, topic: str) -> list[list[StoredRecord]]:
    """Every record of a topic as it is now, by partition. Raises RuntimeError when it stalls."""
    consumer = Consumer(
        settings.librdkafka(
            **{"group.id": "oracle", "enable.auto.commit": False, "fetch.wait.max.ms": 20}
        )
    )
    try:
        numbers = sorted(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        ends = log_ends(consumer, topic, numbers, _READ_SECONDS)
        records: list[list[StoredRecord]] = [[] for _ in numbers]
        unread = {number for number, (first, end) in ends.items() if end > first}
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in unread])
        deadline = time.monotonic() + _READ_SECONDS
        while unread:
            # Waits for so many or for so long: a large number would always cost the whole time.
            messages = consumer.consume(5_000, timeout=_CONSUME_SECONDS)
            if messages:
                deadline = time.monotonic() + _READ_SECONDS
            elif time.monotonic() > deadline:
                raise RuntimeError(f"{topic} cannot be read to its end")
            for message in messages:
                if message.error():
                    raise RuntimeError(f"{topic}: {message.error()}")
                record = _stored(message)
                records[record.partition].append(record)
                if record.offset >= ends[record.partition][1] - 1:
                    unread.discard(record.partition)
        return records
    finally:
        consumer.close()


def _stored(message: Any) -> StoredRecord:
    return StoredRecord(
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        message.headers() or [],
    )


def latest(records: list[list[StoredRecord]]) -> dict[bytes, bytes]:
    """Last value of every key that was not deleted: what a compacted topic means."""
    values: dict[bytes, bytes] = {}
    for partition in records:
        for record in partition:
            if record.value is None:
                values.pop(record.key or b"", None)
            else:
                values[record.key or b""] = record.value
    return values


def replay(config: PipelineConfig, clicks: list[list[StoredRecord]]) -> Expected:
    """Fold the clicks topic offline, one partition after the other."""
    expected = Expected({}, {}, {}, {}, sum(map(len, clicks)))
    for number, records in enumerate(clicks):
        windows: MemoryTable[Window] = MemoryTable()
        effects = ClickPipeline(config).process(
            records, windows, SentPositions(2 * number), rekey=True
        )
        if effects.rekeyed:
            raise ValueError("the oracle replays topics whose keys are user ids")
        expected.windows.update(windows)
        for graph_partition, batch in effects.transitions.items():
            expected.transitions[graph_partition, batch.source] = batch
        for user_id, change in effects.changed.items():
            expected.newest[user_id] = change.offset
        for letter in effects.dead_letters:
            expected.dead_letters[number, letter.offset] = (
                letter.reject.reason.value,
                letter.value,
            )
    return expected


def expected_items(
    config: PipelineConfig, expected: Expected, log: list[list[StoredRecord]]
) -> Iterator[tuple[int, dict[str, ItemState]]]:
    """Item states by graph partition: the replayed transitions in the order of the log."""
    pipeline = GraphPipeline(config)
    rows = {place: BatchRows(batch) for place, batch in expected.transitions.items()}
    for graph_partition, records in enumerate(log):
        items: MemoryTable[ItemState] = MemoryTable()
        received, replayed = ReceivedPositions(), ReceivedPositions()
        taken: dict[int, int] = defaultdict(int)
        for record in records:
            arrived = decode_transitions(record.value or b"")
            if not received.accept(arrived):
                continue
            replay = rows.get((graph_partition, arrived.source))
            if replay is None:
                continue
            start = taken[arrived.source]
            stop = bisect_right(replay.batch.offsets, arrived.offsets[-1], start)
            taken[arrived.source] = stop
            if stop > start:
                part = encode_transitions(replay.part(start, stop))
                pipeline.process([record._replace(value=part)], items, replayed)
        for (partition, source), replay in rows.items():
            if partition == graph_partition and taken[source] < len(replay.batch.offsets):
                # Never written: applied all the same, so that the graph is seen to lack it.
                part = encode_transitions(replay.part(taken[source], len(replay.batch.offsets)))
                absent = StoredRecord(partition, -1, 0, None, part, [])
                pipeline.process([absent], items, replayed)
        yield graph_partition, items


class BatchRows:
    """A replayed batch by its rows, so that a part of it costs what the part holds."""

    def __init__(self, batch: TransitionBatch) -> None:
        self.batch = batch
        self._clicks = batch.clicks()

    def part(self, start: int, stop: int) -> TransitionBatch:
        """Only the rows from `start` to before `stop`, as a batch that starts a chain."""
        return TransitionBatch.of(self.batch.source, self._clicks[start:stop])


class Findings(NamedTuple):
    """What a finished run left in the topics, beside what it should have left; bytes by key."""

    expected: Expected
    windows_wanted: dict[bytes, bytes]
    windows: dict[bytes, bytes]
    items_wanted: dict[bytes, bytes]
    items: dict[bytes, bytes]
    lists: dict[bytes, bytes]
    letters: list[StoredRecord]


def gather(settings: Settings, partitions: int) -> Findings:
    """Replay the clicks and read all else."""
    config = settings.pipeline_config(partitions)
    expected = replay(config, read_topic(settings, settings.clicks))
    log = read_topic(settings, settings.transitions_topic)
    items_wanted: dict[bytes, bytes] = {}
    for _, states in expected_items(config, expected, log):
        items_wanted.update({item.encode(): encode_item(state) for item, state in states.items()})
    items = latest(read_topic(settings, changelog_topic(settings, "graph")))
    items.pop(CHAIN_KEY.encode(), None)
    return Findings(
        expected=expected,
        windows_wanted={user.encode(): encode_window(w) for user, w in expected.windows.items()},
        windows=latest(read_topic(settings, changelog_topic(settings, "windows"))),
        items_wanted=items_wanted,
        items=items,
        lists=latest(read_topic(settings, settings.recommendations)) if settings.lists else {},
        letters=[r for part in read_topic(settings, settings.dead_letter_topic) for r in part],
    )


def judge(settings: Settings, partitions: int) -> Verdict:
    """Compare everything that a finished run left in the topics with the replay."""
    return compare(gather(settings, partitions), lists=settings.lists)


def compare(findings: Findings, *, lists: bool) -> Verdict:
    """The verdict on a run; `lists`: whether it was to publish any."""
    expected = findings.expected
    missing: list[str] = []
    if lists:
        for user_id, offset in expected.newest.items():
            body = findings.lists.get(user_id.encode())
            if body is None or msgspec.json.decode(body)["trigger"]["offset"] < offset:
                missing.append(user_id)
    found: dict[tuple[int, int], tuple[str, bytes | None]] = {}
    first: dict[tuple[int, int], StoredRecord] = {}
    repeated: list[str] = []
    for letter in findings.letters:
        headers = dict(letter.headers)
        place = (int(headers["source-partition"]), int(headers["source-offset"]))
        found[place] = (headers["reason"].decode(), letter.value)
        before = first.setdefault(place, letter)
        if before is not letter:
            repeated.append(
                f"{place}: at {before.offset} of {before.timestamp} ms,"
                f" at {letter.offset} of {letter.timestamp} ms"
            )
    return Verdict(
        clicks=expected.clicks,
        users=len(findings.windows_wanted),
        items=len(findings.items_wanted),
        windows_differ=_differences(findings.windows_wanted, findings.windows),
        items_differ=_differences(findings.items_wanted, findings.items),
        missing_lists=sorted(missing),
        dead_letters_expected=len(expected.dead_letters),
        dead_letters=len(findings.letters),
        dead_letters_differ=[
            f"{place}"
            for place in sorted(expected.dead_letters.keys() | found.keys())
            if expected.dead_letters.get(place) != found.get(place)
        ],
        dead_letters_repeated=repeated,
    )


def _differences(wanted: dict[bytes, bytes], found: dict[bytes, bytes]) -> list[str]:
    return sorted(
        key.decode(errors="replace")
        for key in wanted.keys() | found.keys()
        if wanted.get(key) != found.get(key)
    )
