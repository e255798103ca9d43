"""Events to per-user sequences, and the two ways of holding events out.

Equal timestamps are frequent in real logs (76 % of MovieLens-100k's), so the order is stable by
(timestamp, row): another tie order would be another data set.
"""

import hashlib
import math
from array import array
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

DEFAULT_EVENT_TYPE = "click"


class DataError(ValueError):
    """A log cannot be used; the message is one sentence that says why."""


class Event(NamedTuple):
    """One row of a log."""

    user_id: str
    item_id: str
    timestamp_ms: int
    event_type: str = DEFAULT_EVENT_TYPE
    place_cell: int = 0


class Sequences(NamedTuple):
    """Events of all users end to end, each user's in order of (timestamp, row).

    starts: [U + 1], user u owns starts[u] to starts[u + 1]; the event columns are [N]. `item` is
    an index into `items`, `event_type` into `event_types`, `user` into `users`; `rank` is the
    place of the event in the whole log's order of (timestamp, row).
    """

    users: list[str]
    items: list[str]
    event_types: list[str]
    starts: IntArray
    user: IntArray
    item: IntArray
    event_type: IntArray
    time_ms: IntArray
    place_cell: IntArray
    rank: IntArray
    has_times: bool  # False: order only, every time_ms is 0
    fingerprint: str  # sha256 of the events

    @property
    def events(self) -> int:
        """Number of events."""
        return len(self.item)

    @property
    def has_history(self) -> BoolArray:
        """[N] whether the event's user has an earlier one."""
        later = np.ones(self.events, np.bool_)
        later[self.starts[:-1]] = False
        return later


class Split(NamedTuple):
    """Which events train, and which are predicted from all the same user's earlier ones."""

    train: BoolArray  # [N]
    validation: IntArray  # event indexes with at least one earlier event of the user
    test: IntArray


def sequences(events: Iterable[Event], *, has_times: bool = True) -> Sequences:
    """Dictionary-coded sequences of events given in any order. DataError if there are none."""
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    types: dict[str, int] = {}
    cells = array("q")  # a fifth of what rows of Python numbers would take
    for event in events:
        cells.extend(
            (
                users.setdefault(event.user_id, len(users)),
                items.setdefault(event.item_id, len(items)),
                types.setdefault(event.event_type, len(types)),
                event.timestamp_ms,
                event.place_cell,
            )
        )
    table = np.array(cells, np.int64).reshape(-1, 5)  # (N, 5) in row order
    return coded_sequences(list(users), list(items), list(types), table, has_times=has_times)


def coded_sequences(
    users: list[str],
    items: list[str],
    event_types: list[str],
    table: IntArray,
    *,
    has_times: bool = True,
) -> Sequences:
    """Sequences of events that are coded already, given in any order. DataError if none are.

    table: [N, 5] user, item and event type (indexes), time in ms, place cell; every user and item
    has an event.
    """
    if not len(table):
        message = "the log holds no usable event: check the file and its column mapping"
        raise DataError(message)
    in_time = np.argsort(table[:, 3], kind="stable")
    rank = np.empty(len(table), np.int64)
    rank[in_time] = np.arange(len(table))
    order = np.lexsort((rank, table[:, 0]))
    table, rank = table[order], rank[order]
    return _of_table(users, items, event_types, table, rank, has_times=has_times)


def at_least(log: Sequences, *, item_events: int) -> Sequences:
    """The log without the items that have fewer events than this, and users left with none.

    Counted once: what is left may have fewer again. 5 makes MovieLens-1M's 3,706 films the 3,416
    of the literature. DataError if nothing is left.
    """
    if item_events < 1:
        message = f"the fewest events of an item must be 1 or more, not {item_events}"
        raise DataError(message)
    frequent = np.bincount(log.item, minlength=len(log.items)) >= item_events
    if frequent.all():
        return log
    kept = frequent[log.item]
    if not kept.any():
        message = f"no item has {item_events} events: ask for fewer"
        raise DataError(message)
    return only(log, kept)


def only(log: Sequences, chosen: BoolArray) -> Sequences:
    """The log as if it had none but the chosen events ([N], at least one), in the order of before.

    Users and items without an event are gone; event types stay, with their indexes.
    """
    kept = np.flatnonzero(chosen)
    users, user = np.unique(log.user[kept], return_inverse=True)
    items, item = np.unique(log.item[kept], return_inverse=True)
    columns = (user, item, log.event_type[kept], log.time_ms[kept], log.place_cell[kept])
    rank = np.empty(len(kept), np.int64)
    rank[np.argsort(log.rank[kept])] = np.arange(len(kept))
    return _of_table(
        [log.users[index] for index in users.tolist()],
        [log.items[index] for index in items.tolist()],
        log.event_types,
        np.stack(columns, 1),
        rank,
        has_times=log.has_times,
    )


def _of_table(
    users: list[str],
    items: list[str],
    types: list[str],
    table: IntArray,
    rank: IntArray,
    *,
    has_times: bool,
) -> Sequences:
    """Of rows (user, item, event type, time, cell), the users' one after another, each in order."""
    starts = np.searchsorted(table[:, 0], np.arange(len(users) + 1))
    digest = hashlib.sha256("\n".join([*users, "", *items, "", *types]).encode())
    digest.update(table.tobytes())
    return Sequences(
        users=users,
        items=items,
        event_types=types,
        starts=starts.astype(np.int64),
        user=table[:, 0].copy(),
        item=table[:, 1].copy(),
        event_type=table[:, 2].copy(),
        time_ms=table[:, 3].copy(),
        place_cell=table[:, 4].copy(),
        rank=rank,
        has_times=has_times,
        fingerprint=digest.hexdigest(),
    )


def leave_one_out(data: Sequences) -> Split:
    """Each user's last event is the test, the one before validates, the rest trains.

    Users with fewer than three events only train.
    """
    lengths = np.diff(data.starts)
    ends = data.starts[1:][lengths >= 3]
    train = np.ones(data.events, np.bool_)
    train[ends - 1] = False
    train[ends - 2] = False
    return Split(train, ends - 2, ends - 1)


def temporal(
    data: Sequences, *, test_fraction: float, validation_fraction: float, data_share: float = 1.0
) -> Split:
    """Global split in time: the newest events test, those before them validate.

    The fractions are of all events. data_share: of the events before the test only the oldest so
    many are there, the newest of them to validate on. DataError for order-only data.
    """
    if not data.has_times:
        message = "the temporal protocol needs timestamps, and this data is order-only"
        raise DataError(message)
    count = data.events
    test_from = count - math.floor(test_fraction * count)
    end = math.ceil(data_share * test_from)
    validation_from = end - math.floor(validation_fraction * data_share * count)
    if not 0 < validation_from <= end <= test_from <= count:
        message = f"fractions {validation_fraction} and {test_fraction} leave no event to train on"
        raise DataError(message)
    validation = (data.rank >= validation_from) & (data.rank < end) & data.has_history
    test = (data.rank >= test_from) & data.has_history
    return Split(data.rank < validation_from, np.flatnonzero(validation), np.flatnonzero(test))


def last_event_validation(data: Sequences) -> Split:
    """No test: each user's last event validates, the rest trains. For a model to be served."""
    lengths = np.diff(data.starts)
    ends = data.starts[1:][lengths >= 2]
    train = np.ones(data.events, np.bool_)
    train[ends - 1] = False
    return Split(train, ends - 1, np.zeros(0, np.int64))
