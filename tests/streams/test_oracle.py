"""The oracle notices whatever a run lost, doubled or left old, in whichever topic."""

from collections import defaultdict
from collections.abc import Callable, Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.bench import oracle
from streams.bench.faults.worker_job import miscounts
from streams.bench.oracle import (
    BatchRows,
    StoredRecord,
    Verdict,
    compare,
    gather,
    judge,
)
from streams.bench.workload import Workload, records
from streams.core import MemoryTable
from streams.graph import ItemState, encode_item
from streams.graph_pipeline import GraphPipeline
from streams.pipeline import ClickPipeline
from streams.settings import Settings
from streams.topics import changelog_topic
from streams.transitions import (
    CHAIN_KEY,
    ReceivedPositions,
    SentPositions,
    TransitionBatch,
    encode_transitions,
)
from streams.window import Window, encode_window
from tests.streams.transition_samples import batches

PARTITIONS = 2
BATCH = 25
NOW_MS = 1_800_000_000_000
SETTINGS = Settings(partitions=PARTITIONS)
CONFIG = SETTINGS.pipeline_config(PARTITIONS)
WORKLOAD = Workload(clicks=400, users=12, items=9, bad_share=0.05, seed=3)
WINDOWS = changelog_topic(SETTINGS, "windows")
GRAPH = changelog_topic(SETTINGS, "graph")

Log = dict[str, list[list[StoredRecord]]]
"""Topic -> partition -> records."""


def append(log: Log, topic: str, partition: int, key: bytes | None, value: bytes | None) -> None:
    part = log[topic][partition]
    part.append(StoredRecord(partition, len(part), NOW_MS, key, value, []))


def clicks_topic() -> Log:
    log: Log = defaultdict(lambda: [[] for _ in range(PARTITIONS)])
    for key, value, _ in records(WORKLOAD, NOW_MS):
        append(log, SETTINGS.clicks, key[-1] % PARTITIONS, key, value)
    return log


def worked_off() -> Log:
    """What a worker without a fault leaves, but for the graph."""
    log = clicks_topic()
    for number, clicks in enumerate(log[SETTINGS.clicks]):
        pipeline = ClickPipeline(CONFIG)
        windows: MemoryTable[Window] = MemoryTable()
        sent = SentPositions(2 * number)
        for start in range(0, len(clicks), BATCH):
            effects = pipeline.process(clicks[start : start + BATCH], windows, sent, rekey=True)
            for user, window in windows.take_written():
                append(log, WINDOWS, number, user.encode(), encode_window(window))
            for partition, batch in effects.transitions.items():
                append(log, SETTINGS.transitions_topic, partition, None, encode_transitions(batch))
            for user, change in effects.changed.items():
                body = msgspec.json.encode({"trigger": {"offset": change.offset}})
                append(log, SETTINGS.recommendations, number, user.encode(), body)
            for letter in effects.dead_letters:
                append(log, SETTINGS.dead_letter_topic, number, letter.key, letter.value)
                part = log[SETTINGS.dead_letter_topic][number]
                part[-1] = part[-1]._replace(
                    headers=[
                        ("source-partition", b"%d" % number),
                        ("source-offset", b"%d" % letter.offset),
                        ("reason", letter.reject.reason.value.encode()),
                    ]
                )
    return log


def with_graph(log: Log) -> Log:
    """The graph's changelog, as it comes of the transitions that are there."""
    for number, transitions in enumerate(log[SETTINGS.transitions_topic]):
        items: MemoryTable[ItemState] = MemoryTable()
        received = ReceivedPositions()
        GraphPipeline(CONFIG).process(transitions, items, received)
        for item, state in items.items():
            append(log, GRAPH, number, item.encode(), encode_item(state))
        append(log, GRAPH, number, CHAIN_KEY.encode(), received.encode())
    return log


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Callable[[Log], Verdict]:
    def judge_log(log: Log) -> Verdict:
        monkeypatch.setattr(oracle, "read_topic", lambda _settings, topic: log[topic])
        return judge(SETTINGS, PARTITIONS)

    return judge_log


Judged = Callable[[Log], Verdict]


def test_a_run_that_left_everything_is_clean(judged: Judged) -> None:
    verdict = judged(with_graph(worked_off()))
    assert verdict.clean, verdict
    assert (verdict.clicks, verdict.users, verdict.items) == (400, 12, 9)
    assert verdict.dead_letters > 5


@pytest.mark.parametrize("topic", [WINDOWS, GRAPH, SETTINGS.recommendations])
def test_a_last_state_or_list_that_is_missing_is_noticed(judged: Judged, topic: str) -> None:
    log = with_graph(worked_off())
    part = log[topic][0]
    key = next(r.key for r in part if r.key != CHAIN_KEY.encode())
    log[topic][0] = [r for r in part if r.key != key]
    verdict = judged(log)
    assert not verdict.clean
    missing = (verdict.windows_differ, verdict.items_differ, verdict.missing_lists)
    assert [name for names in missing for name in names] == [(key or b"").decode()]


@pytest.mark.parametrize("topic", [WINDOWS, SETTINGS.recommendations])
def test_a_last_state_or_list_that_is_old_is_noticed(judged: Judged, topic: str) -> None:
    log = with_graph(worked_off())
    newest = log[topic][0][-1].key
    (*_, before, _) = [r for r in log[topic][0] if r.key == newest]
    append(log, topic, 0, newest, before.value)
    assert not judged(log).clean


@pytest.mark.parametrize("which", [-1, 2])
def test_transitions_that_were_never_written_are_noticed(judged: Judged, which: int) -> None:
    log = worked_off()
    del log[SETTINGS.transitions_topic][0][which]
    assert judged(with_graph(log)).items_differ


def test_transitions_that_were_all_lost_are_noticed(judged: Judged) -> None:
    log = worked_off()
    log[SETTINGS.transitions_topic] = [[], []]
    verdict = judged(with_graph(log))
    assert len(verdict.items_differ) == 9
    findings = gather(SETTINGS, PARTITIONS)
    lost, double = miscounts(findings)
    assert lost > WORKLOAD.clicks
    assert double == 0
    assert not compare(findings, lists=False).clean


def test_transitions_that_were_counted_twice_are_noticed(judged: Judged) -> None:
    log = worked_off()
    twice = log[SETTINGS.transitions_topic][0]
    doubled = with_graph(worked_off())
    items: MemoryTable[ItemState] = MemoryTable()
    for record in [*twice, twice[-1]]:
        for state in items.values():
            state.watermarks.clear()
        GraphPipeline(CONFIG).process([record], items, ReceivedPositions({0: 999, 2: 999}))
    doubled[GRAPH][0] = []
    for item, state in items.items():
        append(doubled, GRAPH, 0, item.encode(), encode_item(state))
    assert judged(doubled).items_differ
    assert miscounts(gather(SETTINGS, PARTITIONS))[1] > 0


@pytest.mark.parametrize(
    "change",
    [
        lambda letters: letters[1:],
        lambda letters: [*letters, letters[0]],
        lambda letters: [letters[0]._replace(value=b"changed"), *letters[1:]],
    ],
)
def test_dead_letters_that_are_missing_doubled_or_changed_are_noticed(
    judged: Judged, change: Callable[[list[StoredRecord]], Iterable[StoredRecord]]
) -> None:
    log = with_graph(worked_off())
    log[SETTINGS.dead_letter_topic][0] = list(change(log[SETTINGS.dead_letter_topic][0]))
    assert not judged(log).clean


@given(batches(), st.data())
def test_the_parts_of_a_batch_say_what_the_batch_says(
    batch: TransitionBatch, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(batch.offsets)))
    rows = BatchRows(batch)
    parts = [rows.part(0, cut), rows.part(cut, len(batch.offsets))]
    assert [o for part in parts for o in part.offsets] == list(batch.offsets)
    assert [len(part.offsets) for part in parts] == [cut, len(batch.offsets) - cut]
    assert [click for part in parts for click in part.clicks()] == batch.clicks()
    assert all(part.is_consistent() for part in parts)
