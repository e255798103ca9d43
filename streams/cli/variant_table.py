"""The report of `freshrec export --compare` for people: one row a variant."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

_PIPED_WIDTH = 100  # nobody's terminal: wide enough for every column


def print_variants(report: Mapping[str, Any]) -> None:
    """Print a comparison of `model.compress` to standard output."""
    console = Console(
        file=sys.stdout,
        width=None if sys.stdout.isatty() else _PIPED_WIDTH,
        highlight=False,
        soft_wrap=not sys.stdout.isatty(),
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("variant", no_wrap=True)
    for name in ("layers", "KB", "lists/s", "overlap@10", "NDCG@10", "to fp32", "refused"):
        table.add_column(name, justify="right", no_wrap=True)
    for figures in report["variants"]:
        whole = figures["ndcg_at_10_fp32"]
        change = figures["ndcg_at_10"] / whole - 1 if whole else 0.0
        table.add_row(
            figures["variant"],
            str(figures["layers"]),
            f"{figures['model_bytes'] / 1000:,.0f}",
            f"{figures['lists_per_second']:,}",
            f"{figures['overlap_at_10']:.3f}",
            f"{figures['ndcg_at_10']:.4f}",
            f"{change:+.1%}",
            "no" if figures["refused"] is None else "yes",
        )
    console.print(table)
    for figures in report["variants"]:
        if figures["refused"] is not None:
            console.print(f"refused: {figures['refused']}", markup=False)
