"""`freshrec bench state`: how many clicks a second the state path takes on a real Kafka.

The worker finds a topic full of clicks and works it off: decoding, windows, transitions, graph,
popularity, changelogs, every send acknowledged before the commit. The encoder is off; with
`lists` every changed user also gets a graph list.
"""

import asyncio
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec

from streams.bench.progress import Progress
from streams.bench.workload import Workload, publish
from streams.broker import KafkaCluster
from streams.connection import connect_admin
from streams.settings import Settings
from streams.topics import ensure_topics
from streams.worker_process import WorkerProcess


class StateFigures(msgspec.Struct):
    """What the run measured; the JSON object of `--json`."""

    clicks: int
    users: int
    items: int
    partitions: int
    store: str
    lists: bool
    seconds: float
    clicks_per_second: float
    worker_cpu_seconds: float
    worker_cpu_seconds_per_million: float
    peak_rss_bytes: int
    recommendations: int
    transitions_records: int


def run(
    workload: Workload, *, lists: bool, store: str, bootstrap: str | None, partitions: int = 4
) -> StateFigures:
    """Run once on the given brokers, or on a Kafka of its own."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if bootstrap is None:
            bootstrap = stack.enter_context(KafkaCluster()).bootstrap
        flags = {
            "bootstrap": bootstrap,
            "group": f"bench-{time.time_ns():x}",
            "topic_prefix": f"bench-{time.time_ns():x}-",
            "partitions": partitions,
            "store": store,
            "state_dir": directory / "state",
            "encoder": False,
            "lists": lists,
            "metrics_port": 0,
        }
        settings = Settings(**flags)  # type: ignore[arg-type]
        asyncio.run(_topics(settings))
        tally = publish(settings, workload, time.time_ns() // 1_000_000)
        worker = stack.enter_context(WorkerProcess(flags, directory / "worker.log"))
        clicks = stack.enter_context(Progress(settings, settings.clicks))
        transitions = stack.enter_context(Progress(settings, settings.transitions_topic))
        # From a tenth on: start-up is no part of the rate.
        started = clicks.wait(tally.clicks // 10, worker, 120)
        first = clicks.committed()
        ended = clicks.wait(tally.clicks, worker, 600)
        records = transitions.end()
        ended = max(ended, transitions.wait(records, worker, 600))
        cpu_seconds = worker.cpu_seconds()
        peak = worker.peak_rss_bytes()
        recommendations = stack.enter_context(Progress(settings, settings.recommendations)).end()
        seconds = ended - started
        done = tally.clicks - first
        return StateFigures(
            clicks=done,
            users=workload.users,
            items=workload.items,
            partitions=partitions,
            store=store,
            lists=lists,
            seconds=round(seconds, 3),
            clicks_per_second=round(done / seconds, 1),
            worker_cpu_seconds=round(cpu_seconds, 2),
            worker_cpu_seconds_per_million=round(cpu_seconds * 1e6 / tally.clicks, 2),
            peak_rss_bytes=peak,
            recommendations=recommendations,
            transitions_records=records,
        )


async def _topics(settings: Settings) -> None:
    admin = await connect_admin(settings)
    try:
        await ensure_topics(admin, settings)
    finally:
        await admin.close()
