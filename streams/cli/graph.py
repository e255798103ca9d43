"""`freshrec graph`: look-ups of a running worker."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote

import click
import msgspec

from streams.cli.options import Failure, emit, json_option
from streams.setting_sources import load_settings
from streams.settings import SettingsError

_TIMEOUT_SECONDS = 30.0

worker_option = click.option(
    "--worker", "worker_url", default="http://127.0.0.1:9464", show_default=True,
    envvar="FRESHREC_WORKER", metavar="URL", help="Address of a worker's HTTP server.",
)  # fmt: skip


@click.group()
def graph() -> None:
    """Look at a running worker's graph.

    Needs the worker's look-up token, in FRESHREC_LOOKUP_TOKEN or in the file that
    FRESHREC_LOOKUP_TOKEN_FILE names; a worker without one answers no look-ups.
    """


@graph.command()
@click.argument("item")
@worker_option
@json_option
def show(item: str, worker_url: str, as_json: bool) -> None:
    """Neighbours, popularity and catalogue entry of ITEM."""
    emit(_look_up(worker_url, f"/graph/item/{quote(item, safe='')}"), as_json=as_json)


@graph.command()
@click.argument("user")
@worker_option
@json_option
def ego(user: str, worker_url: str, as_json: bool) -> None:
    """USER's window and the graph around it."""
    emit(_look_up(worker_url, f"/graph/ego/{quote(user, safe='')}"), as_json=as_json)


@graph.command()
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="File; else standard output."
)
@click.option("--format", "kind", type=click.Choice(["graphml"]), default="graphml")
@worker_option
def export(out: Path | None, kind: str, worker_url: str) -> None:
    """The whole graph as GraphML, for NetworkX, Gephi and others."""
    body = fetch(worker_url, f"/graph/export?format={kind}")
    if out is None:
        click.get_binary_stream("stdout").write(body)
        return
    try:
        out.write_bytes(body)
    except OSError as error:
        raise Failure(f"Cannot write {out}: {error.strerror}.") from error
    click.echo(f"wrote {len(body)} bytes to {out}", err=True)


def _look_up(worker_url: str, path: str) -> object:
    return msgspec.json.decode(fetch(worker_url, path))


def _lookup_token() -> str | None:
    try:
        return load_settings({}, os.environ).secret("lookup_token")
    except SettingsError as error:
        raise click.UsageError(str(error)) from error


def fetch(worker_url: str, path: str) -> bytes:
    """The body of a look-up. Raises `Failure` with the worker's own words where it refuses."""
    if not worker_url.startswith(("http://", "https://")):
        raise click.UsageError(
            f"--worker is a URL such as http://127.0.0.1:9464, not {worker_url}."
        )
    headers = {}
    if token := _lookup_token():
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(worker_url.rstrip("/") + path, headers=headers)  # noqa: S310
    # A worker on loopback is never behind a proxy, and a look-up must not be sent through one.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
            body: bytes = response.read()
            return body
    except urllib.error.HTTPError as error:
        raise Failure(_words_of(error)) from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise Failure(
            f"No worker answers at {worker_url} ({reason}): start one (freshrec worker) or say"
            " --worker URL."
        ) from error


def _words_of(error: urllib.error.HTTPError) -> str:
    try:
        words = msgspec.json.decode(error.read(65_536), type=dict[str, str])["error"]
    except (msgspec.DecodeError, KeyError, OSError):
        words = f"The worker answered {error.code} {error.reason}."
    return words
