"""`freshrec erase`."""

from __future__ import annotations

import dataclasses

import click

from streams.cli.options import KAFKA, PUBLISH, emit, failures, json_option, settings_options
from streams.settings import Settings


@click.command()
@click.argument("user")
@click.option(
    "--timeout", "timeout_seconds", type=click.FloatRange(0, min_open=True), default=30.0,
    show_default=True, help="Longest wait for the receipt, seconds.",
)  # fmt: skip
@click.option(
    "--partition", type=click.IntRange(0),
    help="Partition of the user's clicks, for producers with a partitioner of their own.",
)  # fmt: skip
@json_option
@settings_options(*KAFKA, *PUBLISH, "pseudonym_key_file")
def erase(
    settings: Settings, user: str, timeout_seconds: float, partition: int | None, as_json: bool
) -> None:
    """Erase USER: window and list go, and a worker's receipt is waited for.

    The request goes to the partition of the user's own clicks: say --producer-partitioner crc32
    where these come from librdkafka clients.
    """
    if not user:
        raise click.UsageError("USER is empty.")
    from streams.erase import EraseError
    from streams.erase import erase as run
    from streams.permissions import ensure_access
    from streams.sender import SendError
    from streams.tail import TailError

    with failures(EraseError, SendError, TailError):
        ensure_access(settings, "eraser")
        report = run(settings, user, timeout_seconds=timeout_seconds, partition=partition)
    emit(dataclasses.asdict(report), as_json=as_json)
