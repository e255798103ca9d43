"""The command line: `freshrec COMMAND`. Commands are imported when they run, so help is quick."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

# Name -> (module of the command, what it does). The texts stand here so that `freshrec --help`
# imports none of the modules.
_COMMANDS = {
    "demo": ("streams.cli.demo", "See it work: broker, real clicks, worker, live lists."),
    "worker": ("streams.cli.worker", "Run the streaming worker."),
    "broker": ("streams.cli.broker", "Run a development broker in the foreground."),
    "replay": ("streams.cli.replay", "Publish a click log to Kafka."),
    "simulate": ("streams.cli.simulate", "Publish an endless synthetic click stream."),
    "tail": ("streams.cli.tail", "Show recommendations as they come out."),
    "train": ("streams.cli.train", "Train an encoder and write its artefact."),
    "evaluate": ("streams.cli.evaluate", "Measure an artefact by full ranking."),
    "export": ("streams.cli.export", "Export a trained encoder to ONNX."),
    "models": ("streams.cli.models", "List, promote and roll back artefacts."),
    "graph": ("streams.cli.graph", "Look at a running worker's graph."),
    "erase": ("streams.cli.erase", "Erase a user and wait for the receipt."),
    "check": ("streams.cli.check", "Check settings, brokers, topics, model and engine."),
    "bench": ("streams.cli.bench", "Reproducible figures."),
    "schemas": ("streams.cli.schemas", "Print or refresh the JSON Schemas."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """The commands in the order of a reader's first day."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command's module; the command is its attribute of the same name."""
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The table of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in _COMMANDS.items()])


def _show_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        words = version("freshrec")
    except PackageNotFoundError:
        words = "unknown (not installed)"
    click.echo(f"freshrec {words}")
    ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, callback=_show_version, expose_value=False, is_eager=True,
    help="Show the version and exit.",
)  # fmt: skip
def freshrec() -> None:
    """Recommendations that are fresh after every click.

    Data goes to standard output, logs and progress to standard error. Settings come from flags,
    FRESHREC_* environment variables and a TOML file (--config), in this order. Exit codes: 0 ok,
    1 failed, 2 wrong use.
    """


def main(args: list[str] | None = None) -> Any:
    """Entry point of the `freshrec` executable."""
    return freshrec.main(args=args if args is not None else sys.argv[1:], prog_name="freshrec")
