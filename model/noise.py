"""Logs with clicks that nobody meant: to measure how much of them lists can stand.

Noise is put in beside the log's own events, which keep their order, times and users; where each of
them has gone is told, so that exactly the same events can be predicted with and without noise.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.data import Sequences, coded_sequences

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

BOT_KINDS = ("random", "loop", "one-item")
EVENTS_PER_BOT = 200
LOOP_ITEMS = 5
_USER, _ITEM, _TYPE, _TIME_MS, _CELL = range(5)  # columns of a table of events


class NoisyLog(NamedTuple):
    """A log with noise, and which of its events are whose."""

    log: Sequences
    inserted: BoolArray  # [N of the noisy log] whether an event is noise
    place: IntArray  # [N of the clean log] index in the noisy log of each event


def with_random_clicks(log: Sequences, share: float, random: np.random.Generator) -> NoisyLog:
    """A log of which `share` of the events are clicks on items drawn uniformly.

    Each stands before an event drawn uniformly, is that event's user's and of its type and place,
    and happened between it and the user's event before. Thus nobody's last event is noise.
    ValueError unless 0 <= share < 1.
    """
    before = random.integers(0, log.events, _count(log, share))
    time_ms = log.time_ms[before]
    gaps = time_ms - log.time_ms[np.maximum(before - 1, 0)]
    gaps[~log.has_history[before]] = 0
    # From just after the event before to the same time as this one, but ahead of it.
    time_ms = time_ms - random.integers(0, np.maximum(gaps, 1))
    noise = np.stack(
        [
            log.user[before],
            random.integers(0, len(log.items), len(before)),
            log.event_type[before],
            time_ms,
            log.place_cell[before],
        ],
        1,
    )
    return _merged(log, noise, 2 * log.rank[before] - 1, log.users)


def with_bots(
    log: Sequences,
    share: float,
    random: np.random.Generator,
    *,
    kind: str = "random",
    events_per_bot: int = EVENTS_PER_BOT,
) -> NoisyLog:
    """A log of which `share` of the events are those of bots, each a new user.

    A bot clicks at equal gaps from one moment of the log's time to another. kind: on items drawn
    uniformly, on LOOP_ITEMS of them in turn (`loop`), or on one that all bots push (`one-item`).
    ValueError for another kind, or unless 0 <= share < 1.
    """
    if kind not in BOT_KINDS:
        message = f"bots of kind {kind!r} are none of {', '.join(BOT_KINDS)}"
        raise ValueError(message)
    if events_per_bot < 2:
        message = f"a bot needs two events or more, not {events_per_bot}"
        raise ValueError(message)
    bots = round(_count(log, share) / events_per_bot)
    items = random.integers(0, len(log.items), (bots, events_per_bot))
    if kind == "loop":
        items = items[:, np.arange(events_per_bot) % LOOP_ITEMS]
    elif kind == "one-item":
        items = np.full((bots, events_per_bot), random.integers(0, len(log.items)))
    first_ms, last_ms = int(log.time_ms.min()), int(log.time_ms.max())
    bounds = np.sort(random.uniform(first_ms, last_ms, (bots, 2)), axis=1)
    times = np.linspace(bounds[:, 0], bounds[:, 1], events_per_bot, axis=1).astype(np.int64)
    noise = np.zeros((bots * events_per_bot, 5), np.int64)
    noise[:, _USER] = np.repeat(np.arange(bots) + len(log.users), events_per_bot)
    noise[:, _ITEM] = items.ravel()
    noise[:, _TYPE] = np.bincount(log.event_type).argmax()
    noise[:, _TIME_MS] = times.ravel()
    known = set(log.users)
    names = (f"bot-{number}" for number in range(bots + len(known)))
    free = [name for name in names if name not in known][:bots]
    # Order-only data has no times: there a bot's events follow all others'.
    after = np.full(len(noise), 2 * log.events, np.int64)
    return _merged(log, noise, after, [*log.users, *free])


def _count(log: Sequences, share: float) -> int:
    """Events to add, so that they are `share` of all."""
    if not 0.0 <= share < 1.0:
        message = f"the share of noise must be 0 or more and below 1, not {share}"
        raise ValueError(message)
    return round(log.events * share / (1.0 - share))


def _merged(log: Sequences, noise: IntArray, row: IntArray, users: list[str]) -> NoisyLog:
    """The log and the noise [M, 5] in one order.

    row: [M] where noise stands among events of the same time, whose own places are twice their
    ranks.
    """
    columns = [log.user, log.item, log.event_type, log.time_ms, log.place_cell]
    table = np.concatenate([np.stack(columns, 1), noise])
    origin = np.concatenate([np.arange(log.events), np.full(len(noise), -1)])
    in_order = np.lexsort((np.concatenate([2 * log.rank, row]), table[:, _TIME_MS]))
    table, origin = table[in_order], origin[in_order]
    origin = origin[np.argsort(table[:, _USER], kind="stable")]  # as coded_sequences() will
    place = np.empty(log.events, np.int64)
    place[origin[origin >= 0]] = np.flatnonzero(origin >= 0)
    noisy = coded_sequences(users, log.items, log.event_types, table, has_times=log.has_times)
    return NoisyLog(noisy, origin < 0, place)
