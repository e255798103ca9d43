"""`freshrec check`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from streams.cli.options import ALL, emit, json_option, settings_options
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.access import Role
    from streams.findings import Finding

# As in streams.access, which the help is not to wait for.
_ROLES = ["worker", "publisher", "catalogue", "subscriber", "eraser", "trainer"]


@click.command()
@click.option(
    "--role", type=click.Choice(_ROLES), default="worker", show_default=True,
    help="Whose topics and rights to look at; of a worker, machine and model too.",
)  # fmt: skip
@click.option("--gpu", is_flag=True, help="Look at the GPU alone, and demand one that works.")
@json_option
@settings_options(*ALL)
def check(settings: Settings, role: Role, gpu: bool, as_json: bool) -> None:
    """Check brokers, topics, rights, clock, disk, memory, open files, model and engine.

    Says what to do about each fault; exit code 1 if there is one. It changes nothing.
    """
    findings = _gpu_findings() if gpu else _findings(settings, role)
    failed = any(finding.level == "fault" for finding in findings)
    if as_json:
        emit({"ok": not failed, "findings": findings}, as_json=True)
    else:
        for finding in findings:
            click.echo(f"{finding.level:<5}  {finding.check:<13} {finding.words}")
            if finding.advice:
                click.echo(f"{'':<21}{finding.advice}")
    sys.exit(1 if failed else 0)


def _findings(settings: Settings, role: Role) -> list[Finding]:
    from streams.checks import run_checks

    return list(run_checks(settings, role))


def _gpu_findings() -> list[Finding]:
    from model.gpu_check import gpu_parts
    from streams.findings import Finding

    return [
        Finding(f"gpu {part.name}", "ok" if part.is_there else "fault", part.words, part.advice)
        for part in gpu_parts()
    ]
