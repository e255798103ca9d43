"""Run of a soak: fill the windows, find the capacity, load the worker, judge what was seen.

1. A backlog fills every user's window, so that state has its size before memory is looked at.
2. Steps of a rising rate, until the worker does not hold one: the last that it held is its
   capacity. A rate is held while the encoder makes the lists and they stay clear of the deadline.
3. The load of the plan, published at its instants whether or not the worker keeps up.
4. When everything is committed, every user's last click must be in a list of theirs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec

from model.artifact import DEMO_ARTIFACT, load_artifact
from streams.bench.ground import ground
from streams.bench.progress import Progress
from streams.bench.soak.lists_seen import ListSeen, ListsSeen
from streams.bench.soak.load import Load
from streams.bench.soak.plan import SoakPlan, sustained
from streams.bench.soak.sampler import Reading, Sampler, latest_lag
from streams.bench.soak.verdict import Sample, Verdict, verdict
from streams.ports import free_port
from streams.recommendation import DegradedReason, ServedBy
from streams.settings import Settings
from streams.worker_process import WorkerProcess, wait_until_ready

Tell = Callable[[str], None]

_READY_SECONDS = 120.0
_DRAIN_SECONDS = 300.0
_TICK_SECONDS = 0.01
_TELL_SECONDS = 5.0
_STEP_TRIES = 2
_LOWEST_RATE = 10.0


class SoakFigures(msgspec.Struct):
    """What the run measured; the JSON object of `--json`."""

    model: str
    seconds: float
    users: int
    window_events: int
    list_deadline_seconds: float
    capacity_clicks_per_second: float
    """Highest rate of a step at which the encoder made the lists in time, or what was given."""
    share: float
    burst: float
    burst_seconds: float
    period_seconds: float
    base_clicks_per_second: float
    clicks: int
    """Of the load, without filling and search."""
    peak_rss_bytes: int
    users_without_list: int
    verdict: Verdict
    samples: list[Sample]


class Soak(msgspec.Struct, frozen=True):
    """What to run. Without `bootstrap` the run starts a Kafka of its own."""

    plan: SoakPlan
    model: Path = DEMO_ARTIFACT
    partitions: int = 4
    store: str = "rocksdb"
    bootstrap: str | None = None


def run(soak: Soak, tell: Tell) -> SoakFigures:
    """Run a soak; `tell` is given lines of progress.

    RuntimeError when the worker dies, falls silent or holds no rate at all; ArtifactError for an
    artefact that cannot be used.
    """
    artifact = load_artifact(soak.model)
    plan = soak.plan
    port = free_port()
    with ExitStack() as stack:
        place = stack.enter_context(
            ground(
                soak.bootstrap,
                partitions=soak.partitions,
                store=soak.store,
                model_dir=soak.model.resolve(),
                window_events=plan.window_events,
                metrics_port=port,
            )
        )
        settings = place.settings
        worker = stack.enter_context(WorkerProcess(place.flags, place.directory / "worker.log"))
        wait_until_ready(worker, port, _READY_SECONDS)
        progress = stack.enter_context(Progress(settings, settings.clicks))
        bench = _Bench(
            settings,
            plan,
            Load(settings, artifact.items, plan.users, plan.seed),
            stack.enter_context(ListsSeen(settings)),
            stack.enter_context(Sampler(worker, port, progress, settings.clicks)),
            tell,
        )
        capacity = bench.fill_and_search()
        base_rate = plan.base_rate(capacity)
        tell(
            f"capacity {capacity:.0f} clicks/s; base load {base_rate:.0f}, bursts of"
            f" {base_rate * plan.burst:.0f} for {plan.burst_seconds:g} s every"
            f" {plan.period_seconds:g} s"
        )
        before = bench.load.published
        samples = bench.soak(base_rate)
        clicks = bench.load.published - before
        bench.drain()
        without = bench.users_without_list()
        return SoakFigures(
            model=f"{artifact.manifest.name} {artifact.manifest.version}",
            seconds=plan.seconds,
            users=plan.users,
            window_events=plan.window_events,
            list_deadline_seconds=settings.list_deadline_seconds,
            capacity_clicks_per_second=round(capacity, 1),
            share=plan.share,
            burst=plan.burst,
            burst_seconds=plan.burst_seconds,
            period_seconds=plan.period_seconds,
            base_clicks_per_second=round(base_rate, 1),
            clicks=clicks,
            peak_rss_bytes=worker.peak_rss_bytes(),
            users_without_list=without,
            verdict=verdict(
                plan,
                base_rate,
                settings.list_deadline_seconds,
                samples,
                users_without_list=without,
            ),
            samples=samples,
        )


class _Bench:
    """One loop over load, lists and samples."""

    def __init__(
        self,
        settings: Settings,
        plan: SoakPlan,
        load: Load,
        lists: ListsSeen,
        sampler: Sampler,
        tell: Tell,
    ) -> None:
        self._deadline = settings.list_deadline_seconds
        self._plan = plan
        self.load = load
        self._lists = lists
        self._sampler = sampler
        self._tell = tell

    def fill_and_search(self) -> float:
        """Steps 1 and 2: the capacity in clicks a second."""
        plan = self._plan
        self._tell(f"filling the windows of {plan.users} users")
        self.load.publish(plan.users * plan.window_events)
        self.drain()
        if plan.capacity is not None:
            return plan.capacity
        rate, held = plan.first_rate, 0.0
        while True:
            if any(self._step_is_held(rate) for _ in range(_STEP_TRIES)):
                held = rate
                rate *= plan.step_factor
            elif held or rate < _LOWEST_RATE:
                break
            else:
                rate /= 2
        if not held:
            raise RuntimeError(
                f"the worker does not hold {_LOWEST_RATE:g} clicks/s with lists of the encoder: is"
                " the model too slow for this machine?"
            )
        return held

    def _step_is_held(self, rate: float) -> bool:
        """Whether the worker keeps up with a rate; what it left undone is worked off."""
        self._tell(f"looking for the capacity: {rate:.0f} clicks/s")
        seconds = self._plan.step_seconds
        started = time.monotonic()
        before = self.load.published
        seen: list[ListSeen] = []
        while (at := time.monotonic() - started) < seconds:
            self.load.publish(int(rate * at) - (self.load.published - before))
            lists = self._lists.poll(_TICK_SECONDS)
            if at > seconds / 2:
                seen += lists
        self.drain()
        return sustained(
            [one.age_seconds for one in seen],
            sum(one.served_by == ServedBy.BERT_GRAPH for one in seen),
            self._deadline,
        )

    def soak(self, base_rate: float) -> list[Sample]:
        """Step 3: a sample for every second."""
        plan = self._plan
        started = time.monotonic()
        before = self.load.published
        samples: list[Sample] = []
        seen: list[ListSeen] = []
        last: Reading | None = None
        next_sample = next_tell = 0.0
        asked = (0.0, 0)
        while (at := time.monotonic() - started) < plan.seconds:
            published = self.load.published - before
            self.load.publish(plan.due(at, base_rate) - published)
            seen += self._lists.poll(_TICK_SECONDS)
            if at >= next_sample:
                next_sample = max(next_sample + 1.0, at)
                asked = (at, self.load.published)
                self._sampler.ask()
            reading = self._sampler.answer()
            if reading is None:
                continue
            samples.append(_sample(asked, before, reading, last, seen))
            seen = []
            last = reading
            if at >= next_tell:
                next_tell = at + _TELL_SECONDS
                self._tell(_line(samples[-1], plan.seconds))
        return samples

    def drain(self) -> None:
        """Wait until every click is committed. RuntimeError if that takes too long."""
        self.load.finish()
        deadline = time.monotonic() + _DRAIN_SECONDS
        while True:
            self._sampler.ask()
            self._lists.poll(_TICK_SECONDS)
            reading = self._sampler.answer()
            if reading is not None and reading.committed >= self.load.published:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"clicks were left undone {_DRAIN_SECONDS:.0f} s after the last was published"
                )

    def users_without_list(self) -> int:
        """Step 4: users whose last click is in no list, after everything was committed."""
        deadline = time.monotonic() + _READY_SECONDS
        wanted = self.load.last_offsets
        newest = self._lists.newest
        while time.monotonic() < deadline:
            if all(newest.get(user, -1) >= offset for user, offset in wanted.items()):
                return 0
            if not self._lists.poll(1.0):
                break
        return sum(newest.get(user, -1) < offset for user, offset in wanted.items())


def _sample(
    asked: tuple[float, int],
    before: int,
    reading: Reading,
    last: Reading | None,
    seen: list[ListSeen],
) -> Sample:
    at_seconds, published = asked
    counts = {} if last is None else last.loop_lag_counts
    ages = sorted(one.age_seconds for one in seen)
    of_encoder = [one.age_seconds for one in seen if one.served_by == ServedBy.BERT_GRAPH]
    late = sum(one.degraded_reason == DegradedReason.DEADLINE for one in seen)
    return Sample(
        at_seconds=round(at_seconds, 2),
        published=published - before,
        rss_bytes=reading.rss_bytes,
        lag_clicks=max(0, published - reading.committed),
        unread_clicks=reading.unread,
        loop_lag_seconds=0.0 if last is None else latest_lag(counts, reading.loop_lag_counts),
        encoder_lists=len(of_encoder),
        late_lists=late,
        other_lists=len(seen) - len(of_encoder) - late,
        age_p50_seconds=ages[len(ages) // 2] if ages else 0.0,
        age_p99_seconds=ages[int(0.99 * (len(ages) - 1))] if ages else 0.0,
        encoder_age_max_seconds=max(of_encoder, default=0.0),
    )


def _line(sample: Sample, seconds: float) -> str:
    return (
        f"{sample.at_seconds:.0f} of {seconds:.0f} s: {sample.published} clicks, lag"
        f" {sample.lag_clicks}, lists p50 {sample.age_p50_seconds * 1000:.0f} ms p99"
        f" {sample.age_p99_seconds * 1000:.0f} ms, encoder"
        f" {sample.encoder_lists / max(sample.lists, 1):.0%}, late"
        f" {sample.late_lists / max(sample.lists, 1):.0%}, {sample.rss_bytes / 1e6:.0f} MB"
    )
