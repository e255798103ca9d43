"""What is wrong with a log, or worth knowing of it, before an encoder is trained on it.

    freshrec train clicks.csv --check

Each check is one function from a log to one finding. A finding of severity `error` means that
training could not work or that its figures would mean nothing; `warning`, that somebody should
look; `info`, that all is in order or that there is nothing to judge.
"""

from collections.abc import Callable

import numpy as np

from model.bot_checks import busy_users, one_item_users, regular_users
from model.data import DataError, Sequences, Split, only
from model.finding import Finding, Severity, not_judged
from model.splits import learned, parted
from model.time_checks import future_times, old_times, ties, time_resolution

__all__ = ["CHECKS", "Finding", "findings"]

Check = Callable[[Sequences], Finding]

DUPLICATE_WARNING_SHARE = 0.01
SHORT_WARNING_SHARE = 0.5
FEW_VALIDATION_EVENTS = 200
UNKNOWN_WARNING_SHARE = 0.2


def findings(
    log: Sequences,
    *,
    now_ms: int,
    split: str = "leave-one-out",
    test_fraction: float = 0.2,
    validation_fraction: float = 0.1,
    data_share: float = 1.0,
) -> list[Finding]:
    """Every check of a log, in a fixed order. now_ms: epoch milliseconds.

    split: `leave-one-out`, `temporal` or `none`, with the fractions of `temporal`, as in training.
    data_share: below 1, only what training would read of the log is looked at, and the test counts
    in the findings of the split alone.
    """
    try:
        parts = parted(
            log,
            split,
            test_fraction=test_fraction,
            validation_fraction=validation_fraction,
            data_share=data_share,
        )
        of_split = [_split_sizes(log, split, parts), _unknown_targets(log, parts)]
        looked_at = only(log, learned(parts)) if data_share < 1.0 else log
    except DataError as error:
        of_split = [Finding("split", "error", 0, 0.0, str(error), "choose another --split")]
        looked_at = log
    found = [check(looked_at) for check in CHECKS]
    found.insert(2, future_times(looked_at, now_ms))
    return [*found, *of_split]


def duplicates(log: Sequences) -> Finding:
    """Events of the same user, item, type and time as another."""
    if not log.has_times:
        return not_judged("duplicates")
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


def _split_sizes(log: Sequences, split: str, parts: Split) -> Finding:
    """Sizes of what trains and of what is held out."""
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
    """How much of what is held out the encoder cannot know."""
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
