"""What commands that read a click log share: how to read it, and faults as one sentence."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from streams.cli.options import Failure

if TYPE_CHECKING:
    from model.data import Sequences

Command = TypeVar("Command", bound=Callable[..., Any])

# Package of an optional part -> the extra that brings it.
_EXTRAS = {
    **dict.fromkeys(
        ("matplotlib", "onnx", "onnxscript", "safetensors", "tokenizers", "torch", "transformers"),
        "train",
    ),
    "optuna": "search",
    "tensorboard": "tensorboard",
}


class Reading(NamedTuple):
    """How a log is read, as the options of `reading_options` say."""

    columns: dict[str, str]
    time_unit: str | None
    min_item_events: int

    def log(self, data: str) -> Sequences:
        """A log file or a named data set; raises `DataError` or `DatasetError`."""
        from model.datasets import read_data
        from streams.events import place_cell

        return read_data(
            data,
            columns=self.columns or None,
            time_unit=self.time_unit,
            place_cell=place_cell,
            min_item_events=self.min_item_events,
        )


def reading_options(command: Command) -> Command:
    """Give a command the options of how to read a log, and a `reading` argument."""

    @functools.wraps(command)
    def with_reading(
        *args: Any,
        pairs: tuple[str, ...],
        time_unit: str | None,
        min_item_events: int,
        **options: Any,
    ) -> Any:
        reading = Reading(_columns(pairs), time_unit, min_item_events)
        return command(*args, reading=reading, **options)

    wrapped: Any = with_reading
    for option in (
        click.option(
            "--min-item-events", type=click.IntRange(1), default=1, show_default=True,
            help="Leave items with fewer events out.",
        ),
        click.option(
            "--time-unit", type=click.Choice(["ms", "s", "min", "h", "day"]),
            help="Unit of numeric timestamps.  [default: seconds or ms, by size]",
        ),
        click.option(
            "--map", "pairs", multiple=True, metavar="FIELD=COLUMN[,...]",
            help="Column of user_id, item_id, timestamp, event_type, latitude or longitude.",
        ),
    ):  # fmt: skip
        wrapped = option(wrapped)
    done: Command = wrapped
    return done


@contextmanager
def model_failures() -> Iterator[None]:
    """Faults of data, model and installation as one sentence and exit code 1."""
    try:
        yield
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRAS:
            raise
        extra = _EXTRAS[missing]
        raise Failure(f"This needs {missing}: pip install 'freshrec[{extra}]'.") from error
    except (ValueError, OSError) as error:
        raise Failure(str(error)) from error
    except RuntimeError as error:
        if type(error) is RuntimeError:
            raise  # not one of the model's own sentences
        raise Failure(str(error)) from error


def _columns(pairs: tuple[str, ...]) -> dict[str, str]:
    columns = {}
    for pair in (part for given in pairs for part in given.split(",")):
        name, sign, column = pair.partition("=")
        if not (name and sign and column):
            raise click.UsageError(f"{pair!r} is not of the form field=column.")
        columns[name.strip()] = column.strip()
    return columns
