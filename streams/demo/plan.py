"""What a demo is to show: the clicks and items of a log, and how fast."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from streams.replay import WEEK_MS


class DemoClick(NamedTuple):
    """One event of the log, in time order."""

    user_id: str
    item_id: str
    timestamp_ms: int
    event_type: str


class DemoItem(NamedTuple):
    """One entry of the catalogue."""

    item_id: str
    title: str
    categories: Sequence[str]


class DemoPlan(NamedTuple):
    """What to show."""

    clicks: Sequence[DemoClick]
    items: Sequence[DemoItem]
    seconds: float
    """Time in which the clicks are published."""
    bootstrap: str | None
    """A Kafka to use; None starts the embedded broker."""
    model_dir: Path | None

    @property
    def log_seconds(self) -> int:
        """Age of the first click when it is published; the log is moved by whole weeks."""
        span_ms = self.clicks[-1].timestamp_ms - self.clicks[0].timestamp_ms + WEEK_MS
        return math.ceil(span_ms / 1000 + self.seconds)


class DemoError(RuntimeError):
    """The demo could not be shown, with what to do about it."""
