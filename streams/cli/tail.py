"""`freshrec tail`."""

from __future__ import annotations

import time

import click

from streams.cli.options import KAFKA, Failure, failures, settings_options
from streams.settings import Settings


@click.command()
@click.option("--user", help="Only this user's lists.")
@click.option("--from-beginning", is_flag=True, help="Start with the lists that stand already.")
@click.option("--max", "limit", type=click.IntRange(1), help="Stop after this many lists.")
@click.option(
    "--timeout", "timeout_seconds", type=click.FloatRange(0, min_open=True),
    help="Stop after this many seconds; exit code 1 if --max was not reached.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, as published.")
@settings_options(*KAFKA, "pseudonym_key_file")
def tail(
    settings: Settings,
    user: str | None,
    from_beginning: bool,
    limit: int | None,
    timeout_seconds: float | None,
    as_json: bool,
) -> None:
    """Show recommendations as they come out."""
    from streams.permissions import ensure_access
    from streams.tail import TailError, TopicReader, lines, recommendations

    user = None if user is None else settings.known_as(user)
    end = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    shown = 0
    with failures(TailError):
        ensure_access(settings, "subscriber")
        reader = TopicReader(settings, settings.recommendations, from_beginning=from_beginning)
        try:
            records = reader.read(lambda: end is not None and time.monotonic() >= end)
            for record, found in recommendations(records, user=user, limit=limit):
                if as_json:
                    value = record.value
                    click.echo(_erased(record.key) if value is None else value.decode())
                else:
                    click.echo("\n".join(lines(record.key, found)))
                shown += 1
        except KeyboardInterrupt:
            return
        finally:
            reader.close()
    if limit is not None and shown < limit:
        raise Failure(f"{shown} of {limit} lists came within {timeout_seconds:g} s.")


def _erased(user: str) -> str:
    import msgspec

    return msgspec.json.encode({"user_id": user, "erased": True}).decode()
