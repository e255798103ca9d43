"""The report of `freshrec evaluate` for people: one row a method, the best one first."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

_PIPED_WIDTH = 100  # nobody's terminal: wide enough for every column
_MODEL = ("encoder", "graph", "blend")


def print_evaluation(report: Mapping[str, Any]) -> None:
    """Print a report of `model.evaluate` to standard output."""
    console = Console(
        file=sys.stdout,
        width=None if sys.stdout.isatty() else _PIPED_WIDTH,
        highlight=False,
        soft_wrap=not sys.stdout.isatty(),
    )
    console.print(_headline(report))
    console.print(_table(report))
    for line in _remarks(report):
        console.print(line, markup=False)


def _headline(report: Mapping[str, Any]) -> str:
    model = report["model"]
    who = "baselines" if model is None else f"{model['name']} {model['version']}"
    return (
        f"{who}, {report['protocol']}: {report['examples']:,} events of {report['users']:,} users, "
        f"{report['items']:,} items ranked, items had before: {report['repeat_policy']}"
    )


def _table(report: Mapping[str, Any]) -> Table:
    level = round(100 * report["confidence"]["level"])
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("method", no_wrap=True)
    for name in ("HR@5", "HR@10", "HR@20", "NDCG@10", f"{level} %", "MRR@10", "debiased HR@10",
                 "coverage@10"):  # fmt: skip
        table.add_column(name, justify="right", no_wrap=name != "debiased HR@10")
    rows = {name: report[name] for name in _MODEL if report[name] is not None}
    rows |= report["baselines"]
    for name in sorted(rows, key=lambda name: -rows[name]["ndcg"]["10"]):
        figures = rows[name]
        low, high = figures["interval_95"]["ndcg"]["10"]
        table.add_row(
            name,
            *(f"{figures['hit_rate'][k]:.4f}" for k in ("5", "10", "20")),
            f"{figures['ndcg']['10']:.4f}",
            f"{low:.4f}-{high:.4f}",
            f"{figures['mrr']['10']:.4f}",
            f"{figures['debiased_hit_rate']['10']:.4f}",
            f"{figures['coverage']['10']:.4f}",
            style="bold" if name in _MODEL else None,
        )
    return table


def _remarks(report: Mapping[str, Any]) -> Iterator[str]:
    for pair in report["differences"]:
        low, high = pair["interval_95"]
        sure = "" if low > 0 or high < 0 else ", which may be chance"
        yield (
            f"{pair['method']} over {pair['over']}: NDCG@10 {pair['ndcg@10']:+.4f} "
            f"({low:+.4f} to {high:+.4f}{sure})"
        )
    yield "One relevant item a list: recall is the hit rate (HR)."
    if report["held_out"] is False:
        yield "The artefact was trained on these events: its figures are too good."
    for name, reason in report["not_measured"].items():
        yield f"{name} not measured: {reason}"
