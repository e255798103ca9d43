"""The curves of a fit as a picture: training loss, and validation NDCG@10 and HR@10.

Drawn without pyplot, so there is no display, no global figure and nothing left behind.
"""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from model.fit_curve import Point, evaluated, smoothed

# 1120 x 840 pixels: at 800 wide, letters are still eleven pixels high.
_SIZE_INCHES = (8.0, 6.0)
_DOTS_PER_INCH = 140
_LOSS, _NDCG, _HIT_RATE, _KEPT = "#4c72b0", "#c44e52", "#dd8452", "#2a2a2a"


def curves_png(
    points: Sequence[Point], *, kept_step: int, kept_ndcg_at_10: float, title: str
) -> bytes:
    """A PNG of the curve of a fit (`Fit.curve`), the step whose weights were kept marked.

    kept_ndcg_at_10: its validation figure, negative where nothing was evaluated.
    """
    figure = Figure(figsize=_SIZE_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    of_loss, of_lists = figure.subplots(2, 1, sharex=True)
    _draw_loss(of_loss, points)
    _draw_lists(of_lists, evaluated(points))
    for axes in (of_loss, of_lists):
        axes.axvline(kept_step, color=_KEPT, linestyle="--", linewidth=1)
        axes.grid(alpha=0.3)
    if kept_ndcg_at_10 >= 0:
        of_lists.plot([kept_step], [kept_ndcg_at_10], "o", color=_KEPT, zorder=3,
                      label=f"kept: step {kept_step:,}, NDCG@10 {kept_ndcg_at_10:.4f}")  # fmt: skip
    of_lists.legend(loc="lower right", fontsize=10)
    of_lists.set_xlabel("steps", fontsize=11)
    of_lists.xaxis.set_major_locator(MaxNLocator(integer=True))
    last = max((point.step for point in points), default=1)
    of_lists.set_xlim(0, max(last, kept_step) * 1.02)
    _add_minutes(of_loss, points)
    figure.suptitle(title, fontsize=12)
    file = io.BytesIO()
    # Without the name of the software, the bytes follow from the points alone.
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _draw_loss(axes: Axes, points: Sequence[Point]) -> None:
    """Mean loss of each interval, and smoothed; each objective has a curve of its own."""
    for pretraining, label in ((True, "masked items"), (False, "next items")):
        part = [point for point in points if point.pretraining is pretraining]
        if not part:
            continue
        steps, losses = [point.step for point in part], [point.loss for point in part]
        style = "--" if pretraining else "-"
        axes.plot(steps, losses, style, color=_LOSS, alpha=0.35, linewidth=1)
        axes.plot(steps, smoothed(losses, len(part) // 30), style, color=_LOSS, linewidth=2,
                  label=label)  # fmt: skip
    axes.set_ylabel("training loss", fontsize=11)
    axes.legend(loc="upper right", fontsize=10)


def _draw_lists(axes: Axes, points: Sequence[Point]) -> None:
    steps = [point.step for point in points]
    marker = "." if len(points) < 60 else ""
    for values, name, color in (
        ([point.ndcg_at_10 for point in points], "NDCG@10", _NDCG),
        ([point.hit_rate_at_10 for point in points], "HR@10", _HIT_RATE),
    ):
        known = [np.nan if value is None else value for value in values]
        axes.plot(steps, known, marker=marker, color=color, linewidth=1.8, label=name)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("validation", fontsize=11)


def _add_minutes(axes: Axes, points: Sequence[Point]) -> None:
    """A second axis above, in minutes; steps need not all take equally long."""
    if not points:
        return
    minutes = [0.0, *(point.seconds / 60 for point in points)]
    steps = [0, *(point.step for point in points)]
    ticks = [at for at in MaxNLocator(8).tick_values(0, minutes[-1]) if 0 <= at <= minutes[-1]]
    above = axes.secondary_xaxis("top")
    above.set_xticks(np.interp(ticks, minutes, steps).tolist(), [f"{at:g}" for at in ticks])
    above.set_xlabel("minutes", fontsize=11)
