"""`freshrec bench growth`: curves of cost, latency and memory."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from streams.cli.options import Failure, emit, failures, json_option, set_up_logging

_AXES = ("users", "items", "window", "partitions")


@click.command()
@click.option("--axis", "axes", type=click.Choice(_AXES), multiple=True,
              help="Only this; repeatable.  [default: all]")  # fmt: skip
@click.option("--short", is_flag=True, help="Two small points an axis: a smoke test.")
@click.option("--png", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="A picture of the curves.")  # fmt: skip
@click.option("--bootstrap", metavar="HOST:PORT",
              help="A Kafka for the partitions; else one is started.")  # fmt: skip
@json_option
def growth(
    axes: tuple[str, ...],
    short: bool,
    png: Path | None,
    bootstrap: str | None,
    as_json: bool,
) -> None:
    """How cost, latency and memory grow with users, items, window and partitions.

    Users, items and window without Kafka, in one thread; partitions with one worker on a real one.
    With the extras `train` and `bench`, items also compare exact scores of the whole catalogue with
    an index of neighbours.
    """
    set_up_logging("warning")
    from streams.bench.growth.run import AXES, GrowthPlan, run
    from streams.broker import KafkaUnavailable

    if png is not None:
        try:
            from streams.bench.growth.picture import growth_png
        except ImportError as error:
            raise Failure("--png needs matplotlib: pip install 'freshrec[train]'.") from error
    plan = GrowthPlan.short(bootstrap) if short else GrowthPlan(bootstrap=bootstrap)
    chosen = [axis for axis in AXES if not axes or axis in axes]
    with failures(KafkaUnavailable, RuntimeError):
        figures = run(plan, chosen, _tell)
        if "items" in chosen:
            figures.exact_scoring = _exact_scoring(_tell, short=short)
    if png is not None:
        png.write_bytes(growth_png(figures))
    emit(figures, as_json=as_json)


def _tell(line: str) -> None:
    click.echo(line, err=True)


def _exact_scoring(tell: Callable[[str], None], *, short: bool) -> list[Any]:
    """What the encoder's catalogue costs; nothing where its extras are not installed."""
    # Looked for and not imported: usearch must come after ONNX Runtime.
    if find_spec("usearch") is None or find_spec("torch") is None:
        tell("exact scores and an index are left out: pip install 'freshrec[bench,train]'")
        return []
    from model.catalogue_bench import CatalogueBench, run

    bench = CatalogueBench()
    if short:
        bench = CatalogueBench(sizes=(100, 200), expansions=(32, 256), queries=64, rounds=2)
    return list(run(bench, tell))
