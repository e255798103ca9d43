"""Checks of a log's times: ties, impossible ones, dates without times of day."""

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from model.data import Sequences
from model.finding import Finding, Severity, not_judged

BoolArray = NDArray[np.bool_]

DAY_MS = 86_400_000
YEAR_2000_MS = 946_684_800_000
CLOCK_TOLERANCE_MS = DAY_MS  # a clock or a zone may be off by this before a time is in the future
ERROR_SHARE = 0.01  # of events with impossible times: no longer a few bad clocks
TIE_WARNING_SHARE = 0.05
MIDNIGHT_SHARE = 0.9


def ties(log: Sequences) -> Finding:
    """Events at the same time as the user's event before."""
    if not log.has_times:
        return not_judged("ties")
    tied = (np.diff(log.time_ms) == 0) & log.has_history[1:]
    count = int(tied.sum())
    share = count / log.events
    return Finding(
        "ties",
        "warning" if share > TIE_WARNING_SHARE else "info",
        count,
        share,
        "events at the same time as the user's event before; rows decide their order",
        "keep the rows in the order of the events, or bring finer times: another order of ties"
        " is another data set, with other figures"
        if share > TIE_WARNING_SHARE
        else "",
    )


def future_times(log: Sequences, now_ms: int) -> Finding:
    """Events later than now, a day's tolerance granted."""
    if not log.has_times:
        return not_judged("future_times")
    late = log.time_ms > now_ms + CLOCK_TOLERANCE_MS
    return _impossible_times(
        "future_times",
        late,
        f"events more than a day after {_day(now_ms)}"
        + (f", the last on {_day(int(log.time_ms.max()))}" if late.any() else ""),
    )


def old_times(log: Sequences) -> Finding:
    """Events before the year 2000: most often a wrong unit."""
    if not log.has_times:
        return not_judged("old_times")
    old = log.time_ms < YEAR_2000_MS
    finding = _impossible_times(
        "old_times",
        old,
        "events before the year 2000"
        + (f", the first on {_day(int(log.time_ms.min()))}" if old.any() else ""),
    )
    # MovieLens begins in 1997: logs of whole years before 2000 exist, those of 1970 do not.
    if old.any() and int(log.time_ms.min()) > YEAR_2000_MS - 10 * 365 * DAY_MS:
        finding = finding._replace(severity="warning")
    return finding


def time_resolution(log: Sequences) -> Finding:
    """Events exactly at midnight UTC: times that are only dates."""
    if not log.has_times:
        return not_judged("time_resolution")
    count = int((log.time_ms % DAY_MS == 0).sum())
    share = count / log.events
    only_days = share > MIDNIGHT_SHARE
    return Finding(
        "time_resolution",
        "warning" if only_days else "info",
        count,
        share,
        "events exactly at midnight UTC",
        "bring times of day: with dates alone the order within a day is that of the rows and"
        " hour_of_week says nothing (leave it out with --features)"
        if only_days
        else "",
    )


def _impossible_times(name: str, where: BoolArray, detail: str) -> Finding:
    count = int(where.sum())
    share = count / max(len(where), 1)
    severity: Severity = "info"
    advice = ""
    if count:
        severity = "error" if share > ERROR_SHARE else "warning"
        advice = "look at the time column and its unit (--time-unit), and correct or remove them"
    return Finding(name, severity, count, share, detail, advice)


def _day(time_ms: int) -> str:
    """A date, or the number itself where no calendar has it."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d")
    except (OverflowError, OSError, ValueError):
        return f"{time_ms} ms"
