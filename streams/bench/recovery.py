"""`freshrec bench recovery`: how fast a worker gets its state back from Kafka.

A worker works off a workload and is killed; then it starts again, once with what its disk has and
once with an empty one. The time is the worker's own: from the assignment of its partitions to the
last changelog record applied.
"""

import re
import shutil
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec

from streams.bench.ground import ground
from streams.bench.progress import Progress
from streams.bench.workload import Workload, publish
from streams.worker_process import WorkerProcess

RECOVERED = re.compile(r"recovered partitions .*: (\d+) changelog records in ([\d.]+) s")
_POLL_SECONDS = 0.05
_READY_SECONDS = 300.0


class RecoveryFigures(msgspec.Struct):
    """What the run measured; the JSON object of `--json`."""

    store: str
    clicks: int
    users: int
    items: int
    tail_records: int
    """Changelog records that a killed worker, its disk being there, had to read."""
    tail_seconds: float
    records: int
    """All records of the changelogs, read with an empty disk."""
    seconds: float
    records_per_second: float


class RecoveryBench(msgspec.Struct, frozen=True):
    """What to run. Without `bootstrap` the run starts a Kafka of its own."""

    workload: Workload
    store: str = "rocksdb"
    partitions: int = 4
    bootstrap: str | None = None


def run(bench: RecoveryBench) -> RecoveryFigures:
    """Work off, kill, recover twice. Raises RuntimeError when the worker dies or falls silent."""
    with ExitStack() as stack:
        directory, flags, settings = stack.enter_context(
            ground(
                bench.bootstrap,
                partitions=bench.partitions,
                store=bench.store,
                encoder=False,
                metrics_port=0,
                instance_id="worker-0",
                session_timeout_seconds=6.0,
                heartbeat_seconds=1.0,
            )
        )
        tally = publish(settings, bench.workload, time.time_ns() // 1_000_000)
        log = directory / "worker.log"
        worker = stack.enter_context(WorkerProcess(flags, log))
        for topic in (settings.clicks, settings.transitions_topic):
            with Progress(settings, topic) as progress:
                progress.wait(progress.end(), worker, 900)
        tail_records, tail_seconds = _restarted(worker, log)
        worker.kill()
        shutil.rmtree(settings.state_dir, ignore_errors=True)
        records, seconds = _restarted(worker, log)
        return RecoveryFigures(
            store=bench.store,
            clicks=tally.clicks,
            users=bench.workload.users,
            items=bench.workload.items,
            tail_records=tail_records,
            tail_seconds=tail_seconds,
            records=records,
            seconds=seconds,
            records_per_second=round(records / max(seconds, 1e-3), 1),
        )


def _restarted(worker: WorkerProcess, log: Path) -> tuple[int, float]:
    """Kill a worker, start it, and wait until its log tells of its recovery: records, seconds."""
    worker.kill()
    before = len(RECOVERED.findall(log.read_text()))
    worker.start()
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        told = RECOVERED.findall(log.read_text())
        if len(told) > before:
            count, seconds = told[-1]
            return int(count), float(seconds)
        if not worker.alive() or time.monotonic() > deadline:
            raise RuntimeError(f"the worker did not recover:\n{worker.log_tail()}")
        time.sleep(_POLL_SECONDS)
