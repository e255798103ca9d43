"""`freshrec train`, `evaluate` and `export`: the model's life, with torch imported only here."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from streams.cli.options import (
    KAFKA,
    Failure,
    emit,
    json_option,
    set_up_logging,
    settings_options,
)
from streams.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])

_EXTRA = frozenset({"torch", "transformers", "onnx", "onnxscript", "safetensors", "tokenizers"})
_PROTOCOLS = ["leave-one-out", "temporal", "prequential", "cold-items"]
_FEATURES = ["event_type", "time_gap", "hour_of_week", "place"]


def reading_options(command: Command) -> Command:
    """How to read a log: shared by train, evaluate and export."""
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
        command = option(command)
    return command


def data_options(command: Command) -> Command:
    """The log and how to read it: shared by train and evaluate.

    DATA may be absent for click, so that train can say what stands in for it.
    """
    return click.argument("data", required=False)(reading_options(command))


@click.command()
@data_options
@click.option("--out", type=click.Path(path_type=Path), help="Directory of the artefact.")
@click.option("--check", is_flag=True,
              help="Look for faults of the data and stop: exit code 1 if one is bad.")  # fmt: skip
@click.option("--from-kafka", is_flag=True,
              help="Learn from all that is on the clicks topic now, instead of DATA.")  # fmt: skip
@click.option("--max-minutes", type=click.FloatRange(0, min_open=True), default=10.0,
              show_default=True, help="Bound of the fit.")  # fmt: skip
@click.option("--objective", type=click.Choice(["next", "masked+next"]), default="next",
              show_default=True,
              help="masked+next: a quarter of the time on masked items first.")  # fmt: skip
@click.option("--split", type=click.Choice(["leave-one-out", "temporal", "none"]),
              default="leave-one-out", show_default=True,
              help="What is held out for `evaluate`; none: learn from all.")  # fmt: skip
@click.option("--test-fraction", type=click.FloatRange(0, 1, min_open=True, max_open=True),
              default=0.2, show_default=True, help="Newest share held out (temporal).")  # fmt: skip
@click.option("--refit/--no-refit", default=False, show_default=True,
              help="Fit again with the validation events before export.")  # fmt: skip
@click.option("--features", help=f"Comma-separated, of {', '.join(_FEATURES)}; default: all usable")
@click.option("--dim", type=click.IntRange(8, 4096), default=64, show_default=True)
@click.option("--layers", type=click.IntRange(1, 48), default=2, show_default=True)
@click.option("--heads", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option("--max-length", type=click.IntRange(2, 512), default=50, show_default=True,
              help="Events that the encoder sees.")  # fmt: skip
@click.option("--dropout", type=click.FloatRange(0, 0.9), default=0.2, show_default=True)
@click.option("--batch-size", type=click.IntRange(1, 65_536), default=64, show_default=True)
@click.option("--learning-rate", type=click.FloatRange(0, 1, min_open=True), default=1e-3,
              show_default=True)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--name", default="bert", show_default=True, help="Name of the model.")
@click.option("--checkpoint", type=click.Path(path_type=Path),
              help="Also keep the torch weights here, for `export`.")  # fmt: skip
@click.option("--items", metavar="FILE", help="Titles and categories (CSV, JSONL, or a data set): "
              "items published later are then scored by their text.")  # fmt: skip
@click.option("--hold-out-items", type=click.FloatRange(0, 0.9), default=0.0, show_default=True,
              help="Share of items to leave out, for --protocol cold-items.")  # fmt: skip
@click.option("--resume", type=click.Path(path_type=Path),
              help="Keep the fit's state here; go on from it if it is there.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1), help="Threads of torch.")
@json_option
@settings_options(*KAFKA, "window_seconds")
def train(
    settings: Settings,
    data: str | None,
    out: Path | None,
    pairs: tuple[str, ...],
    time_unit: str | None,
    features: str | None,
    check: bool,
    from_kafka: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train an encoder on DATA and write the artefact that a worker serves.

    DATA is a click log (CSV, JSONL or Parquet, also .gz), order-only sequences (.tsv: user, tab,
    items), or the name of a data set such as movielens-100k. Test events are held out, never read.

    --check and what it finds need no torch. The settings of Kafka count only with --from-kafka.
    """
    if (data is None) is not from_kafka:
        raise click.UsageError("Give DATA or --from-kafka, one of the two.")
    if out is None and not check:
        raise click.UsageError("Missing option '--out'.")
    if settings.log_level == "info":
        set_up_logging("warning")  # at info the exporter tells of every step that it takes
    with model_failures():
        from streams.cli import training_data

        if not check:  # what is not installed is said before a long log is read
            from model.train import train as run
        if from_kafka:
            read = training_data.from_kafka(settings)
        else:
            read = training_data.from_file(
                str(data), columns=_columns(pairs), time_unit=time_unit, place_cell=_place_cell()
            )
        checked, found = training_data.findings_of(
            read, split=options["split"], min_item_events=options["min_item_events"]
        )
        if check or out is None:
            training_data.print_check(read, checked, found, as_json=as_json)
            return
        training_data.warn_of(found)
        report = run(
            read.log,
            out,
            data_name=read.name,
            features=None if features is None else [name.strip() for name in features.split(",")],
            progress=sys.stderr.isatty(),
            command=shlex.join(["freshrec", *sys.argv[1:]]),
            **options,
        )
    if read.left_out:
        report["left_out"] = read.left_out
    emit(report, as_json=as_json)


@click.command()
@data_options
@click.option("--model", type=click.Path(path_type=Path),
              help="Artefact directory; without, the baselines alone.")  # fmt: skip
@click.option("--protocol", type=click.Choice(_PROTOCOLS),
              default="leave-one-out", show_default=True)  # fmt: skip
@click.option("--items", metavar="FILE", help="Titles and categories (cold-items), as in train.")
@click.option("--test-fraction", type=click.FloatRange(0, 1, min_open=True, max_open=True),
              help="Newest share.  [default: 0.2 temporal, 0.5 prequential]")  # fmt: skip
@click.option("--window-events", type=click.IntRange(1, 10_000),
              help="Newest events of a user (prequential).  [default: as fitted for, or 200]",
              )  # fmt: skip
@click.option("--window-seconds", type=click.IntRange(60, 315_360_000),
              help="Oldest event of a user (prequential).  [default: as fitted for, or 30 days]",
              )  # fmt: skip
@click.option("--max-examples", type=click.IntRange(1), help="Evaluate a sample of this size.")
@click.option("--repeat-policy", type=click.Choice(["allow", "exclude"]), help="Whether lists may "
              "have items that the user had.  [default: as the artefact says, or as users do]",
              )  # fmt: skip
@click.option("--resamples", type=click.IntRange(100), default=1000, show_default=True,
              help="Draws of the bootstrap behind the intervals.")  # fmt: skip
@click.option("--noise", "shares", type=click.FloatRange(0, 1, max_open=True), multiple=True,
              help="Measure with this share of noise in the log; may be repeated.")  # fmt: skip
@click.option("--noise-kind", type=click.Choice(["clicks", "bots"]), default="clicks",
              show_default=True,
              help="Random clicks in the users' histories, or bots beside the users.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True,
              help="Of sample, bootstrap and noise.")  # fmt: skip
@click.option("--engine", type=click.Choice(["auto", "cpu", "cuda"]), default="cpu",
              show_default=True)  # fmt: skip
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@json_option
def evaluate(
    data: str | None,
    model: Path | None,
    pairs: tuple[str, ...],
    shares: tuple[float, ...],
    noise_kind: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure an artefact on DATA by ranking the full catalogue, beside its baselines.

    EASE and ItemKNN are among them if the extra `bench` is installed.

    cold-items: what it makes of items that were held out of its training, from their text.

    --noise: the same events are predicted from histories with noise, and without.

    prequential: every event of the newest share is predicted by a worker's own state and
    recommender, judged, and then learned; the encoder stays as it is.
    """
    if data is None:
        raise click.UsageError("Missing argument 'DATA'.")
    window = {name: options.pop(name) for name in ("window_events", "window_seconds")}
    if options["protocol"] == "prequential":
        if shares:
            raise click.UsageError("--noise does not go with --protocol prequential.")
        emit(_prequential(data, model, pairs, window | options), as_json=as_json)
        return
    if any(window.values()):
        raise click.UsageError("--window-events and --window-seconds need --protocol prequential.")
    options["test_fraction"] = options["test_fraction"] or 0.2
    if shares:
        with model_failures():
            report = _with_noise(data, model, shares, noise_kind, pairs, options)
        emit(report if as_json else _without_lesser_methods(report), as_json=as_json)
        return
    with model_failures():
        from model.evaluate import evaluate as run
        from streams.cli.evaluation_table import print_evaluation

        report = run(data, model, columns=_columns(pairs), place_cell=_place_cell(), **options)
    if as_json or "baselines" not in report:
        emit(report, as_json=as_json)
    else:
        print_evaluation(report)


def _prequential(
    data: str, model: Path | None, pairs: tuple[str, ...], options: dict[str, Any]
) -> dict[str, Any]:
    for name in ("protocol", "items", "resamples"):
        del options[name]
    with model_failures():
        from streams.cli.prequential import evaluate_prequential

        return evaluate_prequential(
            data,
            model,
            columns=_columns(pairs),
            place_cell=_place_cell(),
            progress=sys.stderr.isatty(),
            **options,
        )


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Directory of the artefact.")
@click.option("--variant", default="fp32", show_default=True,
              type=click.Choice(["fp32", "fp16", "int8-weights", "int8-dynamic", "int8-static"]),
              help="fp16 is for a GPU. All but fp32 need --data.")  # fmt: skip
@click.option("--layers", type=click.IntRange(1), help="Keep so many layers, those that matter.")
@click.option("--prune-layers", "prune", is_flag=True,
              help="Drop every layer that is not missed.")  # fmt: skip
@click.option("--data", metavar="DATA", help="What the encoder was trained on: a variant is "
              "measured on its validation events, as train held them out.")  # fmt: skip
@click.option("--compare", is_flag=True, help="Measure every variant and write none.")
@click.option("--force", is_flag=True, help="Write a variant even if it loses too much.")
@click.option("--top-k", type=click.IntRange(1, 10_000), help="Items that one inference returns.")
@click.option("--seed", type=int, default=0, show_default=True,
              help="Of the samples to measure and calibrate on.")  # fmt: skip
@reading_options
@json_option
def export(
    checkpoint: Path, out: Path | None, pairs: tuple[str, ...], as_json: bool, **options: Any
) -> None:
    """Export the torch weights of CHECKPOINT (`train --checkpoint`) to an artefact.

    A variant is smaller or faster than fp32. It is refused where it loses more than 1 % of NDCG@10
    on the validation events, or where a user's scores depend on who else is in the batch.
    """
    with model_failures():
        from model.compress import export as run

        report = run(checkpoint, out, columns=_columns(pairs), place_cell=_place_cell(), **options)
    if options["compare"] and not as_json:
        from streams.cli.variant_table import print_variants

        print_variants(report)
    else:
        emit(report, as_json=as_json)


def _with_noise(
    data: str,
    model: Path | None,
    shares: tuple[float, ...],
    kind: str,
    pairs: tuple[str, ...],
    options: dict[str, Any],
) -> dict[str, Any]:
    """The report of `model.robustness`."""
    from model.robustness import robustness

    if model is None:
        raise click.UsageError("--noise needs --model: it is about what an artefact makes of it.")
    del options["resamples"]
    for name in ("items", "repeat_policy"):
        if options.pop(name) is not None:
            raise click.UsageError(f"--{name.replace('_', '-')} does not go with --noise.")
    columns = _columns(pairs)
    return robustness(
        data, model, shares=shares, kind=kind, columns=columns, place_cell=_place_cell(), **options
    )


def _without_lesser_methods(report: dict[str, Any]) -> dict[str, Any]:
    """A report of `model.robustness` whose table fits on a screen."""
    rows = [
        {name: value for name, value in row.items() if not name.startswith(("own_", "popularity_"))}
        for row in report["shares"]
    ]
    return {**report, "shares": rows}


@contextmanager
def model_failures() -> Iterator[None]:
    """Faults of data, model and installation as one sentence and exit code 1."""
    try:
        yield
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        raise Failure(f"This needs {missing}: pip install 'freshrec[train]'.") from error
    except (ValueError, OSError) as error:
        raise Failure(str(error)) from error
    except RuntimeError as error:
        if type(error) is RuntimeError:
            raise  # not one of the model's own sentences
        raise Failure(str(error)) from error


def _columns(pairs: tuple[str, ...]) -> Mapping[str, str] | None:
    columns = {}
    for pair in (part for given in pairs for part in given.split(",")):
        name, sign, column = pair.partition("=")
        if not (name and sign and column):
            raise click.UsageError(f"{pair!r} is not of the form field=column.")
        columns[name.strip()] = column.strip()
    return columns or None


def _place_cell() -> Callable[[float, float], int]:
    from streams.events import place_cell

    return place_cell
