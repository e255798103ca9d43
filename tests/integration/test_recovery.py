"""On real Kafka: restarts, lost disks, workers that come and go, brokers that are away."""

import asyncio
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from streams.bench.oracle import judge
from streams.bench.workload import Workload
from streams.broker import KafkaCluster
from streams.ports import free_port
from streams.settings import Settings
from streams.topics import make_topics
from streams.worker_process import WorkerProcess
from tests.integration.running import (
    PARTITIONS,
    Outgoing,
    click,
    create_topic,
    figures,
    flags_for,
    get,
    publishing,
    publishing_steadily,
    running,
    send,
    wait_for_all,
    wait_ready,
    wait_until,
)

pytestmark = pytest.mark.kafka


def recovered_records(log: Path) -> int:
    """Changelog records that the newest start in a log had to read."""
    return int(re.findall(r"recovered partitions .*: (\d+) changelog records", log.read_text())[-1])


def test_restarts_in_order_after_a_kill_and_with_a_lost_disk_keep_everything(
    kafka: str, tmp_path: Path
) -> None:
    flags = flags_for(kafka, tmp_path)
    settings = Settings(**flags)
    log = tmp_path / "worker.log"
    workload = Workload(clicks=12_000, users=400, items=200, bad_share=0.01)
    with running(flags, log) as worker:
        with publishing(settings, workload):
            wait_until(
                lambda: figures(flags)["freshrec_events_total{click}"] > 2_000, "clicks", worker
            )
            # Stopped in the middle of the stream: nothing that was begun is done again.
            assert worker.stop() == 0, worker.log_tail()
            worker.start()
            wait_ready(flags, worker)
            assert recovered_records(log) == 0
        wait_for_all(settings, worker)
        assert figures(flags)["freshrec_replayed_total"] == 0

        with publishing(settings, Workload(3_000, 400, 200, seed=8)):
            wait_until(
                lambda: figures(flags)["freshrec_events_total{click}"] > 1_000, "clicks", worker
            )
        worker.kill()
        worker.start()
        wait_for_all(settings, worker)
        wait_ready(flags, worker)
        tail = recovered_records(log)

        worker.kill()
        shutil.rmtree(tmp_path / "state")
        worker.start()
        wait_ready(flags, worker)
        assert recovered_records(log) > max(tail, 600)
        # Gauges are set once a second, this one after the items.
        wait_until(lambda: figures(flags)["freshrec_ready"] == 1, "the gauges", worker)
        items = figures(flags)["freshrec_graph_items"]
        send(settings, [Outgoing(b"user000001", click("user000001", "item00001"))])
        wait_for_all(settings, worker)
        assert worker.stop() == 0, worker.log_tail()
    verdict = judge(settings, PARTITIONS)
    assert verdict.clean, verdict
    assert verdict.clicks == 15_001
    assert verdict.dead_letters > 0
    assert items == verdict.items


def test_a_worker_that_joins_and_leaves_under_load_keeps_state_exact(
    kafka: str, tmp_path: Path
) -> None:
    flags = flags_for(kafka, tmp_path, instance_id=None)
    other_flags = {**flags, "state_dir": tmp_path / "other", "metrics_port": free_port()}
    settings = Settings(**flags)
    slice_ = Workload(clicks=500, users=500, items=200, bad_share=0.01)
    with running(flags, tmp_path / "worker.log") as worker:
        with (
            publishing_steadily(settings, slice_) as tallies,
            WorkerProcess(other_flags, tmp_path / "other.log") as other,
        ):
            wait_ready(other_flags, other)
            wait_until(
                lambda: figures(other_flags)["freshrec_events_total{click}"] > 0, "a share", other
            )
            shares = [get(f, "/status")[1] for f in (flags, other_flags)]
            assert other.stop() == 0, other.log_tail()
            other.start()
            wait_ready(other_flags, other)
            other.kill()
        assert b'"partitions":[0,1],' in b"".join(shares).replace(b" ", b"")
        wait_for_all(settings, worker)
        assert worker.stop() == 0, worker.log_tail()
    verdict = judge(settings, PARTITIONS)
    assert verdict.clean, verdict
    assert verdict.clicks == sum(tally.clicks for tally in tallies)


def test_a_worker_that_was_stopped_and_thrown_out_spoils_nothing_when_it_wakes(
    kafka: str, tmp_path: Path
) -> None:
    flags = flags_for(kafka, tmp_path, instance_id=None)
    other_flags = {**flags, "state_dir": tmp_path / "other", "metrics_port": free_port()}
    settings = Settings(**flags)
    slice_ = Workload(clicks=1_500, users=200, items=100)
    with running(flags, tmp_path / "worker.log") as sleeper:
        with publishing_steadily(settings, slice_) as tallies:
            wait_until(
                lambda: figures(flags)["freshrec_events_total{click}"] > 3_000, "clicks", sleeper
            )
            os.kill(sleeper.pid, signal.SIGSTOP)
        with WorkerProcess(other_flags, tmp_path / "other.log") as other:
            wait_ready(other_flags, other)
            wait_for_all(settings, other)
            os.kill(sleeper.pid, signal.SIGCONT)
            wait_until(
                lambda: b"rebalanc" in get(flags, "/readyz")[1] or not sleeper.alive(),
                "the worker notices that it was thrown out",
            )
            # What it still had in hand it must not send any more; a supervisor starts it again.
            send(settings, (Outgoing(f"x{n}".encode(), click(f"x{n}", "i")) for n in range(50)))
            wait_until(lambda: not sleeper.alive() or get(flags, "/readyz")[0] == 200, "a verdict")
            if not sleeper.alive():
                assert "the partitions have to be given up" in sleeper.log_tail(200)
                sleeper.start()
            wait_ready(flags, sleeper)
            # The one that took over would end if it found a record that is not its own.
            wait_for_all(settings, other)
            wait_ready(other_flags, other)
            assert other.stop() == 0, other.log_tail()
        assert sleeper.stop() == 0, sleeper.log_tail()
    verdict = judge(settings, PARTITIONS)
    assert verdict.clean, verdict
    assert verdict.clicks == sum(tally.clicks for tally in tallies) + 50


def test_a_topic_with_another_partition_count_is_refused_with_advice(
    kafka: str, tmp_path: Path
) -> None:
    flags = flags_for(kafka, tmp_path)
    settings = Settings(**flags)
    create_topic(kafka, settings.clicks, 3)
    create_topic(kafka, settings.rekeyed_topic, 2)
    with WorkerProcess(flags, tmp_path / "worker.log") as worker:
        wait_until(lambda: not worker.alive(), "the worker ends")
        assert worker.stop() == 1
    log = worker.log_tail()
    assert f"{settings.rekeyed_topic} has 2 partitions but {settings.clicks} has 3" in log
    assert "another --topic-prefix" in log
    assert "Traceback" not in log


def test_a_broker_that_is_not_there_is_asked_again_until_the_deadline(tmp_path: Path) -> None:
    flags = flags_for(f"127.0.0.1:{free_port()}", tmp_path, broker_deadline_seconds=2.5)
    begun = time.monotonic()
    with WorkerProcess(flags, tmp_path / "worker.log") as worker:
        wait_until(lambda: not worker.alive(), "the worker ends")
        assert worker.stop() == 1
    assert time.monotonic() - begun > 2.5
    log = worker.log_tail()
    assert log.count("trying again") >= 2
    assert f"no Kafka broker answered at {flags['bootstrap']} within 2.5 s" in log
    assert "Traceback" not in log


def test_a_broker_that_restarts_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with KafkaCluster(heap_mb=256) as cluster:
        flags = flags_for(cluster.bootstrap, tmp_path)
        settings = Settings(**flags)
        with running(flags, tmp_path / "worker.log") as worker:
            with publishing(settings, Workload(20_000, 500, 200, bad_share=0.01)) as tallies:
                wait_until(
                    lambda: figures(flags)["freshrec_events_total{click}"] > 2_000, "clicks", worker
                )
                cluster.kill_broker(0)
                cluster.restart_broker(0)
            (tally,) = tallies
            wait_for_all(settings, worker, 90)
            assert worker.stop() == 0, worker.log_tail()
        verdict = judge(settings, PARTITIONS)
    assert verdict.clean, verdict
    assert verdict.clicks == tally.clicks


def test_a_worker_that_the_group_refuses_ends_and_says_what_to_check(
    kafka: str, tmp_path: Path
) -> None:
    flags = flags_for(kafka, tmp_path, session_timeout_seconds=3.0)
    with WorkerProcess(flags, tmp_path / "worker.log") as worker:
        wait_until(lambda: not worker.alive(), "the worker ends")
        assert worker.stop() == 1
    assert "InvalidSessionTimeoutError" in worker.log_tail()
    assert "group.min.session.timeout.ms" in worker.log_tail()


def test_a_worker_that_still_waits_for_a_broker_can_be_stopped(tmp_path: Path) -> None:
    flags = flags_for(f"127.0.0.1:{free_port()}", tmp_path, broker_deadline_seconds=60)
    with WorkerProcess(flags, tmp_path / "worker.log") as worker:
        wait_until(lambda: "trying again" in worker.log_tail(), "it waits for a broker", worker)
        assert worker.stop(5.0) == 0
    assert "Traceback" not in worker.log_tail()


def test_topics_are_made_once_by_workers_that_start_together(kafka: str, tmp_path: Path) -> None:
    settings = Settings(**flags_for(kafka, tmp_path))

    async def together() -> list[int]:
        return list(await asyncio.gather(*(make_topics(settings) for _ in range(3))))

    assert asyncio.run(together()) == [PARTITIONS] * 3
