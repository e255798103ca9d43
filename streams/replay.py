"""Publish a click log to Kafka, in time order, at its own speed or at a given rate."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal

from streams.click_logs import ClickLog, LogSummary
from streams.click_message import encode_click, message_of
from streams.events import iso_utc
from streams.sender import Pace, Sender

WEEK_MS = 7 * 86_400_000
RecordTime = Literal["auto", "now", "event"]


@dataclass(frozen=True, kw_only=True)
class ReplayPlan:
    """What to do with the times of a log.

    `shift_to_now` moves all event times by one number of whole weeks so that the last one is in
    the past week: gaps, weekdays and hours stay. `record_time` is the timestamp of the Kafka
    records, which a worker measures age and freshness from: `now`, or the `event` time, without
    which a log longer than the window would be refused as too old. `auto` takes `now` where all
    of the log fits into `window_seconds`.
    """

    shift_to_now: bool = True
    record_time: RecordTime = "auto"
    limit: int | None = None
    window_seconds: float = 2_592_000


@dataclass(frozen=True, kw_only=True)
class ReplayReport:
    """What was published. `skipped` counts the rows that are not clicks, by reason."""

    file: str
    clicks: int
    skipped: dict[str, int]
    first_event: str
    last_event: str
    shifted_weeks: int
    record_time: str
    seconds: float
    clicks_per_second: float

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return dict(self.__dict__)


def shift_weeks(last_ms: int, now_ms: int) -> int:
    """The whole weeks that bring `last_ms` into the week before `now_ms`; negative: back."""
    return (now_ms - last_ms) // WEEK_MS


def record_time_of(plan: ReplayPlan, first_ms: int, now_ms: int) -> Literal["now", "event"]:
    """Which timestamp the records get, where the earliest event is (shifted) at `first_ms`."""
    if plan.record_time != "auto":
        return plan.record_time
    return "now" if now_ms - first_ms < plan.window_seconds * 1000 else "event"


def replay(
    log: ClickLog,
    sender: Sender,
    plan: ReplayPlan,
    pace: Pace,
    *,
    now_ms: int,
    clock: Callable[[], float] = time.monotonic,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> ReplayReport:
    """Publish the log and wait for every acknowledgement.

    `progress(done, total)` is called every few hundred clicks. Raises `LogError` for a log that
    cannot be read and `SendError` where the brokers do not take it.
    """
    summary = log.scan()
    weeks = shift_weeks(summary.last_ms, now_ms) if plan.shift_to_now else 0
    shift_ms = weeks * WEEK_MS
    record_time = record_time_of(plan, summary.first_ms + shift_ms, now_ms)
    total = _total(summary, plan)
    start = clock()
    done = 0
    last_ms = summary.first_ms
    with closing(log.clicks(summary)) as clicks:
        for click in itertools.islice(clicks, total):
            last_ms = click.timestamp_ms
            event_ms = last_ms + shift_ms
            pace.wait(event_ms)
            sender.send(
                click.user_id.encode(),
                encode_click(message_of(click, event_ms)),
                event_ms if record_time == "event" else None,
            )
            done += 1
            if done % 256 == 0:
                progress(done, total)
    sender.finish()
    progress(done, total)
    seconds = max(clock() - start, 1e-9)
    return ReplayReport(
        file=str(log.path),
        clicks=done,
        skipped=dict(summary.skipped),
        first_event=iso_utc(summary.first_ms + shift_ms),
        last_event=iso_utc(last_ms + shift_ms),
        shifted_weeks=weeks,
        record_time=record_time,
        seconds=round(seconds, 3),
        clicks_per_second=round(done / seconds, 1),
    )


def _total(summary: LogSummary, plan: ReplayPlan) -> int:
    return summary.clicks if plan.limit is None else min(plan.limit, summary.clicks)
