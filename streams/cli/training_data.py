"""What `freshrec train` learns from: read from a file or from Kafka, and checked."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from streams.cli.options import Failure, emit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model.checks import Finding
    from model.data import Sequences
    from streams.cli.log_options import Reading
    from streams.settings import Settings


class TrainingData(NamedTuple):
    """A log, what to call it, and the counts of what was left out of it where it was streamed."""

    log: Sequences
    name: str
    left_out: dict[str, int]


def from_kafka(settings: Settings, reading: Reading) -> TrainingData:
    """Everything on the clicks topic now. Raises `TrainingLogError`."""
    from model.data import at_least, coded_sequences
    from streams.cli.replay import progress_bar
    from streams.permissions import ensure_access
    from streams.training_log import read_training_log

    ensure_access(settings, "trainer")
    with progress_bar(f"read {settings.clicks}") as progress:
        read = read_training_log(settings, progress=progress)
    log = coded_sequences(read.users, read.items, read.event_types, read.table)
    log = at_least(log, item_events=reading.min_item_events)
    return TrainingData(log, settings.clicks, read.counts)


def from_file(data: str, reading: Reading) -> TrainingData:
    """A log file or a named data set. Raises `DataError`."""
    return TrainingData(reading.log(data), Path(data).name, {})


def findings_of(
    data: TrainingData,
    *,
    split: str,
    test_fraction: float,
    validation_fraction: float,
    data_share: float,
) -> list[Finding]:
    """Every check of a log that is to be split so, of which this share is learned from."""
    from model.checks import findings

    now_ms = time.time_ns() // 1_000_000
    return findings(
        data.log,
        now_ms=now_ms,
        split=split,
        test_fraction=test_fraction,
        validation_fraction=validation_fraction,
        data_share=data_share,
    )


def print_check(data: TrainingData, found: Sequence[Finding], *, as_json: bool) -> None:
    """Print the checks; `Failure`, exit code 1, if one of them is an error."""
    errors = [finding.name for finding in found if finding.severity == "error"]
    log = data.log
    head: dict[str, Any] = {
        "data": data.name,
        "events": log.events,
        "users": len(log.users),
        "items": len(log.items),
        **({"left_out": data.left_out} if data.left_out else {}),
    }
    if as_json:
        emit({**head, "errors": errors, "findings": [f._asdict() for f in found]}, as_json=True)
    else:
        emit(head, as_json=False)
        click.echo()
        # Advice is longer than a table is wide: it follows below, where there is any to follow.
        rows = [
            {
                "check": finding.name,
                "severity": finding.severity,
                "count": finding.count,
                "share": f"{finding.share:.2%}",
                "detail": finding.detail,
            }
            for finding in found
        ]
        emit(rows, as_json=False)
        advised = [finding for finding in found if finding.severity != "info"]
        if advised:
            click.echo()
        for finding in advised:
            click.echo(f"{finding.name}: {finding.advice}")
    if errors:
        raise Failure(f"The log is not fit to train on: {', '.join(errors)}.")


def warn_of(found: Sequence[Finding]) -> None:
    """One line on standard error for whatever is not in order; training goes on."""
    for finding in found:
        if finding.severity != "info":
            click.echo(
                f"{finding.severity}: {finding.name}: {finding.count} ({finding.share:.1%})"
                f" {finding.detail}; {finding.advice}",
                err=True,
            )
