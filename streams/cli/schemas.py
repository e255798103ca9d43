"""`freshrec schemas`."""

from __future__ import annotations

from pathlib import Path

import click

from streams.cli.options import Failure, emit

_DIRECTORY = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.option("--check", "check_in", type=_DIRECTORY, help="Exit 1 if files here are not fresh.")
@click.option("--write", "write_to", type=_DIRECTORY, help="Write or refresh the files here.")
def schemas(check_in: Path | None, write_to: Path | None) -> None:
    """Print the JSON Schemas of the messages and the OpenAPI document of the worker's HTTP server,
    as one JSON object.
    """
    from streams import schemas as generated

    if write_to is not None:
        for path in generated.write(write_to):
            click.echo(f"wrote {path}", err=True)
    if check_in is not None:
        old = generated.stale(check_in)
        if old:
            names = ", ".join(str(path) for path in old)
            raise Failure(f"Not fresh: {names}; run freshrec schemas --write {check_in}.")
    if write_to is None and check_in is None:
        emit(generated.documents(), as_json=True)
