"""`freshrec broker`."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.option(
    "--kind",
    type=click.Choice(["embedded", "kafka"]),
    default="embedded",
    show_default=True,
    help="embedded: in memory, needs nothing. kafka: real Apache Kafka, needs Java and Maven.",
)
@click.option("--brokers", type=click.IntRange(1, 9), default=1, show_default=True)
@click.option("--port", type=click.IntRange(1, 65_535), help="Port of the first broker (kafka).")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Keep the brokers' data here (kafka)."
)
def broker(kind: str, brokers: int, port: int | None, data_dir: Path | None) -> None:
    """Run a development broker in the foreground.

    Prints one JSON line with its address once clients can connect. Listens on loopback only.
    """
    from streams.broker import run

    sys.exit(run(kind, brokers, port=port, data_dir=data_dir))
