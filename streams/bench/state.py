"""`freshrec bench state`: how many clicks a second the state path takes on a real Kafka.

The workers find a topic full of clicks and work it off: decoding, windows, transitions, graph,
popularity, changelogs, every send acknowledged before the commit. The encoder is off; with
`lists` every changed user also gets a graph list. The time ends when the last transition is in
the graph and committed, not when the last click is.
"""

import time
from contextlib import ExitStack

import msgspec

from streams.bench.ground import ground
from streams.bench.progress import Progress
from streams.bench.workload import Workload, publish
from streams.worker_process import WorkerProcess


class StateFigures(msgspec.Struct):
    """What the run measured; the JSON object of `--json`."""

    clicks: int
    """Worked off in the measured time: nine tenths of what was published."""
    users: int
    items: int
    partitions: int
    workers: int
    store: str
    lists: bool
    start_seconds: float
    """From the start of the workers to their first commit."""
    seconds: float
    clicks_per_second: float
    worker_cpu_seconds_per_million: float
    peak_rss_bytes: int
    """Of the largest worker."""
    recommendations: int


class StateBench(msgspec.Struct, frozen=True):
    """What to run. Without `bootstrap` the run starts a Kafka of its own."""

    workload: Workload
    workers: int = 2
    partitions: int = 4
    store: str = "rocksdb"
    lists: bool = False
    bootstrap: str | None = None


def run(bench: StateBench) -> StateFigures:
    """Publish, work off, measure. Raises RuntimeError when a worker dies or falls silent."""
    with ExitStack() as stack:
        directory, flags, settings = stack.enter_context(
            ground(
                bench.bootstrap,
                partitions=bench.partitions,
                store=bench.store,
                encoder=False,
                lists=bench.lists,
                metrics_port=0,
            )
        )
        tally = publish(settings, bench.workload, time.time_ns() // 1_000_000)
        begun = time.monotonic()
        workers = [
            stack.enter_context(
                WorkerProcess(
                    {**flags, "state_dir": directory / f"state-{number}"},
                    directory / f"worker-{number}.log",
                )
            )
            for number in range(bench.workers)
        ]
        clicks = stack.enter_context(Progress(settings, settings.clicks))
        transitions = stack.enter_context(Progress(settings, settings.transitions_topic))
        start_seconds = clicks.wait(1, workers, 120) - begun
        # From a tenth on: start-up and the first assignments are no part of the rate.
        started = clicks.wait(tally.clicks // 10, workers, 120)
        first = clicks.committed()
        clicks.wait(tally.clicks, workers, 900)
        ended = transitions.wait(transitions.end(), workers, 900)
        seconds = ended - started
        cpu_seconds = sum(worker.cpu_seconds() for worker in workers)
        recommendations = stack.enter_context(Progress(settings, settings.recommendations)).end()
        return StateFigures(
            clicks=tally.clicks - first,
            users=bench.workload.users,
            items=bench.workload.items,
            partitions=bench.partitions,
            workers=bench.workers,
            store=bench.store,
            lists=bench.lists,
            start_seconds=round(start_seconds, 2),
            seconds=round(seconds, 3),
            clicks_per_second=round((tally.clicks - first) / seconds, 1),
            worker_cpu_seconds_per_million=round(cpu_seconds * 1e6 / tally.clicks, 2),
            peak_rss_bytes=max(worker.peak_rss_bytes() for worker in workers),
            recommendations=recommendations,
        )
