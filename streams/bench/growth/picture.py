"""Picture of the curves: cost, latency and memory along each axis, and exact scores or an index."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from streams.bench.growth.run import GrowthFigures

_SIZE_INCHES = (11.0, 8.5)
_DOTS_PER_INCH = 100
_BLUE, _ORANGE, _RED, _GREEN = "#4c72b0", "#dd8452", "#c44e52", "#55a868"


def growth_png(figures: GrowthFigures) -> bytes:
    """A PNG with a panel for each axis that was measured."""
    axes: dict[str, Sequence[Any]] = {**figures.axes}
    panels = len(axes) + bool(figures.exact_scoring)
    figure = Figure(figsize=_SIZE_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(-(-panels // 2), 2, squeeze=False).ravel().tolist()
    for panel, (axis, points) in zip(grid, axes.items(), strict=False):
        if axis == "partitions":
            _partitions(panel, points)
        else:
            _cost(panel, axis, points)
    if figures.exact_scoring:
        _exact(grid[len(axes)], figures.exact_scoring)
    for panel in grid[panels:]:
        panel.set_axis_off()
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _cost(panel: Axes, axis: str, points: Sequence[Any]) -> None:
    at = [getattr(point, axis) for point in points]
    panel.plot(at, [point.cpu_microseconds_per_click for point in points], "o-", color=_BLUE,
               label="a click (µs)")  # fmt: skip
    panel.plot(at, [point.cpu_microseconds_per_list for point in points], "o-", color=_ORANGE,
               label="a list among 64, without encoder (µs)")  # fmt: skip
    panel.plot(at, [point.list_milliseconds.p99 * 1e3 for point in points], "o--", color=_RED,
               label="a list by itself, p99 (µs)")  # fmt: skip
    panel.plot(at, [point.rss_bytes / 1e6 for point in points], "s:", color=_GREEN,
               label="memory (MB)")  # fmt: skip
    _finish(panel, axis)


def _partitions(panel: Axes, points: Sequence[Any]) -> None:
    at = [point.partitions for point in points]
    panel.plot(at, [point.clicks_per_second / 1e3 for point in points], "o-", color=_BLUE,
               label="1,000 clicks/s")  # fmt: skip
    panel.plot(at, [point.cpu_seconds_per_million for point in points], "o-", color=_ORANGE,
               label="CPU-seconds per million clicks")  # fmt: skip
    panel.plot(at, [point.start_seconds for point in points], "o--", color=_RED,
               label="start (s)")  # fmt: skip
    panel.plot(at, [point.rss_bytes / 1e6 for point in points], "s:", color=_GREEN,
               label="memory (MB)")  # fmt: skip
    _finish(panel, "partitions of one worker, on Kafka")


def _exact(panel: Axes, rows: Sequence[Any]) -> None:
    exact = [row for row in rows if row.vectors == "clustered"]
    panel.plot([row.items for row in exact], [row.exact_milliseconds for row in exact], "o-",
               color=_BLUE, label="exact")  # fmt: skip
    for vectors, colour in (("clustered", _ORANGE), ("chance", _RED)):
        good = [
            (row.items, min(found.milliseconds for found in row.two_stages if found.recall >= 0.99))
            for row in rows
            if row.vectors == vectors and any(found.recall >= 0.99 for found in row.two_stages)
        ]
        panel.plot([items for items, _ in good], [cost for _, cost in good], "o--", color=colour,
                   label=f"index, recall at least 0.99, {vectors} items")  # fmt: skip
    panel.set_ylabel("ms a list, encoder included")
    _finish(panel, "items of the encoder's catalogue")


def _finish(panel: Axes, what: str) -> None:
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xlabel(what)
    panel.grid(alpha=0.3)
    panel.legend(fontsize=8)
