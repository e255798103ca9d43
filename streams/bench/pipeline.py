"""`freshrec bench pipeline`: the whole job with the encoder on a real Kafka.

First clicks at a steady rate, until the broker is compiled and warm, as one in service is. Then a
backlog: how many clicks a second one worker takes. Then a closed loop, in which so many
users wait for a list all the time: how many lists it makes, and how many the encoder alone would
make of such windows with the same threads. Then clicks at given rates in an open loop: how long
after its planned instant a click is on a list that a subscriber has.

The same of a hollow worker (`streams.bench.hollow`) says what the path between the brokers takes.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from statistics import mean, median

import msgspec
from confluent_kafka import Producer

from model.artifact import DEMO_ARTIFACT, load_artifact
from model.scorer import EncoderScorer
from streams.bench.closed_loop import Crowd, Throughput, saturate
from streams.bench.full_windows import FullWindows
from streams.bench.ground import ground
from streams.bench.open_loop import (
    Clicks,
    Subscriber,
    latencies,
    quantile,
    send_at_rate,
)
from streams.bench.pipeline_figures import Latency, PipelineFigures, StageTime
from streams.bench.progress import Progress
from streams.bench.row_bytes import has_all_neighbours, mean_bytes, table_rows
from streams.bench.usage import Usage
from streams.ports import free_port
from streams.settings import Settings
from streams.worker_process import WORKER, WorkerProcess, code_to_run, wait_until_ready

_READY_SECONDS = 120.0
_SENT_PER_COUNTED = 1.25
"""So many times what is measured is sent at a rate; what comes before warms up."""
_QUIET_SECONDS = 2.0
"""After the last list that comes within this time, no more are waited for."""
_CANDIDATES = 100
_WARM_UP_RATE = 500.0
# Brokers of tests do without the optimising compiler, which would work through all of a test.
_OPTIMISED = ("-XX:TieredStopAtLevel=4",)
_CLOSED_LOOP = "closed loop"
# By whether they are hollow, and whether they time their stages.
_WORKERS = {
    (False, False): WORKER,
    (True, False): code_to_run("streams.bench.hollow", "HollowWorker"),
    (False, True): code_to_run("streams.bench.stages", "StagedWorker"),
    (True, True): code_to_run("streams.bench.stages", "StagedHollowWorker"),
}


class PipelineBench(msgspec.Struct, frozen=True):
    """What to run. Without `bootstrap` the run starts a Kafka of its own."""

    rates: Sequence[float] = (1_000.0, 5_000.0)
    """Clicks a second."""
    seconds: float = 20.0
    """At each rate, after a fifth of it that is not counted."""
    warm_up_seconds: float = 20.0
    """Of a steady rate before anything is measured; 0: none."""
    clicks: int = 40_000
    """In the backlog; before it, windows are filled."""
    lists: int = 20_000
    """In the closed loop."""
    waiting: int = 1_000
    """Users who wait for a list at any moment of it, at most half of all."""
    users: int = 2_000
    model: Path = DEMO_ARTIFACT
    engine: str = "cpu"
    threads: int = 1
    store: str = "rocksdb"
    partitions: int = 4
    bootstrap: str | None = None
    hollow: bool = False
    """Whether the worker folds no graph and ranks nothing: `streams.bench.hollow`."""
    stages: bool = False
    """Whether the worker times its stages: `streams.bench.stages`."""


def run(bench: PipelineBench, tell: Callable[[str], None] = lambda _: None) -> PipelineFigures:
    """Publish, work off, measure. RuntimeError when the worker dies or a click is on no list."""
    artifact = load_artifact(bench.model)
    manifest = artifact.manifest
    port = free_port()
    with ExitStack() as stack:
        place = stack.enter_context(
            ground(
                bench.bootstrap,
                java_options=_OPTIMISED,
                partitions=bench.partitions,
                store=bench.store,
                model_dir=bench.model.resolve(),
                engine=bench.engine,
                inference_threads=bench.threads,
                metrics_port=port,
            )
        )
        settings = place.settings
        clicks = Clicks(bench.users, artifact.items, seed=7)
        log = place.directory / "worker.log"
        code = _WORKERS[bench.hollow, bench.stages]
        worker = stack.enter_context(WorkerProcess(place.flags, log, code=code))
        wait_until_ready(worker, port, _READY_SECONDS)
        progress = stack.enter_context(Progress(settings, settings.clicks))
        transitions = stack.enter_context(Progress(settings, settings.transitions_topic))
        fill = bench.users * manifest.max_length
        _publish(settings, clicks.in_turn(fill))
        progress.wait(fill, worker, 900)
        _until_at_rest(transitions, worker)
        bytes_per_user = mean_bytes(table_rows(settings, "windows"))
        tell("the windows are filled")
        if bench.warm_up_seconds:
            calm = msgspec.structs.replace(bench, seconds=bench.warm_up_seconds / _SENT_PER_COUNTED)
            _at_rate(calm, settings, clicks._replace(seed=5), _WARM_UP_RATE, worker, port)
            _until_at_rest(transitions, worker)
            tell("the broker is warm")
        published = progress.end()
        started = time.monotonic()
        _publish(settings, clicks.at_random(bench.clicks))
        ended = progress.wait(published + bench.clicks, worker, 900)
        seconds = ended - started
        tell(f"{bench.clicks / seconds:.0f} clicks/s of a backlog")
        _until_at_rest(transitions, worker)
        limits = [_engine_limit(bench)]
        throughput, used = _saturated(bench, settings, clicks, worker, port)
        _until_at_rest(transitions, worker)
        limits.append(_engine_limit(bench))
        limit = mean(limits)
        made = throughput.encoded / throughput.seconds
        tell(f"{made:.0f} lists/s where the encoder alone makes {limit:.0f}")
        found = []
        stages = _stage_times(_CLOSED_LOOP, used, throughput.lists)
        for number, rate in enumerate(bench.rates):
            clicks = clicks._replace(seed=11 + number)
            told, of_stages = _at_rate(bench, settings, clicks, rate, worker, port)
            tell(
                f"at {rate:.0f} clicks/s: p50 {told.p50 * 1e3:.1f} ms, p99 {told.p99 * 1e3:.1f} ms"
            )
            found.append(told)
            stages += of_stages
            _until_at_rest(transitions, worker)
        items = table_rows(settings, "graph")
        return PipelineFigures(
            engine=bench.engine,
            model=f"{manifest.name} {manifest.version}",
            store=bench.store,
            hollow=bench.hollow,
            users=bench.users,
            clicks=bench.clicks,
            seconds=round(seconds, 3),
            clicks_per_second=round(bench.clicks / seconds, 1),
            lists=throughput.lists,
            without_encoder=throughput.lists - throughput.encoded,
            lists_per_second=round(made, 1),
            engine_limit_lists_per_second=round(limit, 1),
            limit_ratio=round(made / limit, 4),
            latency_seconds=found,
            bytes_per_user=bytes_per_user,
            bytes_per_item=mean_bytes(items),
            bytes_per_full_item=mean_bytes(items, has_all_neighbours(settings)),
            peak_rss_bytes=worker.peak_rss_bytes(),
            cpu_seconds={
                "event_loop": round(used.event_loop, 2),
                "other_threads": round(used.other_threads, 2),
                "encoder_elapsed": round(used.encoder_elapsed, 2),
                "elapsed": round(throughput.seconds, 2),
            },
            stages=stages,
        )


def _at_rate(
    bench: PipelineBench,
    settings: Settings,
    clicks: Clicks,
    rate: float,
    worker: WorkerProcess,
    port: int,
) -> tuple[Latency, list[StageTime]]:
    """One open loop; its first fifth warms up and is not counted."""
    seconds = bench.seconds * _SENT_PER_COUNTED
    before = Usage.of(worker, port)
    subscriber = Subscriber(settings)
    try:
        subscriber.read(_QUIET_SECONDS / 4)  # connected, before the first click leaves
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            sending = pool.apply_async(send_at_rate, (settings, clicks, rate, seconds))
            while not sending.ready():
                subscriber.read(0.1)
            sent = sending.get()
        while subscriber.read(_QUIET_SECONDS):
            pass
        lists = subscriber.lists()
    finally:
        subscriber.close()
    begin = min(click.planned for click in sent) + seconds - bench.seconds
    counted = [click for click in sent if click.planned >= begin]
    waits = latencies(counted, lists)
    p50, p99, p999, longest = (round(quantile(waits, q), 5) for q in (0.5, 0.99, 0.999, 1.0))
    late = sum(not seen.encoded for seen in lists)
    used = Usage.of(worker, port).since(before)
    loop_ms = round(used.event_loop * 1e3 / len(sent), 3)
    told = Latency(rate, len(counted), len(lists), late, p50, p99, p999, longest, loop_ms)
    return told, _stage_times(f"{rate:g}/s", used, len(sent))


def _saturated(
    bench: PipelineBench, settings: Settings, clicks: Clicks, worker: WorkerProcess, port: int
) -> tuple[Throughput, Usage]:
    """The closed loop, and what processor time the worker took for it."""
    used: list[Usage] = []
    crowd = Crowd(settings, clicks)
    try:
        throughput = saturate(
            clicks,
            waiting=min(bench.waiting, bench.users // 2),
            lists=bench.lists,
            click=crowd.click,
            arrived=crowd.arrived,
            began=lambda: used.append(Usage.of(worker, port)),
            ended=lambda: used.append(Usage.of(worker, port)),
        )
    finally:
        crowd.close()
    before, after = used
    return throughput, after.since(before)


def _stage_times(during: str, used: Usage, count: int) -> list[StageTime]:
    """The stages of so many lists or clicks, the longest first."""
    longest_first = sorted(used.stages.items(), key=itemgetter(1), reverse=True)
    return [
        StageTime(during, stage, round(seconds * 1e3 / count, 4))
        for stage, seconds in longest_first
    ]


def _engine_limit(bench: PipelineBench) -> float:
    """Lists a second of the encoder alone, one full batch after the other; median of 25 calls."""
    scorer = EncoderScorer.load(bench.model, engine=bench.engine, threads=bench.threads)
    batch = scorer.max_batch
    windows = FullWindows(scorer, events=scorer.manifest.max_length, candidates=_CANDIDATES)
    prepared = windows.prepared(batch)
    scorer.run(prepared)
    took = []
    for _ in range(25):
        began = time.perf_counter()
        scorer.run(prepared)
        took.append(time.perf_counter() - began)
    return batch / median(took)


def _publish(settings: Settings, clicks: Iterable[tuple[bytes, bytes]]) -> None:
    producer = Producer(settings.librdkafka(**{"partitioner": "murmur2", "linger.ms": 20}))
    for number, (key, value) in enumerate(clicks):
        producer.produce(settings.clicks, value, key)
        if number % 5_000 == 0:
            producer.flush()
    if producer.flush(60):
        raise RuntimeError("the backlog could not be published within a minute")


def _until_at_rest(transitions: Progress, worker: WorkerProcess) -> None:
    """Until the graph has all transitions, so that no earlier part of the run slows the next."""
    transitions.wait(transitions.end(), worker, 900)
