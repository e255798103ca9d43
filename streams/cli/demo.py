"""`freshrec demo`."""

from __future__ import annotations

import sys

import click

from streams.cli.options import json_option, set_up_logging


@click.command()
@click.option("--seconds", type=click.FloatRange(5), default=60.0, show_default=True)
@click.option("--dataset", default="movielens-100k", show_default=True, help="Name of a data set.")
@click.option(
    "--bootstrap", metavar="HOST:PORT", help="A Kafka to use; else an embedded broker is started."
)
@json_option
def demo(seconds: float, dataset: str, bootstrap: str | None, as_json: bool) -> None:
    """See the main job in a minute.

    Starts a broker and a worker, replays real clicks through Kafka, shows lists and figures as
    they change, and ends with a summary.
    """
    set_up_logging("warning")
    from streams.demo import run_demo

    sys.exit(run_demo(seconds=seconds, dataset=dataset, bootstrap=bootstrap, as_json=as_json))
