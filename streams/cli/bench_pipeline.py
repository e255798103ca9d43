"""`freshrec bench pipeline`: the whole job with the encoder."""

from __future__ import annotations

from pathlib import Path

import click

from streams.cli.options import emit, failures, json_option, set_up_logging


@click.command()
@click.option("--short", is_flag=True, help="Few clicks, 3 s at each rate: a smoke test.")
@click.option("--rate", "rates", type=click.FloatRange(1), multiple=True, default=(1000.0, 5000.0),
              show_default=True, help="Clicks a second in the open loop; repeatable.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(1), default=20.0, show_default=True,
              help="Measured at each rate.")  # fmt: skip
@click.option("--warm-up", type=click.FloatRange(0), default=20.0, show_default=True,
              help="Seconds of clicks before anything is measured.")  # fmt: skip
@click.option("--clicks", type=click.IntRange(1000), default=40_000, show_default=True,
              help="In the backlog.")  # fmt: skip
@click.option("--loop-lists", type=click.IntRange(1000), default=20_000, show_default=True,
              help="In the closed loop.")  # fmt: skip
@click.option("--loop-users", type=click.IntRange(1), default=1_000, show_default=True,
              help="Users who wait at any moment of it, at most half of all.")  # fmt: skip
@click.option("--users", type=click.IntRange(2), default=2_000, show_default=True)
@click.option("--partitions", type=click.IntRange(1, 1000), default=4, show_default=True)
@click.option("--model", type=click.Path(path_type=Path), metavar="DIR",
              help="Artefact of the encoder; else the one of the demo.")  # fmt: skip
@click.option("--engine", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True,
              help="Of the encoder.")  # fmt: skip
@click.option("--store", type=click.Choice(["rocksdb", "memory"]), default="rocksdb",
              show_default=True)  # fmt: skip
@click.option("--hollow", is_flag=True,
              help="A worker without graph and ranking: what the path alone takes.")  # fmt: skip
@click.option("--stages", is_flag=True,
              help="The worker times the stages of its event loop.")  # fmt: skip
@click.option("--bootstrap", metavar="HOST:PORT", help="A Kafka to use; else one is started.")
@json_option
def pipeline(
    short: bool,
    rates: tuple[float, ...],
    seconds: float,
    warm_up: float,
    clicks: int,
    loop_lists: int,
    loop_users: int,
    users: int,
    partitions: int,
    model: Path | None,
    engine: str,
    threads: int,
    store: str,
    hollow: bool,
    stages: bool,
    bootstrap: str | None,
    as_json: bool,
) -> None:
    """Clicks and lists per second, and the time from click to list, with the encoder.

    One worker on a real Kafka. Clicks per second are those of a backlog; lists per second, with the
    encoder and for one click each, while so many users wait all the time. The rates are kept
    whatever the worker does, and the time counts from the instant at which a click was to leave. A
    Kafka that the run starts has the JVM's optimising compiler, and the time to use it.
    """
    set_up_logging("warning")
    from model.artifact import DEMO_ARTIFACT, ArtifactError
    from streams.bench.pipeline import PipelineBench, run
    from streams.broker import KafkaUnavailable

    with failures(KafkaUnavailable, RuntimeError, ArtifactError):
        figures = run(
            PipelineBench(
                rates=rates,
                seconds=3.0 if short else seconds,
                warm_up_seconds=0.0 if short else warm_up,
                clicks=max(clicks // 10, 1000) if short else clicks,
                lists=max(loop_lists // 10, 1000) if short else loop_lists,
                waiting=max(loop_users // 10, 1) if short else loop_users,
                users=max(users // 10, 2) if short else users,
                partitions=partitions,
                model=model or DEMO_ARTIFACT,
                engine=engine,
                threads=threads,
                store=store,
                bootstrap=bootstrap,
                hollow=hollow,
                stages=stages,
            ),
            lambda words: click.echo(words, err=True),
        )
    emit(figures, as_json=as_json)
