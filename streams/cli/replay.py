"""`freshrec replay`."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from streams.cli.options import KAFKA, PUBLISH, emit, failures, json_option, settings_options
from streams.settings import Settings

_PRESETS = ["clicks", "movielens", "ga4", "metarank", "ubi"]
_UNITS = ["auto", "seconds", "milliseconds", "microseconds", "minutes", "days"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--preset", type=click.Choice(_PRESETS), default="clicks", show_default=True,
    help="Kind of log.",
)  # fmt: skip
@click.option(
    "--map", "pairs", multiple=True, metavar="FIELD=COLUMN[,...]",
    help="Column of a click field, e.g. user_id=uid; dots reach nested columns.",
)  # fmt: skip
@click.option("--time-unit", type=click.Choice(_UNITS), help="Unit of numeric timestamps.")
@click.option("--speed", type=click.FloatRange(0, min_open=True), help="Times real speed.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Clicks a second.")
@click.option("--limit", type=click.IntRange(1), help="Publish at most this many clicks.")
@click.option(
    "--shift-to-now/--no-shift", default=True, show_default=True,
    help="Move event times by whole weeks so that the last is in the past week.",
)  # fmt: skip
@click.option(
    "--record-time", type=click.Choice(["auto", "now", "event"]), default="auto",
    show_default=True, help="Timestamp of the records; event: for logs longer than the window.",
)  # fmt: skip
@json_option
@settings_options(*KAFKA, *PUBLISH, "window_seconds")
def replay(
    settings: Settings,
    file: Path,
    preset: str,
    pairs: tuple[str, ...],
    time_unit: str | None,
    speed: float | None,
    rate: float | None,
    limit: int | None,
    shift_to_now: bool,
    record_time: str,
    as_json: bool,
) -> None:
    """Publish a click log (CSV, JSONL or Parquet, also .gz) in time order.

    Without --speed or --rate it goes as fast as the brokers take it.
    """
    if speed is not None and rate is not None:
        raise click.UsageError("Give --speed or --rate, not both.")
    from streams.click_logs import ClickLog, LogError
    from streams.columns import PRESETS, MappingError
    from streams.permissions import ensure_access
    from streams.replay import ReplayPlan
    from streams.replay import replay as run
    from streams.sender import KafkaSender, Pace, SendError, ensure_topic

    try:
        mapping = PRESETS[preset].with_columns([part for p in pairs for part in p.split(",")])
    except MappingError as error:
        raise click.UsageError(str(error)) from error
    if time_unit is not None:
        mapping = dataclasses.replace(mapping, time_unit=time_unit)  # type: ignore[arg-type]
    plan = ReplayPlan(
        shift_to_now=shift_to_now,
        record_time=record_time,  # type: ignore[arg-type]
        limit=limit,
        window_seconds=settings.window_seconds,
    )
    with failures(LogError, SendError), progress_bar(f"replay {file.name}") as progress:
        ensure_access(settings, "publisher")
        ensure_topic(settings, settings.clicks)
        report = run(
            ClickLog(file, mapping),
            KafkaSender(settings, settings.clicks),
            plan,
            Pace(rate=rate, speed=speed),
            now_ms=time.time_ns() // 1_000_000,
            progress=progress,
        )
    emit(report.as_dict(), as_json=as_json)


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error where that is a terminal; else nothing."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
