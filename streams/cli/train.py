"""`freshrec train`: a log becomes an artefact; torch is imported only when it is needed."""

from __future__ import annotations

import importlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.cli.log_options import Reading, model_failures, reading_options
from streams.cli.options import KAFKA, emit, json_option, set_up_logging, settings_options
from streams.settings import Settings

if TYPE_CHECKING:
    from model.augment import Augmentation

_FEATURES = ["event_type", "time_gap", "hour_of_week", "place", "distance"]


@click.command()
@click.argument("data", required=False)
@reading_options
@click.option("--out", type=click.Path(path_type=Path), help="Directory of the artefact.")
@click.option("--check", is_flag=True,
              help="Look for faults of the data and stop: exit code 1 if one is bad.")  # fmt: skip
@click.option("--from-kafka", is_flag=True,
              help="Learn from all that is on the clicks topic now, instead of DATA.")  # fmt: skip
@click.option("--max-minutes", type=click.FloatRange(0, min_open=True), default=10.0,
              show_default=True, help="Bound of the fit.")  # fmt: skip
@click.option("--max-steps", type=click.IntRange(1), default=1_000_000, show_default="none",
              help="Bound of the fit that is the same on every machine.")  # fmt: skip
@click.option("--objective", type=click.Choice(["next", "masked", "masked+next"]), default="next",
              show_default=True,
              help="masked+next: a quarter of the time on masked items first.")  # fmt: skip
@click.option("--split", type=click.Choice(["leave-one-out", "temporal", "none"]),
              default="leave-one-out", show_default=True,
              help="What is held out for `evaluate`; none: learn from all.")  # fmt: skip
@click.option("--test-fraction", type=click.FloatRange(0, 1, min_open=True, max_open=True),
              default=0.2, show_default=True, help="Newest share held out (temporal).")  # fmt: skip
@click.option("--validation-fraction", type=click.FloatRange(0, 1, min_open=True, max_open=True),
              default=0.1, show_default=True,
              help="Share before that to choose by (temporal).")  # fmt: skip
@click.option("--predecessors", "offered_predecessors", type=click.IntRange(1, 100),
              default=(5,), multiple=True, show_default=True,
              help="Preceding items that the worker will link a click with; of several, the one "
              "with which validation is best.")  # fmt: skip
@click.option("--refit/--no-refit", default=False, show_default=True,
              help="Fit again with the validation events before export.")  # fmt: skip
@click.option(
    "--features",
    help=f"Comma-separated, of {', '.join(_FEATURES)}, or '' for none; default: all usable "
    "but distance",
)
@click.option("--dim", type=click.IntRange(8, 4096), show_default="64")
@click.option("--layers", type=click.IntRange(1, 48), show_default="2")
@click.option("--heads", type=click.IntRange(1, 64), show_default="2")
@click.option("--max-length", type=click.IntRange(2, 512), show_default="50",
              help="Events that the encoder sees.")  # fmt: skip
@click.option("--dropout", type=click.FloatRange(0, 0.9), default=0.2, show_default=True)
@click.option("--batch-size", type=click.IntRange(1, 65_536), default=64, show_default=True)
@click.option("--learning-rate", type=click.FloatRange(0, 1, min_open=True), default=1e-3,
              show_default=True)  # fmt: skip
@click.option("--augment", metavar="crop=P,mask=P,reorder=P",
              help="Change training windows at random: cut a part out, hide events, shuffle a few; "
              "each with its probability.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--name", default="bert", show_default=True, help="Name of the model.")
@click.option("--checkpoint", type=click.Path(path_type=Path),
              help="Also keep the torch weights here, for `export`.")  # fmt: skip
@click.option("--items", metavar="FILE", help="Titles and categories (CSV, JSONL, or a data set): "
              "items published later are then scored by their text.")  # fmt: skip
@click.option("--hold-out-items", type=click.FloatRange(0, 0.9), default=0.0, show_default=True,
              help="Share of items to leave out, for --protocol cold-items.")  # fmt: skip
@click.option("--search", "trials", type=click.IntRange(1), metavar="N",
              help="Find settings in N trials by validation NDCG@10, each of at most "
              "--max-minutes; what is given as an option is not searched.")  # fmt: skip
@click.option("--resume", type=click.Path(path_type=Path),
              help="Keep the state of fit or search here; go on from it if it is there.",
              )  # fmt: skip
@click.option("--tensorboard", metavar="DIR", type=click.Path(path_type=Path),
              help="Write loss, learning rate and validation here.")  # fmt: skip
@click.option("--from", "source", type=click.Path(path_type=Path), metavar="CHECKPOINT",
              help="Begin with the encoder of another --checkpoint: sizes and features are its "
              "own, items with an id that it does not know are new.")  # fmt: skip
@click.option("--adapter", type=click.Choice(["none", "lora"]), default="none",
              show_default=True, help="lora: keep what --from brings, and train low-rank adapters "
              "beside it, merged before export.")  # fmt: skip
@click.option("--fresh-items", is_flag=True,
              help="With --from: ids mean other items than there; none is kept.")  # fmt: skip
@click.option("--data-share", type=click.FloatRange(0, 1, min_open=True), default=1.0,
              show_default=True, help="Learn from the oldest so many of the events that are not "
              "held out for the test.")  # fmt: skip
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto",
              show_default=True, help="auto: a GPU if there is one.")  # fmt: skip
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), default="auto",
              show_default=True, help="auto: bf16 or fp16 on a GPU, fp32 on a CPU.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1), help="Threads of torch.")
@json_option
@settings_options(*KAFKA, "window_seconds")
def train(
    settings: Settings,
    data: str | None,
    out: Path | None,
    reading: Reading,
    features: str | None,
    augment: str | None,
    offered_predecessors: tuple[int, ...],
    check: bool,
    from_kafka: bool,
    trials: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train an encoder on DATA and write the artefact that a worker serves.

    DATA is a click log (CSV, JSONL or Parquet, also .gz), order-only sequences (.tsv: user, tab,
    items), or the name of a data set such as movielens-100k. Test events are held out, never read.

    --search ends in the artefact of its best trial, and prints the command that trains it again.
    Several GPUs train together under `torchrun --nproc-per-node N`, but not in a search.

    --check and what it finds need no torch; with --data-share it looks at that share alone. The
    settings of Kafka count only with --from-kafka.
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

            for package, needed in (("tensorboard", options["tensorboard"]), ("optuna", trials)):
                if needed is not None:
                    importlib.import_module(package)
        if from_kafka:
            read = training_data.from_kafka(settings, reading)
        else:
            read = training_data.from_file(str(data), reading)
        found = training_data.findings_of(
            read,
            split=options["split"],
            test_fraction=options["test_fraction"],
            validation_fraction=options["validation_fraction"],
            data_share=options["data_share"],
        )
        if check or out is None:
            training_data.print_check(read, found, as_json=as_json)
            return
        training_data.warn_of(found)
        options |= {
            "data_name": read.name,
            "augmentation": _augmentation(augment),
            "predecessors": offered_predecessors,
            "features": None if features is None else _names(features),
            "progress": sys.stderr.isatty(),
            "command": shlex.join(["freshrec", *sys.argv[1:]]),
        }
        if trials is None:
            report = run(read.log, out, **options)
        else:
            from streams.cli.search import given_settings, train_with_search

            report = train_with_search(
                read.log,
                out,
                trials=trials,
                given=given_settings(click.get_current_context()),
                arguments=sys.argv[1:],
                options=options,
            )
    if not report:  # a process that trained along with the first one
        return
    if read.left_out:
        report["left_out"] = read.left_out
    emit(report, as_json=as_json)


def _names(text: str) -> list[str]:
    """Names between commas; none in an empty text."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _augmentation(text: str | None) -> Augmentation:
    """What `--augment` says; raises `ValueError`, one sentence."""
    from model.augment import Augmentation

    chosen = {}
    for pair in (text or "").split(",") if text else ():
        name, _, value = pair.partition("=")
        if name.strip() not in {"crop", "mask", "reorder"}:
            message = f"--augment knows crop, mask and reorder, not {name.strip()!r}"
            raise ValueError(message)
        try:
            chosen[name.strip()] = float(value)
        except ValueError as error:
            message = f"--augment needs a probability after {name.strip()}=, not {value!r}"
            raise ValueError(message) from error
    found = Augmentation(**chosen)
    found.check()
    return found
