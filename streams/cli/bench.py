"""`freshrec bench`: one subcommand for each benchmark."""

from __future__ import annotations

import click

from streams.cli.options import emit, failures, json_option, set_up_logging


@click.group()
def bench() -> None:
    """Reproducible figures. With --json exactly one object on standard output."""


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
