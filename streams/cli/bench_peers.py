"""`freshrec bench peers`: the same job by others. Needs a checkout, where the peers are."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click

from streams.cli.options import Failure, emit, failures, json_option, set_up_logging

_CHECKOUT = Path(__file__).parents[2]


@click.command()
@click.option("--short", is_flag=True, help="One round of half the clicks: a first look.")
@click.option("--clicks", type=click.IntRange(1000), default=200_000, show_default=True)
@click.option("--users", type=click.IntRange(1), default=2_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--peer", "peers", multiple=True, metavar="NAME",
              help="Only this, and freshrec; repeatable.")  # fmt: skip
@click.option("--store", "stores", type=click.Choice(["memory", "rocksdb"]), multiple=True,
              help="Only this.  [default: both]")  # fmt: skip
@json_option
def peers(
    short: bool,
    clicks: int,
    users: int,
    rounds: int,
    peers: tuple[str, ...],
    stores: tuple[str, ...],
    as_json: bool,
) -> None:
    """Clicks per second of the same job by stock Faust, Quix Streams, Kafka Streams and by hand.

    A window of 50 for each user with its changelog, and a message for every changed user, in one
    process each, run in turn. freshrec does more in that time: transitions, graph and ranking.
    """
    set_up_logging("warning")
    if not (_CHECKOUT / "benchmarks" / "peers").is_dir():
        raise Failure("The peers are in the repository: run this from a checkout.")
    if str(_CHECKOUT) not in sys.path:
        sys.path.insert(0, str(_CHECKOUT))
    job = importlib.import_module("benchmarks.peers.run")
    from streams.broker import KafkaUnavailable

    for name in peers:
        if name not in job.COMMANDS:
            raise click.UsageError(
                f"There is no peer {name!r}; there are {', '.join(job.COMMANDS)}."
            )
    chosen = [name for name in job.COMMANDS if not peers or name in peers or name == "freshrec"]
    with failures(KafkaUnavailable, RuntimeError):
        figures = job.run(
            job.PeersBench(
                clicks=max(clicks // 2, 1000) if short else clicks,
                users=users,
                rounds=1 if short else rounds,
                peers=chosen,
                stores=stores or job.STORES,
            ),
            lambda words: click.echo(words, err=True),
        )
    emit(figures, as_json=as_json)
