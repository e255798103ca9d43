"""Checks of a log for users that look like machines: too busy, too regular, stuck on one item."""

import numpy as np
from numpy.typing import NDArray

from model.data import Sequences
from model.finding import Finding, not_judged
from model.time_checks import DAY_MS

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# Users are compared on a log scale with Tukey's outer fence ("Exploratory Data Analysis", 1977).
FENCE = 3.0
BUSY_EVENTS_PER_DAY = 500  # fewer are a person's, however far above the others
JUDGED_EVENTS = 20  # of a user, before gaps or items say anything about it
REGULAR_SPREAD = 0.1  # interquartile range of the gaps over their median; people are near 1
RESOLUTIONS_APART = 10
ONE_ITEM_SHARE = 0.9


def busy_users(log: Sequences) -> Finding:
    """Users whose events a day are far above all others': scrapers, monitors, shared accounts."""
    if not log.has_times:
        return not_judged("busy_users")
    rates = _events_per_active_day(log)
    scale = np.log(rates)
    low, high = np.quantile(scale, (0.25, 0.75))
    fence = float(np.exp(high + FENCE * (high - low)))
    limit = max(fence, float(BUSY_EVENTS_PER_DAY))
    return _looks_like_machines(
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
        return not_judged("regular_users")
    inner = log.has_history[1:]
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
    return _looks_like_machines(log, "regular_users", regular, "events at nearly equal gaps")


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
    return _looks_like_machines(
        log, "one_item_users", stuck, f"{ONE_ITEM_SHARE:.0%} or more of their events on one item"
    )


def _looks_like_machines(log: Sequences, name: str, who: BoolArray, what: str) -> Finding:
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


def _events_per_active_day(log: Sequences) -> FloatArray:
    """[U] events over the number of UTC days on which the user has any."""
    new_day = np.diff(log.time_ms // DAY_MS, prepend=0) != 0
    new_day |= ~log.has_history
    days = np.bincount(log.user[new_day], minlength=len(log.users))
    return np.diff(log.starts) / np.maximum(days, 1)
