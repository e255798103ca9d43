"""`freshrec bench scorer`: lists a second of the encoder alone."""

from __future__ import annotations

import os
from pathlib import Path

import click

from streams.cli.options import Failure, emit, failures, json_option, set_up_logging


@click.command()
@click.option("--short", is_flag=True, help="A few seconds: a smoke test of the benchmark.")
@click.option("--engine", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--threads", type=click.IntRange(1, 256), default=os.cpu_count() or 1,
              help="Of the CPU.  [default: all]")  # fmt: skip
@click.option("--batch", type=click.IntRange(1, 4096), default=64, show_default=True,
              help="Lists at a time.")  # fmt: skip
@click.option("--items", type=click.IntRange(20), default=3_416, show_default=True)
@click.option("--max-length", type=click.IntRange(1, 4096), default=50, show_default=True)
@click.option("--model", type=click.Path(path_type=Path), metavar="DIR",
              help="Measure this artefact; else an encoder with weights of chance.")  # fmt: skip
@json_option
def scorer(
    short: bool,
    engine: str,
    threads: int,
    batch: int,
    items: int,
    max_length: int,
    model: Path | None,
    as_json: bool,
) -> None:
    """Lists per second of the ONNX encoder, by length of the windows.

    Beside it, in turn: the same network exported as it is trained, and the engine's matrix
    products, whose rate is the most that an encoder could reach. Needs the extra `train`.
    """
    set_up_logging("warning")
    try:
        from model.scorer_bench import ScorerBench, run
    except ImportError as error:
        raise Failure(f"{error}: install the extra `train`") from error
    from model.artifact import ArtifactError

    with failures(ArtifactError):
        figures = run(
            ScorerBench(
                engine=engine,
                threads=threads,
                batch=batch,
                items=items,
                max_length=max_length,
                model=None if model is None else str(model),
                rounds=3 if short else 9,
                seconds=0.05 if short else 0.4,
            )
        )
    emit(figures, as_json=as_json)
