"""`freshrec evaluate`: an artefact measured, under one of several protocols."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.cli.log_options import Reading, model_failures, reading_options
from streams.cli.options import emit, json_option, read_settings

if TYPE_CHECKING:
    from model.data import Sequences
    from streams.settings import Settings

_PROTOCOLS = ["leave-one-out", "temporal", "prequential", "cold-items"]


@click.command()
@click.argument("data")
@reading_options
@click.option("--model", "models", type=click.Path(path_type=Path), multiple=True,
              help="Artefact directory; without, the baselines alone. prequential takes several: "
              "each takes over where its training ended.")  # fmt: skip
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
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False),
              help="Settings file of a worker whose state and repeat policy to use (prequential, "
              "without --model).")  # fmt: skip
@click.option("--max-examples", type=click.IntRange(1), help="Evaluate a sample of this size.")
@click.option("--repeat-policy", type=click.Choice(["allow", "exclude"]), help="Whether lists may "
              "have items that the user had.  [default: as the artefact says, or as users do]",
              )  # fmt: skip
@click.option("--resamples", type=click.IntRange(100), show_default="1000",
              help="Draws of the bootstrap behind the intervals (leave-one-out, temporal).",
              )  # fmt: skip
@click.option("--noise", "shares", type=click.FloatRange(0, 1, max_open=True), multiple=True,
              help="Measure with this share of noise in the log; may be repeated.")  # fmt: skip
@click.option("--noise-kind", type=click.Choice(["clicks", "bots"]),
              show_default="clicks",
              help="Random clicks in the users' histories, or bots beside the users.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True,
              help="Of sample, bootstrap and noise.")  # fmt: skip
@click.option("--engine", type=click.Choice(["auto", "cpu", "cuda"]), default="cpu",
              show_default=True)  # fmt: skip
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@json_option
def evaluate(
    data: str,
    models: tuple[Path, ...],
    reading: Reading,
    shares: tuple[float, ...],
    noise_kind: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure an artefact on DATA by ranking the full catalogue, beside its baselines.

    EASE and ItemKNN are among them if the extra `bench` is installed.

    cold-items: what it makes of items that were held out of its training, from their text.

    --noise: the same events are predicted from histories with noise, and without.

    prequential: every event of the newest share is predicted by a worker's own state and
    recommender, judged, and then learned; the encoder stays as it is, or gives way to the next
    --model, trained with a smaller --test-fraction.
    """
    of_new_items = options["protocol"] == "cold-items"
    if options["items"] is not None and not of_new_items:
        raise click.UsageError("--items needs --protocol cold-items.")
    if options["repeat_policy"] is not None and of_new_items:
        raise click.UsageError("--repeat-policy does not go with --protocol cold-items.")
    if noise_kind is not None and not shares:
        raise click.UsageError("--noise-kind needs --noise, which says how much of it.")
    if options["resamples"] is None:
        del options["resamples"]
    elif options["protocol"] in {"prequential", "cold-items"}:
        message = f"--resamples does not go with --protocol {options['protocol']}: it has no "
        raise click.UsageError(f"{message}intervals.")
    elif shares:
        raise click.UsageError("--resamples does not go with --noise: it has no intervals.")
    window = {name: options.pop(name) for name in ("window_events", "window_seconds")}
    config = options.pop("config")
    if config is not None and (models or options["protocol"] != "prequential"):
        raise click.UsageError("--config needs --protocol prequential, and no --model.")
    if options["protocol"] == "prequential":
        if shares:
            raise click.UsageError("--noise does not go with --protocol prequential.")
        with model_failures():
            # Not the environment's: two files compared differ in what they say.
            worker = None if config is None else read_settings({}, config, {})
            report = _prequential(reading.log(data), models, window | options, worker)
        emit(report, as_json=as_json)
        return
    if len(models) > 1:
        raise click.UsageError("Several --model need --protocol prequential.")
    model = models[0] if models else None
    if any(window.values()):
        raise click.UsageError("--window-events and --window-seconds need --protocol prequential.")
    options["test_fraction"] = options["test_fraction"] or 0.2
    if shares:
        with model_failures():
            report = _with_noise(reading, data, model, shares, noise_kind or "clicks", options)
        emit(report if as_json else _without_lesser_methods(report), as_json=as_json)
        return
    with model_failures():
        from model.evaluate import evaluate as run
        from streams.cli.evaluation_table import print_evaluation

        report = run(reading.log(data), model, **options)
    if as_json or "baselines" not in report:
        emit(report, as_json=as_json)
    else:
        print_evaluation(report)


def _prequential(
    log: Sequences,
    models: tuple[Path, ...],
    options: dict[str, Any],
    worker: Settings | None,
) -> dict[str, Any]:
    from streams.cli.prequential import evaluate_prequential

    for name in ("protocol", "items"):
        del options[name]
    return evaluate_prequential(log, models, worker=worker, progress=sys.stderr.isatty(), **options)


def _with_noise(
    reading: Reading,
    data: str,
    model: Path | None,
    shares: tuple[float, ...],
    kind: str,
    options: dict[str, Any],
) -> dict[str, Any]:
    """The report of `model.robustness`."""
    from model.robustness import robustness

    if model is None:
        raise click.UsageError("--noise needs --model: it is about what an artefact makes of it.")
    for name in ("items", "repeat_policy"):
        if options.pop(name) is not None:
            raise click.UsageError(f"--{name.replace('_', '-')} does not go with --noise.")
    return robustness(reading.log(data), model, shares=shares, kind=kind, **options)


def _without_lesser_methods(report: dict[str, Any]) -> dict[str, Any]:
    """A report of `model.robustness` whose table fits on a screen."""
    rows = [
        {name: value for name, value in row.items() if not name.startswith(("own_", "popularity_"))}
        for row in report["shares"]
    ]
    return {**report, "shares": rows}
