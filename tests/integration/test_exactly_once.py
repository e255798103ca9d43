"""On real Kafka: nothing is lost and nothing is doubled when a worker is killed."""

import asyncio
from pathlib import Path

import pytest

from streams.bench.oracle import judge
from streams.bench.progress import Progress
from streams.bench.workload import Workload
from streams.settings import Settings
from streams.topics import make_topics
from streams.worker_process import WorkerProcess
from tests.integration.running import PARTITIONS, flags_for, publishing, wait_ready

pytestmark = pytest.mark.kafka


@pytest.mark.parametrize("store", ["rocksdb", "memory"])
def test_state_lists_and_dead_letters_are_exact_after_three_kills(
    kafka: str, tmp_path: Path, store: str
) -> None:
    clicks = 100_000 if store == "rocksdb" else 50_000
    workload = Workload(clicks=clicks, users=2_000, items=500, bad_share=0.01)
    flags = flags_for(kafka, tmp_path, store=store)
    settings = Settings(**flags)
    assert asyncio.run(make_topics(settings)) == PARTITIONS
    with (
        WorkerProcess(flags, tmp_path / "worker.log") as worker,
        Progress(settings, settings.clicks) as progress,
        Progress(settings, settings.transitions_topic) as transitions,
    ):
        with publishing(settings, workload) as tallies:
            for share in (0.15, 0.4, 0.65):
                progress.wait(int(workload.clicks * share), worker, 120)
                worker.kill()
                worker.start()
        (tally,) = tallies
        progress.wait(tally.clicks, worker, 180)
        transitions.wait(transitions.end(), worker, 120)
        wait_ready(flags, worker)
        assert worker.stop() == 0, worker.log_tail()
    verdict = judge(settings, PARTITIONS)
    assert verdict.clean, verdict
    assert verdict.clicks == clicks
    assert verdict.users == workload.users
    assert verdict.dead_letters == tally.bad > 0
