"""`freshrec bench`: one subcommand for each benchmark."""

from __future__ import annotations

from pathlib import Path

import click

from streams.cli.bench_growth import growth
from streams.cli.bench_peers import peers
from streams.cli.bench_pipeline import pipeline
from streams.cli.bench_scorer import scorer
from streams.cli.options import Failure, emit, failures, json_option, set_up_logging


@click.group()
def bench() -> None:
    """Reproducible figures. With --json exactly one object on standard output."""


bench.add_command(scorer)
bench.add_command(pipeline)
bench.add_command(peers)
bench.add_command(growth)


@bench.command()
@click.option("--cases", type=click.IntRange(1), default=10_000_000, show_default=True)
@click.option("--seed", type=int, default=7, show_default=True)
@click.option("--target", "targets", multiple=True, metavar="NAME", help="Only this; repeatable.")
@json_option
def fuzz(cases: int, seed: int, targets: tuple[str, ...], as_json: bool) -> None:
    """Nearly right bytes for all that reads some; exit code 1 if anything but a refusal comes.

    The same cases for the same --cases, --seed and --target.
    """
    set_up_logging("warning")
    from streams.bench.fuzz import run
    from streams.bench.fuzz_targets import TARGETS

    for name in targets:
        if name not in TARGETS:
            raise click.UsageError(f"There is no target {name!r}; there are {', '.join(TARGETS)}.")
    figures = run(
        cases,
        seed,
        targets=list(targets) or None,
        progress=lambda name, done: click.echo(f"{name}: {done}", err=True),
    )
    emit(figures, as_json=as_json)
    if not figures.clean:
        raise SystemExit(1)


@bench.command()
@click.option("--short", is_flag=True, help="A tenth of the clicks: a smoke test of the benchmark.")
@click.option("--clicks", type=click.IntRange(1000), default=1_000_000, show_default=True)
@click.option("--users", type=click.IntRange(1), default=50_000, show_default=True)
@click.option("--items", type=click.IntRange(2), default=10_000, show_default=True)
@click.option("--partitions", type=click.IntRange(1, 1000), default=4, show_default=True)
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option("--store", type=click.Choice(["rocksdb", "memory"]), default="rocksdb",
              show_default=True)  # fmt: skip
@click.option("--lists/--no-lists", default=False, show_default=True, help="Publish lists as well.")
@click.option("--seed", type=int, default=7, show_default=True)
@click.option("--bootstrap", metavar="HOST:PORT", help="A Kafka to use; else one is started.")
@json_option
def state(
    short: bool,
    clicks: int,
    users: int,
    items: int,
    partitions: int,
    workers: int,
    store: str,
    lists: bool,
    seed: int,
    bootstrap: str | None,
    as_json: bool,
) -> None:
    """Clicks per second through windows and graph, on a real Kafka."""
    set_up_logging("warning")
    from streams.bench.state import StateBench, run
    from streams.bench.workload import Workload
    from streams.broker import KafkaUnavailable

    count = max(clicks // 10, 1000) if short else clicks
    workload = Workload(clicks=count, users=users, items=items, seed=seed)
    with failures(KafkaUnavailable, RuntimeError):
        figures = run(
            StateBench(
                workload,
                workers=workers,
                partitions=partitions,
                store=store,
                lists=lists,
                bootstrap=bootstrap,
            )
        )
    emit(figures, as_json=as_json)


@bench.command()
@click.option("--short", is_flag=True, help="A tenth of the clicks: a smoke test of the benchmark.")
@click.option("--clicks", type=click.IntRange(1000), default=500_000, show_default=True)
@click.option("--users", type=click.IntRange(1), default=50_000, show_default=True)
@click.option("--items", type=click.IntRange(2), default=10_000, show_default=True)
@click.option("--partitions", type=click.IntRange(1, 1000), default=4, show_default=True)
@click.option("--store", type=click.Choice(["rocksdb", "memory"]), default="rocksdb",
              show_default=True)  # fmt: skip
@click.option("--seed", type=int, default=7, show_default=True)
@click.option("--bootstrap", metavar="HOST:PORT", help="A Kafka to use; else one is started.")
@json_option
def recovery(
    short: bool,
    clicks: int,
    users: int,
    items: int,
    partitions: int,
    store: str,
    seed: int,
    bootstrap: str | None,
    as_json: bool,
) -> None:
    """Changelog records per second at a worker's start, with its disk and without."""
    set_up_logging("warning")
    from streams.bench.recovery import RecoveryBench, run
    from streams.bench.workload import Workload
    from streams.broker import KafkaUnavailable

    count = max(clicks // 10, 1000) if short else clicks
    workload = Workload(clicks=count, users=users, items=items, seed=seed)
    with failures(KafkaUnavailable, RuntimeError):
        figures = run(
            RecoveryBench(workload, store=store, partitions=partitions, bootstrap=bootstrap)
        )
    emit(figures, as_json=as_json)


@bench.command()
@click.option("--users", type=click.IntRange(1, 9_999_999), default=1_000_000, show_default=True)
@click.option("--events", type=click.IntRange(1, 999), default=100, show_default=True,
              help="In each user's window.")  # fmt: skip
@click.option("--partitions", type=click.IntRange(1, 1000), default=4, show_default=True)
@click.option("--store", type=click.Choice(["rocksdb", "memory"]), default="rocksdb",
              show_default=True)  # fmt: skip
@click.option("--writers", type=click.IntRange(1, 64), default=2, show_default=True,
              help="Processes that fold and write the windows.")  # fmt: skip
@click.option("--bootstrap", metavar="HOST:PORT", help="A Kafka to use; else one is started.")
@json_option
def users(
    users: int,
    events: int,
    partitions: int,
    store: str,
    writers: int,
    bootstrap: str | None,
    as_json: bool,
) -> None:
    """Size of the state of many users, and how long a worker with an empty disk needs for it."""
    set_up_logging("warning")
    from streams.bench.large_state import LargeState, run
    from streams.broker import KafkaUnavailable

    with failures(KafkaUnavailable, RuntimeError):
        figures = run(
            LargeState(
                users=users,
                events=events,
                partitions=partitions,
                store=store,
                writers=writers,
                bootstrap=bootstrap,
            ),
            lambda line: click.echo(line, err=True),
        )
    emit(figures, as_json=as_json)


@bench.command()
@click.option("--minutes", type=click.FloatRange(1), default=30.0, show_default=True)
@click.option("--share", type=click.FloatRange(0.05, 0.95), default=0.8, show_default=True,
              help="Mean load as a part of the capacity, bursts included.")  # fmt: skip
@click.option("--burst", type=click.FloatRange(1), default=10.0, show_default=True,
              help="Rate of a burst as a multiple of the load between bursts.")  # fmt: skip
@click.option("--capacity", type=click.FloatRange(1), metavar="N",
              help="Clicks a second that the worker holds; else found out first.")  # fmt: skip
@click.option("--short", is_flag=True,
              help="40 seconds of load, with smaller bursts; memory is not judged.")  # fmt: skip
@click.option("--model", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Artefact to serve. [default: the one that comes with the package]")  # fmt: skip
@click.option("--store", type=click.Choice(["rocksdb", "memory"]), default="rocksdb",
              show_default=True)  # fmt: skip
@click.option("--png", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="A picture of the run.")  # fmt: skip
@click.option("--bootstrap", metavar="HOST:PORT", help="A Kafka to use; else one is started.")
@json_option
def soak(
    minutes: float,
    share: float,
    burst: float,
    capacity: float | None,
    short: bool,
    model: Path | None,
    store: str,
    png: Path | None,
    bootstrap: str | None,
    as_json: bool,
) -> None:
    """A worker under load with bursts: memory, lag, and lists that get simpler, never late.

    First finds the highest rate that the worker holds with lists of the encoder. Exit code 1 if
    memory grows, a burst is not worked off, a list of the encoder is too old, lists do not come
    from the encoder again after a burst, or a user's last click is in no list.
    """
    set_up_logging("warning")
    from model.artifact import DEMO_ARTIFACT, ArtifactError
    from streams.bench.soak.plan import SoakPlan
    from streams.bench.soak.run import Soak, run
    from streams.broker import KafkaUnavailable

    if png is not None:
        try:
            from streams.bench.soak.picture import soak_png
        except ImportError as error:
            raise Failure("--png needs matplotlib: pip install 'freshrec[train]'.") from error
    plan = (
        SoakPlan.short(share, burst, capacity)
        if short
        else SoakPlan(seconds=minutes * 60, share=share, burst=burst, capacity=capacity)
    )
    with failures(KafkaUnavailable, RuntimeError, ArtifactError):
        figures = run(
            Soak(plan, model=model or DEMO_ARTIFACT, store=store, bootstrap=bootstrap),
            lambda line: click.echo(line, err=True),
        )
    if png is not None:
        title = f"{figures.capacity_clicks_per_second:g} clicks/s, {share:.0%} of it with bursts"
        png.write_bytes(
            soak_png(figures.samples, deadline_seconds=figures.list_deadline_seconds, title=title)
        )
    if not as_json:
        figures.samples = []
    emit(figures, as_json=as_json)
    if figures.verdict.broken:
        raise Failure(" ".join(figures.verdict.broken))


@bench.command()
@click.option("--short", is_flag=True, help="A few faults of each kind, in two minutes.")
@click.option("--seed", type=int, default=1, show_default=True, help="Decides the schedule.")
@click.option("--store", type=click.Choice(["rocksdb", "memory"]), default="rocksdb",
              show_default=True)  # fmt: skip
@click.option("--clicks", type=click.IntRange(1000), metavar="N",
              help="At least so many; they go on as long as the faults do."
              " [default: 300000, short: 20000]")  # fmt: skip
@click.option("--keep", type=click.Path(path_type=Path), metavar="DIR",
              help="Leave the workers' logs and disks there.")  # fmt: skip
@click.option("--verbose", is_flag=True, help="Tell of every fault on standard error.")
@json_option
def faults(
    short: bool,
    seed: int,
    store: str,
    clicks: int | None,
    keep: Path | None,
    verbose: bool,
    as_json: bool,
) -> None:
    """What is lost or doubled when workers, brokers, network and disks fail.

    Three brokers and two workers on this machine; faults in an order that the seed decides. Fails
    unless every click counted exactly once, and every user has a list as new as their last click.
    """
    set_up_logging("info" if verbose else "warning")
    from streams.bench.faults.run import FaultPlan, run
    from streams.bench.faults.schedule import LONG, SHORT
    from streams.bench.faults.worker_job import WorkerJob
    from streams.broker import KafkaUnavailable
    from streams.sender import SendError

    plan = FaultPlan(
        clicks=clicks or (20_000 if short else 300_000),
        faults=SHORT if short else LONG,
        store=store,
        seed=seed,
        pause_seconds=2.0 if short else 3.0,
        keep=keep,
    )
    with failures(KafkaUnavailable, RuntimeError, SendError):
        figures = run(plan, WorkerJob, "freshrec")
    emit(figures, as_json=as_json)
    if not figures.kept:
        raise Failure(
            "A promise was broken; see lost, double, state_equal, missing_lists, dead_letters,"
            " dead_letters_equal, mismatch_refused."
        )
