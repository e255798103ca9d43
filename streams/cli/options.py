"""What commands share: settings as options, output, errors and logging."""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from streams.access_faults import AccessError
from streams.setting_fields import SettingField
from streams.setting_sources import load_settings
from streams.settings import ENVIRONMENT_PREFIX, FIELDS, Settings, SettingsError

Command = TypeVar("Command", bound=Callable[..., Any])

KAFKA = (
    "bootstrap", "topic_prefix", "clicks_topic", "items_topic", "recommendations_topic",
    "security_protocol", "sasl_mechanism", "sasl_username", "sasl_password_file",
    "sasl_token_file", "ssl_ca_file", "ssl_certificate_file", "ssl_key_file",
    "ssl_key_password_file",
    "request_timeout_seconds", "broker_deadline_seconds", "log_level",
)  # fmt: skip
PUBLISH = ("partitions", "replication_factor", "producer_partitioner")
ALL = tuple(field.name for field in FIELDS)


_SECRETS = (
    "Secrets are never flags, which all users of a machine can see: they come from the environment"
    " (" + ", ".join(ENVIRONMENT_PREFIX + field.name.upper() for field in FIELDS if field.secret)
    + "), from the files that --sasl-password-file and its like name, or from this file."
)  # fmt: skip


class Failure(click.ClickException):
    """The command failed, exit code 1; the message is for the person who ran it."""

    exit_code = 1


def settings_options(*names: str) -> Callable[[Command], Command]:
    """Give a command the flags of these settings, `--config`, and a `settings` argument."""
    fields = [field for field in FIELDS if field.name in names and field.flag is not None]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_settings(*args: Any, config: Path | None, **values: Any) -> Any:
            flags = {field.name: values.pop(field.name) for field in fields}
            return command(*args, settings=read_settings(flags, config), **values)

        wrapped: Any = with_settings
        for field in reversed(fields):
            wrapped = _option(field)(wrapped)
        config = click.option(
            "--config",
            type=click.Path(path_type=Path, dir_okay=False),
            envvar=ENVIRONMENT_PREFIX + "CONFIG",
            help=f"TOML file with settings. {_SECRETS}",
        )
        done: Command = config(wrapped)
        return done

    return decorate


def read_settings(
    flags: Mapping[str, object], config: Path | None, environment: Mapping[str, str] = os.environ
) -> Settings:
    """Settings from flags, environment and a file; logging is set up from them."""
    try:
        settings = load_settings(flags, environment, config)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    set_up_logging(settings.log_level)
    return settings


def set_up_logging(level: str) -> None:
    """Log to standard error; libraries below warnings stay quiet."""
    logging.basicConfig(
        stream=sys.stderr,
        level=level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    # Every attempt at a broker that is away is an error to it; what counts is raised as well.
    quiet = logging.DEBUG if level == "debug" else logging.CRITICAL
    logging.getLogger("librdkafka").setLevel(quiet)


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object on standard output."
)


def emit(document: Any, *, as_json: bool) -> None:
    """Print a result: one line of JSON, or for people."""
    if as_json:
        click.echo(msgspec.json.encode(document).decode())
    else:
        click.echo("\n".join(_readable(msgspec.to_builtins(document), "")))


@contextmanager
def failures(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of these kinds, whose messages are sentences, into exit code 1; so are those of
    brokers that do not let a client in.
    """
    expected: tuple[type[Exception], ...] = (*kinds, AccessError)
    try:
        yield
    except expected as error:
        raise Failure(str(error)) from error


def _option(field: SettingField) -> Callable[[Command], Command]:
    shown = "off" if field.default is False else "on" if field.default is True else field.default
    words = field.help[0].upper() + field.help[1:]
    if field.choices:
        words += f" ({', '.join(field.choices)})"
    default = "" if field.default in (None, "") else f" [default: {shown}]"
    names = [field.flag or "", field.name]
    if field.kind == "switch":
        names[0] = f"{field.flag}/--no-{(field.flag or '')[2:]}"
        return click.option(*names, default=None, help=f"{words}.{default}")
    metavar = {"integer": "N", "number": "X", "path": "PATH"}.get(field.kind, "TEXT")
    return click.option(*names, default=None, metavar=metavar, help=f"{words}.{default}")


def _readable(document: Any, indent: str) -> Iterator[str]:
    """Lines for people: names and values, rows of one shape as a table."""
    if isinstance(document, Mapping):
        width = max((len(str(key)) for key in document), default=0)
        for key, value in document.items():
            if isinstance(value, Mapping | list) and value:
                yield f"{indent}{key}:"
                yield from _readable(value, indent + "  ")
            else:
                yield f"{indent}{key!s:<{width}}  {_cell(value)}"
    elif isinstance(document, list) and document and isinstance(document[0], Mapping):
        yield from _table(document, indent)
    elif isinstance(document, list):
        yield from (f"{indent}{_cell(value)}" for value in document)
    else:
        yield f"{indent}{_cell(document)}"


def _table(rows: list[Any], indent: str) -> Iterator[str]:
    names = list(rows[0])
    cells = [names] + [[_cell(row.get(name)) for name in names] for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    for line in cells:
        padded = "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        yield (indent + padded).rstrip()


def _cell(value: Any) -> str:
    if value is None or value in ([], {}):
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)
