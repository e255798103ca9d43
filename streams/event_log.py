"""A finished click log in the order in which a worker would have read it, as records."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.core import StreamRecord
from streams.place import cell_centre

Integers = NDArray[np.int64]


class Columns(Protocol):
    """What is read of a log (`model.data.Sequences` fits): columns by event."""

    @property
    def users(self) -> Sequence[str]:
        """User ids."""

    @property
    def items(self) -> Sequence[str]:
        """Item ids."""

    @property
    def event_types(self) -> Sequence[str]:
        """Names of event types."""

    @property
    def user(self) -> Integers:
        """`[events]` index into `users`."""

    @property
    def item(self) -> Integers:
        """`[events]` index into `items`."""

    @property
    def event_type(self) -> Integers:
        """`[events]` index into `event_types`."""

    @property
    def time_ms(self) -> Integers:
        """`[events]` epoch milliseconds."""

    @property
    def place_cell(self) -> Integers:
        """`[events]` grid cell, 0 = no place."""

    @property
    def rank(self) -> Integers:
        """`[events]` place of the event in the order of the whole log."""


class LoggedClick(msgspec.Struct, frozen=True, gc=False):
    """One click of a log and its record."""

    user_id: str
    item_id: str
    time_ms: int
    record: StreamRecord


class EventLog:
    """The clicks of a log by place in its global order; a record's timestamp is its event time."""

    def __init__(self, columns: Columns) -> None:
        order = np.argsort(columns.rank, kind="stable")
        self._users, self._items = columns.users, columns.items
        self._event_types = columns.event_types
        self._user = columns.user[order].tolist()
        self._item = columns.item[order].tolist()
        self._event_type = columns.event_type[order].tolist()
        self._time_ms = columns.time_ms[order].tolist()
        self._place_cell = columns.place_cell[order].tolist()
        self._encode = msgspec.json.Encoder().encode

    def __len__(self) -> int:
        return len(self._item)

    def returning(self) -> NDArray[np.bool_]:
        """`[events]` in global order: whether the user has an earlier event."""
        first = np.zeros(len(self), dtype=np.bool_)
        first[np.unique(np.array(self._user, dtype=np.int64), return_index=True)[1]] = True
        return ~first

    def click(self, position: int) -> LoggedClick:
        """The click at a position of the global order, counted from 0: its record's offset."""
        user_id, item_id = self._users[self._user[position]], self._items[self._item[position]]
        time_ms, cell = self._time_ms[position], self._place_cell[position]
        body: dict[str, object] = {
            "user_id": user_id,
            "item_id": item_id,
            "timestamp": time_ms,
            "event_type": self._event_types[self._event_type[position]],
        }
        if cell:
            centre = cell_centre(cell)
            body["place"] = {"lat": centre.lat, "lon": centre.lon}
        record = StreamRecord(position, time_ms, user_id.encode(), self._encode(body))
        return LoggedClick(user_id, item_id, time_ms, record)

    def clicks(self, first: int, end: int) -> Iterator[LoggedClick]:
        """The clicks from one position up to another."""
        return map(self.click, range(first, end))
