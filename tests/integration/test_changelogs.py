"""On real Kafka: recovery from changelogs that were compacted, made anew, or written by another
version, and readiness only after it."""

import contextlib
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewPartitions

from streams.bench.faults.cluster import FaultyCluster
from streams.bench.faults.worker_job import WorkerJob
from streams.bench.oracle import judge, read_topic
from streams.bench.workload import Workload, publish
from streams.codec import frame
from streams.settings import Settings
from streams.topics import TABLES, changelog_topic
from streams.worker_process import WorkerProcess
from tests.integration.running import (
    PARTITIONS,
    Outgoing,
    create_topic,
    figures,
    flags_for,
    get,
    running,
    send,
    wait_for_all,
    wait_ready,
    wait_until,
)

pytestmark = pytest.mark.kafka

WORKLOAD = Workload(clicks=4_000, users=150, items=80)


def publish_now(settings: Settings, workload: Workload = WORKLOAD) -> None:
    publish(settings, workload, time.time_ns() // 1_000_000)


@contextmanager
def stopped(flags: dict[str, Any], directory: Path, log: Path) -> Iterator[WorkerProcess]:
    """A worker that has worked off the workload and was stopped in order."""
    settings = Settings(**flags)
    with running(flags, log) as worker:
        publish_now(settings)
        wait_for_all(settings, worker)
        assert worker.stop() == 0, worker.log_tail()
        yield worker


def records_in(settings: Settings, topic: str) -> tuple[int, int]:
    """Records that can be read of a topic, and the sum of its end offsets."""
    parts = read_topic(settings, topic)
    return sum(map(len, parts)), sum(part[-1].offset + 1 for part in parts if part)


def test_a_compacted_changelog_gives_the_same_state(kafka: str, tmp_path: Path) -> None:
    flags = flags_for(kafka, tmp_path)
    settings = Settings(**flags)
    create_topic(kafka, settings.clicks)
    for table in TABLES:
        create_topic(
            kafka,
            changelog_topic(settings, table),
            cleanup_policy="compact",
            min_cleanable_dirty_ratio="0.001",
            segment_ms="1000",
            min_compaction_lag_ms="0",
            max_compaction_lag_ms="1000",
        )
    log = tmp_path / "worker.log"
    changelog = changelog_topic(settings, "windows")
    with running(flags, log) as worker:
        publish_now(settings)
        wait_for_all(settings, worker)

        def compacted() -> bool:
            # A segment is closed by the next record only.
            publish_now(settings, Workload(clicks=1_000, users=150, items=80, seed=time.time_ns()))
            wait_for_all(settings, worker)
            readable, end = records_in(settings, changelog)
            return readable < end * 0.8

        wait_until(compacted, "compaction", worker, 100)
        worker.kill()
        shutil.rmtree(tmp_path / "state")
        worker.start()
        wait_ready(flags, worker)
        recovered = int(re.findall(r"(\d+) changelog records", log.read_text())[-1])
        total = sum(records_in(settings, changelog_topic(settings, table))[1] for table in TABLES)
        assert 0 < recovered < total
        publish_now(settings, Workload(clicks=500, users=150, items=80, seed=5))
        wait_for_all(settings, worker)
        assert worker.stop() == 0, worker.log_tail()
    verdict = judge(settings, PARTITIONS)
    assert verdict.clean, verdict


def test_changelogs_made_anew_are_taken_for_what_they_hold_and_not_mixed_with_old_disks(
    kafka: str, tmp_path: Path
) -> None:
    # As the manual says for another number of partitions: derived topics go, clicks are replayed.
    flags = flags_for(kafka, tmp_path)
    settings = Settings(**flags)
    log = tmp_path / "worker.log"
    with stopped(flags, tmp_path, log) as worker:
        admin = AdminClient({"bootstrap.servers": kafka})
        derived = [
            settings.rekeyed_topic,
            settings.transitions_topic,
            settings.recommendations,
            settings.dead_letter_topic,
            *(changelog_topic(settings, table) for table in TABLES),
        ]
        for future in admin.delete_topics(derived).values():
            future.result(30)
        wait_until(
            lambda: not set(derived) & set(admin.list_topics(timeout=10).topics), "the deletion"
        )

        def deleted() -> bool:
            # A member with a name is missed only when its session is over.
            with contextlib.suppress(KafkaException):
                admin.delete_consumer_groups([settings.group])[settings.group].result(30)
                return True
            return False

        wait_until(deleted, "the group's deletion")
        larger = NewPartitions(settings.clicks, PARTITIONS + 2)
        admin.create_partitions([larger])[settings.clicks].result(30)
        worker.start()
        wait_ready(flags, worker)
        assert "the topic was made anew" in log.read_text()
        wait_for_all(settings, worker)
        # The replica follows the transitions, and the gauge follows the replica.
        wait_until(
            lambda: figures(flags)["freshrec_graph_items"] == WORKLOAD.items, "the graph", worker
        )
        assert worker.stop() == 0, worker.log_tail()
    verdict = judge(settings, PARTITIONS + 2)
    assert verdict.clean, verdict
    assert verdict.items == WORKLOAD.items


def test_state_of_another_version_is_refused_with_advice_and_stays_as_it_is(
    kafka: str, tmp_path: Path
) -> None:
    flags = flags_for(kafka, tmp_path)
    settings = Settings(**flags)
    with stopped(flags, tmp_path, tmp_path / "worker.log") as worker:
        topic = changelog_topic(settings, "windows")
        send(settings, [Outgoing(b"user000001", frame(2, b"of the future"))], topic)
        before = records_in(settings, topic)
        worker.start()
        wait_until(lambda: not worker.alive(), "the worker ends")
        assert worker.stop() == 1
        assert "stored window has format 2, this version reads format 1" in worker.log_tail(60)
        assert records_in(settings, topic) == before


def test_a_worker_is_not_ready_before_its_state_is_there(tmp_path: Path) -> None:
    with FaultyCluster(1, 1) as cluster:
        job = WorkerJob(cluster.bootstrap, "memory", replication_factor=1)
        job.prepare()
        member = job.member(0, cluster.bootstrap_for(0), tmp_path)
        try:
            member.start()
            wait_until(lambda: job.is_ready(0), "ready", member.process, 60)
            publish_now(job.settings)
            wait_until(job.is_caught_up, "all clicks", member.process, 60)
            member.kill()
            for link in cluster.links(0):
                link.delay_seconds = 0.3
            member.start()
            reasons: set[str] = set()

            def ready() -> bool:
                status, body = get({"metrics_port": job.port(0)}, "/readyz")
                if status == 503:
                    reasons.add(body.decode())
                return status == 200

            wait_until(ready, "ready", member.process, 90)
            log = member.log.read_text()
        finally:
            member.kill()
    assert any("recovering partitions [0, 1, 2, 3]" in reason for reason in reasons), reasons
    # What was recovered is told in the log before /readyz says so.
    assert int(re.findall(r"(\d+) changelog records", log)[-1]) > 100
