"""On real Kafka: nothing is lost and nothing is doubled when a worker is killed."""

import asyncio
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from streams.bench.oracle import judge
from streams.bench.progress import Progress
from streams.bench.workload import Tally, Workload, publish
from streams.connection import connect_admin
from streams.settings import Settings
from streams.topics import ensure_topics
from streams.worker_process import WorkerProcess

pytestmark = pytest.mark.kafka

PARTITIONS = 4


def flags_for(kafka: str, directory: Path, **more: Any) -> dict[str, Any]:
    """Settings of a worker with topics and a group of its own."""
    name = uuid.uuid4().hex[:8]
    return {
        "bootstrap": kafka,
        "group": f"test-{name}",
        "topic_prefix": f"test-{name}-",
        "partitions": PARTITIONS,
        "state_dir": directory / "state",
        "metrics_port": 0,
        "encoder": False,
        "instance_id": "worker-0",
        "session_timeout_seconds": 6.0,
        "heartbeat_seconds": 1.0,
        **more,
    }


async def make_topics(settings: Settings) -> int:
    admin = await connect_admin(settings)
    try:
        return await ensure_topics(admin, settings)
    finally:
        await admin.close()


@contextmanager
def publishing(settings: Settings, workload: Workload) -> Iterator[list[Tally]]:
    """Publish in the background; the tally is there at the end."""
    tallies: list[Tally] = []
    now_ms = time.time_ns() // 1_000_000
    thread = threading.Thread(target=lambda: tallies.append(publish(settings, workload, now_ms)))
    thread.start()
    try:
        yield tallies
    finally:
        thread.join()


@pytest.mark.parametrize("store", ["rocksdb", "memory"])
def test_state_lists_and_dead_letters_are_exact_after_three_kills(
    kafka: str, tmp_path: Path, store: str
) -> None:
    clicks = 100_000 if store == "rocksdb" else 30_000
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
        assert worker.stop() == 0, worker.log_tail()
    verdict = judge(settings, PARTITIONS)
    assert verdict.clean, verdict
    assert verdict.clicks == clicks
    assert verdict.users == workload.users
    assert verdict.dead_letters == tally.bad > 0
