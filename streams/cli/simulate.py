"""`freshrec simulate`."""

from __future__ import annotations

import time

import click

from streams.cli.options import KAFKA, PUBLISH, emit, failures, json_option, settings_options
from streams.settings import Settings


@click.command()
@click.option("--rate", type=click.FloatRange(0.1), default=1000.0, show_default=True,
              help="Clicks a second on average.")  # fmt: skip
@click.option("--users", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--items", type=click.IntRange(1), default=5_000, show_default=True)
@click.option("--topics", type=click.IntRange(1), default=25, show_default=True,
              help="Groups of items that sessions stay in.")  # fmt: skip
@click.option("--drift-seconds", type=click.FloatRange(1), default=3600.0, show_default=True,
              help="How often tastes and sequences change.")  # fmt: skip
@click.option("--trend-seconds", type=click.FloatRange(1), default=600.0, show_default=True,
              help="How often another item becomes a trend.")  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Stop after this long.")
@click.option("--clicks", type=click.IntRange(1), help="Stop after this many clicks.")
@json_option
@settings_options(*KAFKA, *PUBLISH)
def simulate(
    settings: Settings,
    rate: float,
    users: int,
    items: int,
    topics: int,
    drift_seconds: float,
    trend_seconds: float,
    seed: int,
    seconds: float | None,
    clicks: int | None,
    as_json: bool,
) -> None:
    """Publish a synthetic click stream with sessions, drift and trends, until stopped (Ctrl-C)."""
    from streams.click_message import encode_click, message_of
    from streams.permissions import ensure_access
    from streams.sender import KafkaSender, Pace, SendError, ensure_topic
    from streams.simulate import Simulation, SimulationConfig

    try:
        config = SimulationConfig(
            users=users,
            items=items,
            topics=topics,
            clicks_per_second=rate,
            drift_seconds=drift_seconds,
            trend_seconds=trend_seconds,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    start_ms = time.time_ns() // 1_000_000
    start = time.monotonic()
    with failures(SendError):
        ensure_access(settings, "publisher")
        ensure_topic(settings, settings.clicks)
        sender = KafkaSender(settings, settings.clicks)
        pace = Pace(speed=1.0)
        try:
            for sent, clicked in enumerate(Simulation(config, seed, start_ms).clicks()):
                elapsed = (clicked.timestamp_ms - start_ms) / 1000
                if sent == clicks or (seconds is not None and elapsed >= seconds):
                    break
                pace.wait(clicked.timestamp_ms)
                message = message_of(clicked, clicked.timestamp_ms)
                sender.send(clicked.user_id.encode(), encode_click(message))
        except KeyboardInterrupt:
            click.echo("stopping", err=True)
        published = sender.finish()
    took = max(time.monotonic() - start, 1e-9)
    emit(
        {
            "clicks": published,
            "seconds": round(took, 3),
            "clicks_per_second": round(published / took, 1),
            "seed": seed,
        },
        as_json=as_json,
    )
