"""`freshrec check`."""

from __future__ import annotations

import sys

import click

from streams.cli.options import ALL, emit, json_option, settings_options
from streams.settings import Settings


@click.command()
@json_option
@settings_options(*ALL)
def check(settings: Settings, as_json: bool) -> None:
    """Check settings, brokers, topics, state directory, model and engine.

    Says what to do about each fault; exit code 1 if there is one. It changes nothing.
    """
    from streams.checks import run_checks

    findings = list(run_checks(settings))
    failed = any(finding.level == "fault" for finding in findings)
    if as_json:
        emit({"ok": not failed, "findings": findings}, as_json=True)
    else:
        for finding in findings:
            click.echo(f"{finding.level:<5}  {finding.check:<12} {finding.words}")
            if finding.advice:
                click.echo(f"{'':<20}{finding.advice}")
    sys.exit(1 if failed else 0)
