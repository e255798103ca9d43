"""`freshrec worker`."""

from __future__ import annotations

import sys

import click

from streams.cli.options import ALL, settings_options
from streams.settings import Settings


@click.command()
@settings_options(*ALL)
def worker(settings: Settings) -> None:
    """Run the streaming worker until SIGTERM or SIGINT.

    Secrets (FRESHREC_SASL_PASSWORD, FRESHREC_LOOKUP_TOKEN) come from the environment or the TOML
    file only, and so do event types: [event_types.NAME] with weight, half_life_seconds, polarity.
    """
    from streams.app import run_worker

    sys.exit(run_worker(settings))
