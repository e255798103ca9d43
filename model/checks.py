"""What is wrong with a log, or worth knowing of it, before an encoder is trained on it.

    freshrec train clicks.csv --check

Each check is one function from a log to one finding. A finding of severity `error` means that
training could not work or that its figures would mean nothing; `warning`, that somebody should
look; `info`, that all is in order or that there is nothing to judge.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.data import (
    DataError,
    Sequences,
    Split,
    last_event_validation,
    leave_one_out,
    temporal,
)

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Severity = Literal["info", "warning", "error"]

DAY_MS = 86_400_000
YEAR_2000_MS = 946_684_800_000
CLOCK_TOLERANCE_MS = DAY_MS  # a clock or a zone may be off by this before a time is in the future
ERROR_SHARE = 0.01  # of events with impossible times: no longer a few bad clocks
DUPLICATE_WARNING_SHARE = 0.01
TIE_WARNING_SHARE = 0.05
MIDNIGHT_SHARE = 0.9
SHORT_WARNING_SHARE = 0.5
FEW_VALIDATION_EVENTS = 200
UNKNOWN_WARNING_SHARE = 0.2
# Users are compared on a log scale with Tukey's outer fence ("Exploratory Data Analysis", 1977).
FENCE = 3.0
BUSY_EVENTS_PER_DAY = 500  # fewer are a person's, however far above the others
JUDGED_EVENTS = 20  # of a user, before gaps or items say anything about it
REGULAR_SPREAD = 0.1  # interquartile range of the gaps over their median; people are near 1
RESOLUTIONS_APART = 10
ONE_ITEM_SHARE = 0.9


class Finding(NamedTuple):
    """What one check found. `count` events, users or items, as `detail` says; `share` of them."""

    name: str
    severity: Severity
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody asks for
    share: float
    detail: str
    advice: str = ""


Check = Callable[[Sequences], Finding]


def findings(
    log: Sequences,
    *,
    now_ms: int,
    split: str = "leave-one-out",
    test_fraction: float = 0.2,
    validation_fraction: float = 0.1,
) -> list[Finding]:
    """Every check of a log, in a fixed order. now_ms: epoch milliseconds.

    split: `leave-one-out`, `temporal` or `none`, with the fractions of `temporal`, as in training.
    """
    found = [check(log) for check in CHECKS]
    found.insert(2, future_times(log, now_ms))
    return [*found, *split_findings(log, split, test_fraction, validation_fraction)]


def duplicates(log: Sequences) -> Finding:
    """Events of the same user, item, type and time as another."""
    if not log.has_times:
        return _order_only("duplicates")
    order = np.lexsort((log.event_type, log.item, log.time_ms, log.user))
    same = np.ones(max(log.events - 1, 0), np.bool_)
    for column in (log.user, log.item, log.time_ms, log.event_type):
        ordered = column[order]
        same &= ordered[1:] == ordered[:-1]
    count = int(same.sum())
    share = count / log.events
    return Finding(
        "duplicates",
        "warning" if share > DUPLICATE_WARNING_SHARE else "info",
        count,
        share,
        "events that repeat another one's user, item, type and time",
        "remove them: a doubled event counts twice in training and is easy to predict"
        if share > DUPLICATE_WARNING_SHARE
        else "",
    )


def ties(log: Sequences) -> Finding:
    """Events at the same time as the user's event before."""
    if not log.has_times:
        return _order_only("ties")
    tied = (np.diff(log.time_ms) == 0) & ~_first_of_user(log)[1:]
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
        return _order_only("future_times")
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
        return _order_only("old_times")
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
        return _order_only("time_resolution")
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


def single_event_users(log: Sequences) -> Finding:
    """Users from whom nothing can be learned: a sequence needs two events."""
    lengths = np.diff(log.starts)
    count = int((lengths < 2).sum())
    share = count / max(len(lengths), 1)
    severity: Severity = "info"
    advice = ""
    if share > SHORT_WARNING_SHARE:
        severity = "warning"
        advice = "see whether the user column is a session or a request: such users train nothing"
    return Finding(
        "single_event_users",
        severity,
        count,
        share,
        f"users of {len(lengths)} with one event; the median user has {np.median(lengths):g}",
        advice,
    )


def rare_items(log: Sequences) -> Finding:
    """Items that occur once: their embeddings stay near where chance put them."""
    counts = np.bincount(log.item, minlength=len(log.items))
    count = int((counts == 1).sum())
    share = count / max(len(log.items), 1)
    much = share > SHORT_WARNING_SHARE
    return Finding(
        "rare_items",
        "warning" if much else "info",
        count,
        share,
        f"items of {len(log.items)} that occur once",
        "give titles with --items, so that rare items are placed by their text, or map to a"
        " coarser item (product instead of offer)"
        if much
        else "",
    )


def busy_users(log: Sequences) -> Finding:
    """Users whose events a day are far above all others': scrapers, monitors, shared accounts."""
    if not log.has_times:
        return _order_only("busy_users")
    rates = _events_per_active_day(log)
    scale = np.log(rates)
    low, high = np.quantile(scale, (0.25, 0.75))
    fence = float(np.exp(high + FENCE * (high - low)))
    limit = max(fence, float(BUSY_EVENTS_PER_DAY))
    return _bots(
        log,
        "busy_users",
        rates > limit,
        f"more than {limit:.0f} events on each of their days; the median user has"
        f" {np.median(rates):.0f}",
    )


def regular_users(log: Sequences) -> Finding:
    """Users whose events come at machine-regular gaps, pauses aside.

    The middle half of a user's gaps differ by less than REGULAR_SPREAD of their median. Gaps near
    the resolution of the log's times are equal by rounding and say nothing.
    """
    if not log.has_times:
        return _order_only("regular_users")
    inner = ~_first_of_user(log)[1:]
    gaps = np.diff(log.time_ms)[inner]
    user = log.user[1:][inner]
    gaps = gaps[np.lexsort((gaps, user))]  # of each user in turn, the shortest first
    counts = np.bincount(user, minlength=len(log.users))
    starts = np.cumsum(counts) - counts
    judged = np.flatnonzero(counts + 1 >= JUDGED_EVENTS)
    low, median, high = (
        gaps[starts[judged] + np.floor(quantile * (counts[judged] - 1)).astype(np.int64)]
        for quantile in (0.25, 0.5, 0.75)
    )
    resolution_ms = int(np.gcd.reduce(gaps)) if len(gaps) else 0
    equal = (high - low) < REGULAR_SPREAD * median
    regular = np.zeros(len(log.users), np.bool_)
    regular[judged[equal & (median >= RESOLUTIONS_APART * resolution_ms)]] = True
    return _bots(log, "regular_users", regular, "events at nearly equal gaps")


def one_item_users(log: Sequences) -> Finding:
    """Users with nearly all their events on one item."""
    order = np.lexsort((log.item, log.user))
    user, item = log.user[order], log.item[order]
    changes = np.ones(log.events, np.bool_)
    changes[1:] = (user[1:] != user[:-1]) | (item[1:] != item[:-1])
    first = np.flatnonzero(changes)
    sizes = np.diff(np.append(first, log.events))
    most = np.zeros(len(log.users), np.int64)
    np.maximum.at(most, user[first], sizes)
    lengths = np.diff(log.starts)
    stuck = (lengths >= JUDGED_EVENTS) & (most >= ONE_ITEM_SHARE * lengths)
    return _bots(
        log, "one_item_users", stuck, f"{ONE_ITEM_SHARE:.0%} or more of their events on one item"
    )


def repeats(log: Sequences) -> Finding:
    """Events on an item that the user had before: what the repeat policy will be about."""
    order = np.lexsort((log.item, log.user))  # stable: the earliest of equals comes first
    user, item = log.user[order], log.item[order]
    again = (user[1:] == user[:-1]) & (item[1:] == item[:-1])
    count = int(again.sum())
    share = count / log.events
    expected = "allow" if share > 0.3 else "discount" if share > 0.02 else "exclude"
    return Finding(
        "repeats",
        "info",
        count,
        share,
        f"events on an item that the user had before; suggests the repeat policy {expected}",
        "nothing to do: training chooses the repeat policy on validation events",
    )


def event_types(log: Sequences) -> Finding:
    """Names and counts of the event types."""
    counts = np.bincount(log.event_type, minlength=len(log.event_types))
    order = np.argsort(-counts, kind="stable")
    named = [f"{log.event_types[index]} {counts[index]}" for index in order[:10].tolist()]
    more = f" and {len(order) - 10} more" if len(order) > 10 else ""
    too_many = len(order) > 100
    return Finding(
        "event_types",
        "warning" if too_many else "info",
        len(order),
        float(counts.max()) / log.events,
        f"event types: {', '.join(named)}{more}; the share is of the first",
        "map another column to event_type: this one has nearly as many values as an id"
        if too_many
        else "",
    )


def places(log: Sequences) -> Finding:
    """Events with a place."""
    count = int((log.place_cell != 0).sum())
    cells = len(np.unique(log.place_cell[log.place_cell != 0]))
    return Finding(
        "places", "info", count, count / log.events, f"events with a place, in {cells} cells"
    )


CHECKS: tuple[Check, ...] = (
    duplicates,
    ties,
    old_times,
    time_resolution,
    single_event_users,
    rare_items,
    busy_users,
    regular_users,
    one_item_users,
    repeats,
    event_types,
    places,
)
"""All checks that need nothing but the log."""


def split_findings(
    log: Sequences, split: str, test_fraction: float, validation_fraction: float
) -> list[Finding]:
    """Sizes of what trains and what is held out, and how much of that the encoder cannot know."""
    try:
        if split == "temporal":
            parts = temporal(
                log, test_fraction=test_fraction, validation_fraction=validation_fraction
            )
        else:
            parts = leave_one_out(log) if split == "leave-one-out" else last_event_validation(log)
    except DataError as error:
        return [Finding("split", "error", 0, 0.0, str(error), "choose another --split")]
    return [_split_sizes(log, split, parts), _unknown_targets(log, parts)]


def _split_sizes(log: Sequences, split: str, parts: Split) -> Finding:
    count = len(parts.validation)
    severity: Severity = "info"
    advice = ""
    if not count:
        severity = "error"
        advice = "bring users with three or more events: without validation nothing can be chosen"
    elif count < FEW_VALIDATION_EVENTS:
        severity = "warning"
        advice = "bring more users: with so few, early stop and blend weights follow chance"
    return Finding(
        "split",
        severity,
        count,
        count / log.events,
        f"validation events under {split}, beside {int(parts.train.sum())} that train and"
        f" {len(parts.test)} that test",
        advice,
    )


def _unknown_targets(log: Sequences, parts: Split) -> Finding:
    trained = np.zeros(len(log.items), np.bool_)
    trained[log.item[parts.train]] = True
    targets = np.concatenate([parts.validation, parts.test])
    count = int((~trained[log.item[targets]]).sum())
    share = count / max(len(targets), 1)
    much = share > UNKNOWN_WARNING_SHARE
    return Finding(
        "unknown_targets",
        "warning" if much else "info",
        count,
        share,
        "held-out events on items that training never sees",
        "give titles with --items, or train more often: the encoder cannot recommend these"
        if much
        else "",
    )


def _order_only(name: str) -> Finding:
    return Finding(name, "info", 0, 0.0, "not judged: the data has an order but no times")


def _impossible_times(name: str, where: BoolArray, detail: str) -> Finding:
    count = int(where.sum())
    share = count / max(len(where), 1)
    severity: Severity = "info"
    advice = ""
    if count:
        severity = "error" if share > ERROR_SHARE else "warning"
        advice = "look at the time column and its unit (--time-unit), and correct or remove them"
    return Finding(name, severity, count, share, detail, advice)


def _bots(log: Sequences, name: str, who: BoolArray, what: str) -> Finding:
    """A finding about users that look like machines; its share is of their events."""
    users = np.flatnonzero(who)
    share = float(np.diff(log.starts)[users].sum()) / log.events
    named = ", ".join(log.users[index] for index in users[:3].tolist())
    return Finding(
        name,
        "warning" if len(users) else "info",
        len(users),
        share,
        f"users with {what}" + (f" ({named})" if named else "") + "; the share is of events",
        "leave them out unless you know that they are people" if len(users) else "",
    )


def _first_of_user(log: Sequences) -> BoolArray:
    """[N] whether an event is its user's first."""
    first = np.zeros(log.events, np.bool_)
    first[log.starts[:-1]] = True
    return first


def _events_per_active_day(log: Sequences) -> FloatArray:
    """[U] events over the number of UTC days on which the user has any."""
    new_day = np.diff(log.time_ms // DAY_MS, prepend=0) != 0
    new_day |= _first_of_user(log)
    days = np.bincount(log.user[new_day], minlength=len(log.users))
    return np.diff(log.starts) / np.maximum(days, 1)


def _day(time_ms: int) -> str:
    """A date, or the number itself where no calendar has it."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d")
    except (OverflowError, OSError, ValueError):
        return f"{time_ms} ms"
