"""Run: a cluster, a crew, clicks and a schedule of faults, and the oracle's word at the end."""

import logging
import random
import re
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from confluent_kafka.admin import NewPartitions

from streams.bench.faults.clicks import Mix, click_records
from streams.bench.faults.cluster import FaultyCluster
from streams.bench.faults.crew import Crew
from streams.bench.faults.figures import FaultFigures
from streams.bench.faults.group import GroupWatch
from streams.bench.faults.injector import Injector
from streams.bench.faults.job import Job
from streams.bench.faults.schedule import (
    BROKERS,
    EXTRA,
    WORKERS,
    Action,
    Faults,
    duration_seconds,
    schedule,
)
from streams.sender import KafkaSender, Pace
from streams.settings import Settings

log = logging.getLogger(__name__)

_READY_SECONDS = 120.0
_SETTLE_SECONDS = 300.0
_REFUSAL_SECONDS = 30.0
_POLL_SECONDS = 0.1
_WAITING = 1.5
"""A run takes so much longer than its schedule, since faults wait for a system at work."""


class FaultPlan(msgspec.Struct, frozen=True):
    """What to run. `clicks`: at least so many; they go on while faults do."""

    clicks: int
    faults: Faults
    store: str = "rocksdb"
    seed: int = 1
    users: int = 2_000
    items: int = 500
    pause_seconds: float = 3.0
    check_mismatch: bool = True
    """Whether a worker must refuse, at the end, a clicks topic that has become larger."""
    keep: Path | None = None
    """Where the workers' logs and disks are to stay; None: they are removed."""


class _Publisher:
    """Publishes clicks at a steady rate in a thread of its own."""

    def __init__(self, settings: Settings, topic: str, plan: FaultPlan, rate: float) -> None:
        self._settings = settings
        self._topic = topic
        self._plan = plan
        self._pace = Pace(rate=rate)
        self._enough = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="clicks", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._enough.set()
        if error is None:
            self._thread.join()
            if self._failed is not None:
                raise self._failed

    @property
    def done(self) -> bool:
        """Whether nothing more comes."""
        return not self._thread.is_alive()

    def end(self) -> None:
        """Stop once the number of clicks is reached."""
        self._enough.set()

    def _work(self) -> None:
        plan = self._plan
        mix = Mix(users=plan.users, items=plan.items, seed=plan.seed)
        try:
            sender = KafkaSender(self._settings, self._topic)
            for number, record in enumerate(click_records(mix, time.time_ns() // 1_000_000)):
                if number >= plan.clicks and self._enough.is_set():
                    break
                self._pace.wait(0)
                sender.send(record.key, record.value, record.timestamp_ms)
            sender.finish()
        except BaseException as error:  # noqa: BLE001  (raised where the run waits for it)
            self._failed = error


def run(plan: FaultPlan, job_for: Callable[[str, str], Job], name: str) -> FaultFigures:
    """Carry out a plan on the job that `job_for(bootstrap, store)` makes.

    Raises RuntimeError when the job does not come back once all faults are over.
    """
    begun = time.monotonic()
    steps = schedule(plan.faults, plan.seed, pause_seconds=plan.pause_seconds, store=plan.store)
    rate = plan.clicks / max(1.0, duration_seconds(steps) * _WAITING)
    with ExitStack() as stack:
        directory = plan.keep or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="freshrec-faults-"))
        )
        directory.mkdir(parents=True, exist_ok=True)
        cluster = stack.enter_context(FaultyCluster(WORKERS + 1, BROKERS))
        job = job_for(cluster.bootstrap, plan.store)
        job.prepare()
        crew = Crew(
            [
                job.member(number, cluster.bootstrap_for(number), directory)
                for number in range(WORKERS + 1)
            ],
            _general,
        )
        stack.callback(crew.kill)
        for number in range(WORKERS):
            crew[number].start()
        _wait(lambda: all(map(job.is_ready, range(WORKERS))), crew, _READY_SECONDS, "readiness")
        watch = stack.enter_context(GroupWatch(cluster.bootstrap, job.group))
        injector = Injector(
            cluster,
            crew,
            job.topics,
            is_ready=job.is_ready,
            coordinator=lambda: watch.coordinator,
            leader_topic=job.clicks_topic,
            chance=random.Random(plan.seed),
        )
        settings = Settings(bootstrap=cluster.bootstrap)
        with _Publisher(settings, job.clicks_topic, plan, rate) as publisher:
            injector.run(steps, lambda: True)
            publisher.end()
            injector.run([], lambda: publisher.done)
        injector.heal()
        crew[EXTRA].kill()
        for number in range(WORKERS):
            crew[number].start()
        _wait(job.is_caught_up, crew, _SETTLE_SECONDS, "all clicks being worked off")
        _wait(lambda: all(map(job.is_ready, range(WORKERS))), crew, _READY_SECONDS, "readiness")
        injector.unclean_stops += len(crew.stop())
        outcome = job.outcome()
        seconds = time.monotonic() - begun
        done = injector.done
        figures = FaultFigures(
            job=name,
            store=plan.store,
            seed=plan.seed,
            worker_kills=done[Action.KILL_WORKER],
            worker_stops=done[Action.STOP_WORKER],
            broker_kills=done[Action.KILL_BROKER],
            rebalances=watch.rebalances,
            mismatch_refused=(
                _refuses_another_size(cluster, crew, job) if plan.check_mismatch else None
            ),
            seconds=round(seconds, 1),
            faults={str(action): count for action, count in sorted(done.items())},
            ends=dict(crew.ends),
            unclean_stops=injector.unclean_stops,
            **msgspec.structs.asdict(outcome),
        )
        if not figures.kept:
            log.warning("%s", crew.logs())
        return figures


def _wait(condition: Callable[[], bool], crew: Crew, seconds: float, what: str) -> None:
    """Wait, starting again who ends; raises RuntimeError with the crew's logs."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {seconds:.0f} s: {what}\n{crew.logs()}")
        crew.revive()
        time.sleep(_POLL_SECONDS)


def _refuses_another_size(cluster: FaultyCluster, crew: Crew, job: Job) -> bool:
    """Whether a worker refuses to start once the clicks topic has one partition more."""
    larger = NewPartitions(job.clicks_topic, job.partitions + 1)
    cluster.admin.create_partitions([larger])[job.clicks_topic].result()
    member = crew[0]
    member.start()
    deadline = time.monotonic() + _REFUSAL_SECONDS
    while member.process.alive() and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    member.wanted = False
    refused = not member.process.alive() and "must have the same number" in member.reason()
    member.kill()
    return refused


def _general(reason: str) -> str:
    return re.sub(r"\d+", "N", reason)
