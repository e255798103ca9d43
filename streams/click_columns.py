"""Records of the clicks topic to columns of numbers, in which an erased user leaves no trace.

What a worker would refuse is left out and counted by its reason. Only numbers and one copy of each
name are held, about 60 bytes a click.
"""

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from streams.events import ClickLimits, Reject, decode_click

IntArray = NDArray[np.int64]

_NEVER_MS = np.iinfo(np.int64).min


class LogRecord(NamedTuple):
    """One record of the clicks topic. A null value erases the user whose id is the key."""

    partition: int
    offset: int
    timestamp_ms: int  # the record's own
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


class TrainingLog(NamedTuple):
    """Clicks in order of (partition, offset), coded, and what was left out.

    table: [N, 5] user, item and event type (indexes), time in ms, place cell.
    """

    users: list[str]
    items: list[str]
    event_types: list[str]
    table: IntArray
    counts: dict[str, int]


class ClickColumns:
    """Takes records of all partitions, each partition's in order, and makes a `TrainingLog`."""

    def __init__(self, limits: ClickLimits, positive_types: frozenset[str]) -> None:
        """positive_types: event types of which is learned; others say nothing of what is next."""
        self._limits = limits
        self._positive = positive_types
        self._users: dict[str, int] = {}
        self._items: dict[str, int] = {}
        self._types: dict[str, int] = {}
        self._codes = array("i")  # user, item, event type, partition of each click
        self._numbers = array("q")  # time, place cell, offset, the record's time
        self._event_ids = array("Q")  # hash of user and event id, 0 without one
        self._erasures: dict[tuple[str, int], tuple[int, int]] = {}  # -> offset, record's time
        self._rejects: dict[str, int] = {}
        self._records = 0
        self._erased_users = 0
        self._not_positive = 0

    def add(self, record: LogRecord) -> None:
        """One record; a bad one is counted. Never raises."""
        self._records += 1
        if record.value is None:
            self._erase(record)
            return
        click = decode_click(record.value, record.headers, record.timestamp_ms, self._limits)
        if isinstance(click, Reject):
            self._rejects[click.reason] = self._rejects.get(click.reason, 0) + 1
            return
        if click.event_type not in self._positive:
            self._not_positive += 1
            return
        self._codes.extend(
            (
                self._users.setdefault(click.user_id, len(self._users)),
                self._items.setdefault(click.item_id, len(self._items)),
                self._types.setdefault(click.event_type, len(self._types)),
                record.partition,
            )
        )
        self._numbers.extend(
            (click.timestamp_ms, click.place_cell, record.offset, record.timestamp_ms)
        )
        identity = "" if click.event_id is None else f"{click.user_id}\0{click.event_id}"
        self._event_ids.append(xxhash.xxh3_64_intdigest(identity.encode()) if identity else 0)

    def finish(self) -> TrainingLog:
        """What is left of it all: without erased clicks and without second ones of an event id."""
        codes = np.array(self._codes, np.int64).reshape(-1, 4)
        numbers = np.array(self._numbers, np.int64).reshape(-1, 4)
        event_ids = np.array(self._event_ids, np.uint64)
        # Partitions arrive interleaved by chance: the same topic must give the same data.
        order = np.lexsort((numbers[:, 2], codes[:, 3]))
        kept = order[self._not_erased(codes[order], numbers[order])]
        erased = len(order) - len(kept)
        unique = _first_of_each(event_ids[kept])
        duplicates = len(kept) - len(unique)
        kept = kept[unique]
        # Names of erased users and of items that only they had must not stay either.
        users, user = _recoded(list(self._users), codes[kept, 0])
        items, item = _recoded(list(self._items), codes[kept, 1])
        types, event_type = _recoded(list(self._types), codes[kept, 2])
        table = np.stack([user, item, event_type, numbers[kept, 0], numbers[kept, 1]], 1)
        counts = {
            "records": self._records,
            "clicks": len(kept),
            "not_positive": self._not_positive,
            "duplicates": duplicates,
            "erasures": self._erased_users,
            "erased_clicks": erased,
            **{f"rejected_{reason}": count for reason, count in sorted(self._rejects.items())},
        }
        return TrainingLog(users, items, types, table, counts)

    def _erase(self, record: LogRecord) -> None:
        try:
            user = (record.key or b"").decode()
        except UnicodeDecodeError:
            return  # no click has such a user
        if user:
            self._erased_users += 1
            # The last one of a partition stands for those before it.
            self._erasures[user, record.partition] = (record.offset, record.timestamp_ms)

    def _not_erased(self, codes: IntArray, numbers: IntArray) -> NDArray[np.bool_]:
        """[N] clicks that no erasure came after.

        In the erasure's own partition offsets say what is earlier. A click with another key than
        its user may be in another partition, where only the records' times can say it.
        """
        keep = np.ones(len(codes), np.bool_)
        known = [(at, of) for at, of in self._erasures.items() if at[0] in self._users]
        for partition in np.unique(codes[:, 3]).tolist() if known else ():
            offsets = np.full(len(self._users), -1, np.int64)
            times_ms = np.full(len(self._users), _NEVER_MS, np.int64)
            for (user, erased_in), (offset, time_ms) in known:
                code = self._users[user]
                if erased_in == partition:
                    offsets[code] = offset
                else:
                    times_ms[code] = max(times_ms[code], time_ms)
            rows = np.flatnonzero(codes[:, 3] == partition)
            user_codes = codes[rows, 0]
            later = numbers[rows, 2] > offsets[user_codes]
            keep[rows] = later & (numbers[rows, 3] > times_ms[user_codes])
        return keep


def _first_of_each(event_ids: NDArray[np.uint64]) -> IntArray:
    """Indexes of all clicks but the later ones with an event id that was there before."""
    named = np.flatnonzero(event_ids)
    _, first = np.unique(event_ids[named], return_index=True)
    return np.sort(np.concatenate([np.flatnonzero(event_ids == 0), named[first]]))


def _recoded(names: list[str], codes: IntArray) -> tuple[list[str], IntArray]:
    """The names still in use, in order of first use, and their codes."""
    used, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(used), np.int64)
    place[order] = np.arange(len(used))
    return [names[code] for code in used[order].tolist()], place[inverse]
