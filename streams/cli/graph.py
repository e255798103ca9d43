"""`freshrec graph`: look-ups of a running worker."""

from __future__ import annotations

import importlib
import os
import urllib.error
import urllib.request
from pathlib import Path
from types import ModuleType
from typing import TypeVar
from urllib.parse import quote

import click
import msgspec

from streams.api import Ego, EvolutionAnswer, Trending
from streams.cli.graph_rows import evolution_rows, trending_rows
from streams.cli.options import Failure, emit, json_option
from streams.query import SESSION_GAP, TRENDING_LIMIT
from streams.setting_sources import load_settings
from streams.settings import SettingsError

_TIMEOUT_SECONDS = 30.0

Answer = TypeVar("Answer")

png_option = click.option(
    "--png", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Draw it into this file.",
)  # fmt: skip
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
@png_option
@worker_option
@json_option
def ego(user: str, png: Path | None, worker_url: str, as_json: bool) -> None:
    """USER's window and the graph around it."""
    pictures = _pictures(png)
    found = _look_up(worker_url, f"/graph/ego/{quote(user, safe='')}")
    if pictures is not None and png is not None:
        _write(png, pictures.ego_png(_read(found, Ego)))
    emit(found, as_json=as_json)


@graph.command()
@click.option(
    "--limit", type=click.IntRange(TRENDING_LIMIT.minimum, TRENDING_LIMIT.maximum),
    default=TRENDING_LIMIT.default, show_default=True, help=TRENDING_LIMIT.words,
)  # fmt: skip
@worker_option
@json_option
def trending(limit: int, worker_url: str, as_json: bool) -> None:
    """Items that exceed their usual rate, the furthest first."""
    found = _look_up(worker_url, f"/trending?limit={limit}")
    if as_json:
        emit(found, as_json=True)
    else:
        emit(trending_rows(_read(found, Trending)), as_json=False)


@graph.command()
@click.argument("user")
@click.option(
    "--gap-seconds", type=click.IntRange(SESSION_GAP.minimum, SESSION_GAP.maximum),
    default=SESSION_GAP.default, show_default=True, help=SESSION_GAP.words,
)  # fmt: skip
@png_option
@worker_option
@json_option
def evolution(
    user: str, gap_seconds: int, png: Path | None, worker_url: str, as_json: bool
) -> None:
    """How USER's behaviour evolved: sessions, drift from one to the next, interest now and before.

    Two short sessions of one taste differ as well, so the distance of two sessions stands beside
    the one that chance gives.
    """
    pictures = _pictures(png)
    path = f"/evolution/{quote(user, safe='')}?gap_seconds={gap_seconds}"
    found = _look_up(worker_url, path)
    answer = _read(found, EvolutionAnswer)
    if pictures is not None and png is not None:
        _write(png, pictures.evolution_png(answer))
    emit(found if as_json else evolution_rows(answer), as_json=as_json)


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
    _write(out, body)


def _pictures(png: Path | None) -> ModuleType | None:
    """What draws, where something is to be drawn. Raises Failure without matplotlib."""
    if png is None:
        return None
    try:
        return importlib.import_module("streams.cli.graph_pictures")
    except ImportError as error:
        raise Failure("--png needs matplotlib: pip install 'freshrec[train]'.") from error


def _write(path: Path, body: bytes) -> None:
    try:
        path.write_bytes(body)
    except OSError as error:
        raise Failure(f"Cannot write {path}: {error.strerror}.") from error
    click.echo(f"wrote {len(body)} bytes to {path}", err=True)


def _read(found: object, kind: type[Answer]) -> Answer:
    """An answer as its struct. Raises Failure where the worker is of another version."""
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        raise Failure(
            f"The worker's answer is not understood ({error}): use the freshrec of its version."
        ) from error


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
