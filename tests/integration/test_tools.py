"""The tools on a real Apache Kafka: topics they create, records they send and read."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from streams.bench import large_state, pipeline
from streams.bench.ground import Ground, ground
from streams.bench.oracle import latest, read_topic
from streams.bench.recovery import RecoveryBench, run
from streams.bench.soak import run as soak_run
from streams.bench.soak.plan import SoakPlan
from streams.bench.workload import Workload
from streams.checks import run_checks
from streams.erase import EraseError, erase
from streams.log_sizes import topic_bytes
from streams.sender import KafkaSender, ensure_topic
from streams.settings import Settings
from streams.tail import TopicReader
from streams.topics import changelog_topic
from streams.transitions import CHAIN_KEY
from tests.integration.running import create_topic

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka: str) -> Settings:
    prefix = f"tools-{time.time_ns():x}."
    return Settings(bootstrap=kafka, topic_prefix=prefix, partitions=3, broker_deadline_seconds=30)


def test_a_topic_is_created_with_the_partitions_that_the_settings_say(settings: Settings) -> None:
    assert ensure_topic(settings, settings.clicks) == 3
    more = settings.replace(partitions=5)
    assert ensure_topic(more, settings.clicks) == 3
    assert ensure_topic(more, settings.items) == 5


def test_what_is_sent_is_read_once_and_in_order_for_each_key(settings: Settings) -> None:
    ensure_topic(settings, settings.clicks)
    sender = KafkaSender(settings, settings.clicks)
    for number in range(5000):
        sender.send(f"u{number % 11}".encode(), str(number).encode())
    assert sender.finish() == 5000
    reader = TopicReader(settings, settings.clicks, from_beginning=True)
    end = time.monotonic() + 60
    records = list(itertools.islice(reader.read(lambda: time.monotonic() > end), 5000))
    reader.close()
    by_key: dict[str, list[int]] = {}
    for record in records:
        by_key.setdefault(record.key, []).append(int(record.value or b""))
    assert len(by_key) == 11
    for first, (_, numbers) in enumerate(sorted(by_key.items(), key=lambda entry: entry[1][0])):
        assert numbers == list(range(first, 5000, 11))


def test_check_tells_of_topics_that_would_lose_state_and_how_to_mend_them(
    settings: Settings, tmp_path: Path
) -> None:
    graph = changelog_topic(settings, "graph")
    create_topic(settings.bootstrap, graph, 3, cleanup_policy="compact,delete")
    create_topic(settings.bootstrap, settings.clicks, 3, retention_ms="3600000")
    ahead_ms = time.time_ns() // 1_000_000 + 60_000
    sender = KafkaSender(settings, settings.clicks)
    sender.send(b"ann", b"x", ahead_ms)
    sender.finish()
    found = list(run_checks(settings.replace(state_dir=tmp_path)))
    said = [f"{finding.level} {finding.check}: {finding.words}" for finding in found]
    (fault,) = [finding for finding in found if finding.level == "fault"]
    assert fault.words.startswith(f"{graph} has cleanup.policy=compact,delete, not compact")
    assert f"--entity-name {graph} --add-config cleanup.policy=compact" in fault.advice
    assert any("keeps clicks for 1.0 hours" in words for words in said)
    assert any(words.startswith("note replicas: one replica") for words in said)
    assert any("newest click's record is from" in words for words in said)
    assert any(words.startswith("ok partitions: 3 of ") for words in said)
    assert all(finding.advice for finding in found if finding.level == "fault")
    size = topic_bytes(settings, {settings.clicks: 3}, 10.0)
    assert size is not None
    assert 0 < size < 10_000


def test_an_erasure_that_nobody_confirms_leaves_a_null_record_and_says_where(
    settings: Settings,
) -> None:
    ensure_topic(settings, settings.receipts_topic)
    with pytest.raises(EraseError, match="No worker confirmed") as caught:
        erase(settings, "u1", timeout_seconds=1)
    assert "offset 0 of partition" in str(caught.value)
    reader = TopicReader(settings, settings.clicks, from_beginning=True)
    end = time.monotonic() + 30
    (record,) = itertools.islice(reader.read(lambda: time.monotonic() > end), 1)
    reader.close()
    assert (record.key, record.value) == ("u1", None)


@pytest.mark.timeout(300)
def test_the_recovery_benchmark_reads_the_changelogs_with_an_empty_disk(kafka: str) -> None:
    workload = Workload(clicks=3_000, users=200, items=100)
    figures = run(RecoveryBench(workload, bootstrap=kafka))
    assert figures.clicks == 3_000
    # What lies on the disk need not be read.
    assert figures.tail_records < figures.records / 2
    assert figures.records >= 200 + 100
    assert figures.records_per_second > 0


@pytest.mark.timeout(300)
def test_the_benchmark_of_many_users_has_a_worker_recover_every_window(kafka: str) -> None:
    plan = large_state.LargeState(users=500, events=12, writers=1, bootstrap=kafka)
    figures = large_state.run(plan)
    assert figures.records == figures.users == 500
    assert figures.window_bytes > 12 * len("item00000")
    assert figures.changelog_bytes > 500 * figures.window_bytes
    assert figures.disk_bytes > figures.changelog_bytes / 4
    assert figures.ready_seconds >= figures.seconds


@pytest.mark.timeout(300)
def test_the_pipeline_benchmark_counts_lists_of_the_encoder_and_finds_every_click(
    kafka: str,
) -> None:
    bench = pipeline.PipelineBench(
        rates=(50.0,), seconds=1.0, warm_up_seconds=0.5, clicks=1_000, lists=300, waiting=20,
        users=60, bootstrap=kafka, stages=True,
    )  # fmt: skip
    figures = pipeline.run(bench)
    assert (figures.clicks, figures.lists) == (1_000, 300)
    made = (figures.lists - figures.without_encoder) / figures.lists_per_second
    assert made == pytest.approx(figures.cpu_seconds["elapsed"], abs=0.02)
    ratio = figures.lists_per_second / figures.engine_limit_lists_per_second
    assert figures.limit_ratio == pytest.approx(ratio, abs=1e-3)
    assert figures.cpu_seconds["event_loop"] > 0
    (told,) = figures.latency_seconds
    # A fifth of 62 warms up, and one may stand on the border. A user who clicks again at once may
    # get one list for both.
    assert told.rate == 50.0
    assert told.clicks in {49, 50}
    assert told.without_encoder <= told.lists <= 62
    assert 0 < told.p50 <= told.p99 <= told.longest
    assert told.event_loop_ms > 0
    # The machine tells a thread's time in hundredths of a second.
    of_lists = {each.stage: each.ms for each in figures.stages if each.during == "closed loop"}
    of_clicks = {each.stage: each.ms for each in figures.stages if each.during == "50/s"}
    assert of_lists.keys() == of_clicks.keys() >= {"candidates", "clicks", "fetch", "send", "other"}
    assert len(figures.stages) == len(of_lists) + len(of_clicks)
    whole = sum(of_lists.values()) * figures.lists / 1e3
    assert whole == pytest.approx(figures.cpu_seconds["event_loop"], abs=0.02)
    assert sum(of_clicks.values()) == pytest.approx(told.event_loop_ms, abs=0.01)
    # What is counted twice would be missing from what no stage claims.
    assert of_clicks["other"] > -told.event_loop_ms / 10
    for stage in ("candidates", "ranking", "messages", "graph"):
        assert of_clicks[stage] > 0
    assert figures.bytes_per_user is not None
    assert figures.bytes_per_user > 50 * 4
    assert figures.bytes_per_item is not None
    assert not figures.hollow


@pytest.mark.timeout(300)
def test_a_hollow_worker_passes_the_pipeline_benchmark_and_leaves_no_graph(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Settings] = []

    @contextmanager
    def remembered(bootstrap: str | None, **flags: object) -> Iterator[Ground]:
        with ground(bootstrap, **flags) as place:
            seen.append(place.settings)
            yield place

    monkeypatch.setattr(pipeline, "ground", remembered)
    bench = pipeline.PipelineBench(
        rates=(50.0,), seconds=1.0, warm_up_seconds=0.0, clicks=1_000, lists=300, waiting=20,
        users=60, bootstrap=kafka, hollow=True,
    )  # fmt: skip
    figures = pipeline.run(bench)
    assert figures.hollow
    assert figures.stages == []
    assert figures.bytes_per_item is figures.bytes_per_full_item is None
    assert (figures.clicks, figures.lists) == (1_000, 300)
    assert figures.without_encoder < figures.lists / 2
    # A click that is on no list would have ended the run.
    (told,) = figures.latency_seconds
    assert told.clicks in {49, 50}
    assert told.without_encoder < told.lists / 2
    assert figures.bytes_per_user is not None
    assert figures.bytes_per_user > 50 * 4
    (settings,) = seen
    stored = latest(read_topic(settings, changelog_topic(settings, "graph")))
    assert list(stored) == [CHAIN_KEY.encode()]
    lists = [
        msgspec.json.decode(record.value or b"")
        for partition in read_topic(settings, settings.recommendations)
        for record in partition
    ]
    assert len({tuple(item["item_id"] for item in one["items"]) for one in lists}) == 1


@pytest.mark.timeout(300)
def test_a_soak_loads_a_worker_and_finds_every_last_click_in_a_list(kafka: str) -> None:
    plan = SoakPlan(
        seconds=4.0,
        burst_seconds=0.5,
        period_seconds=4.0,
        users=300,
        window_events=5,
        capacity=100.0,
    )
    lines: list[str] = []
    figures = soak_run.run(soak_run.Soak(plan, partitions=2, bootstrap=kafka), lines.append)
    assert figures.clicks == pytest.approx(4 * 0.8 * 100, rel=0.1)
    assert figures.users_without_list == 0
    assert 0 < figures.verdict.lists <= figures.clicks
    assert figures.verdict.encoder_share > 0
    assert figures.samples[-1].rss_bytes > 0
    assert any(line.startswith("capacity") for line in lines)
