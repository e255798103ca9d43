"""Picture of a soak: age of lists, lag, who made the lists, and memory over the seconds."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from streams.bench.soak.verdict import Sample

_SIZE_INCHES = (9.0, 9.0)
_DOTS_PER_INCH = 140


def soak_png(samples: Sequence[Sample], *, deadline_seconds: float, title: str) -> bytes:
    """A PNG of a run's samples."""
    figure = Figure(figsize=_SIZE_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    ages, lag, makers, memory = figure.subplots(4, 1, sharex=True)
    at = [s.at_seconds for s in samples]
    ages.plot(at, [s.age_p99_seconds for s in samples], color="#c44e52", label="p99")
    ages.plot(at, [s.age_p50_seconds for s in samples], color="#4c72b0", label="p50")
    ages.axhline(deadline_seconds, color="#2a2a2a", linestyle="--", linewidth=1, label="deadline")
    ages.set_yscale("log")
    ages.set_ylabel("click to list (s)")
    lag.plot(at, [s.lag_clicks for s in samples], color="#4c72b0", label="not committed")
    lag.plot(at, [s.unread_clicks for s in samples], color="#dd8452", label="not read")
    lag.set_ylabel("lag (clicks)")
    makers.stackplot(
        at,
        [s.encoder_lists for s in samples],
        [s.late_lists for s in samples],
        [s.other_lists for s in samples],
        labels=["bert+graph", "graph, deadline", "others"],
        colors=["#4c72b0", "#dd8452", "#8c8c8c"],
    )
    makers.set_ylabel("lists a sample")
    memory.plot(at, [s.rss_bytes / 1e6 for s in samples], color="#4c72b0")
    memory.set_ylabel("memory (MB)")
    memory.set_ylim(bottom=0)
    memory.set_xlabel("seconds")
    for axes in (ages, lag, makers):
        axes.legend(loc="upper right", fontsize=8)
    for axes in (ages, lag, makers, memory):
        axes.grid(alpha=0.3)
    figure.suptitle(title, fontsize=12)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
