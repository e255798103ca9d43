"""`freshrec models`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from streams.cli.options import emit, failures, json_option

directory_argument = click.argument("directory", type=click.Path(path_type=Path))


@click.group()
def models() -> None:
    """List, promote and roll back artefacts.

    DIRECTORY holds one artefact directory for each version. A worker started with
    --model DIRECTORY/current takes a promoted version up by itself.
    """


@models.command(name="list")
@directory_argument
@json_option
def list_(directory: Path, as_json: bool) -> None:
    """The artefacts of DIRECTORY, and which of them serves."""
    from streams.promotion import PromotionError, list_models

    with failures(PromotionError):
        found = list_models(directory)
    if as_json:
        emit({"models": found}, as_json=True)
    elif found:
        emit(found, as_json=False)
    else:
        click.echo(f"No artefact is in {directory}.", err=True)


@models.command()
@directory_argument
@click.argument("version")
@json_option
def promote(directory: Path, version: str, as_json: bool) -> None:
    """Let VERSION (a directory of DIRECTORY) serve, if every check of it passes."""
    from streams.promotion import PromotionError
    from streams.promotion import promote as run

    with failures(PromotionError):
        done = run(directory, version, _now())
    emit(done, as_json=as_json)


@models.command()
@directory_argument
@json_option
def rollback(directory: Path, as_json: bool) -> None:
    """Let the version serve again that served before."""
    from streams.promotion import PromotionError
    from streams.promotion import rollback as run

    with failures(PromotionError):
        done = run(directory, _now())
    emit(done, as_json=as_json)


def _now() -> str:
    from streams.events import iso_utc

    return iso_utc(time.time_ns() // 1_000_000)
