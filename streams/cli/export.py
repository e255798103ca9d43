"""`freshrec export`: a checkpoint becomes an artefact, whole or smaller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from streams.cli.log_options import Reading, model_failures, reading_options
from streams.cli.options import emit, json_option


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
    checkpoint: Path,
    out: Path | None,
    data: str | None,
    reading: Reading,
    as_json: bool,
    **options: Any,
) -> None:
    """Export the torch weights of CHECKPOINT (`train --checkpoint`) to an artefact.

    A variant is smaller or faster than fp32. It is refused where it loses more than 1 % of NDCG@10
    on the validation events, or where a user's scores depend on who else is in the batch.
    """
    with model_failures():
        from model.compress import export as run

        log = None if data is None else reading.log(data)
        report = run(checkpoint, out, data=log, **options)
    if options["compare"] and not as_json:
        from streams.cli.variant_table import print_variants

        print_variants(report)
    else:
        emit(report, as_json=as_json)
