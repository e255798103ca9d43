"""From the rows of somebody's click log to clicks: column mappings and presets.

A mapping says which column holds which field of a click. It is pure: a row is a mapping of names
to values, as a CSV, JSONL or Parquet reader gives it; nested columns are reached with dots
(`event_attributes.object.object_id`). A row that cannot become a click is a reason, not an error.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

TimeUnit = Literal["auto", "seconds", "milliseconds", "microseconds", "minutes", "days"]
Row = Mapping[str, Any]

CLICK_FIELDS = (
    "user_id", "item_id", "timestamp", "event_type", "event_id", "session_id", "value",
    "recommendation_id", "position", "lat", "lon",
)  # fmt: skip
REQUIRED_FIELDS = ("user_id", "item_id", "timestamp")

_UNIT_MS = {
    "seconds": 1e3,
    "milliseconds": 1.0,
    "microseconds": 1e-3,
    "minutes": 6e4,
    "days": 8.64e7,
}
_MAX_TIME_MS = 253_402_300_799_999  # the end of the year 9999


class MappingError(ValueError):
    """A column mapping that cannot work; the message says what to change."""


class LoggedClick(msgspec.Struct, array_like=True, gc=False):
    """One click of a log. `row` counts from 0 and breaks ties of time, so that order is stable."""

    timestamp_ms: int
    row: int
    user_id: str
    item_id: str
    event_type: str = "click"
    event_id: str | None = None
    session_id: str | None = None
    value: float | None = None
    recommendation_id: str | None = None
    position: int | None = None
    lat: float | None = None
    lon: float | None = None


@dataclass(frozen=True, slots=True)
class Skip:
    """Why a row is not a click; `reason` is a short fixed text that can be counted."""

    reason: str


@dataclass(frozen=True)
class ColumnMapping:
    """How to read one kind of log.

    `columns` maps click fields to column names in order of preference; `event_types` renames the
    log's event names, and with `known_types_only` a name that is not among them is skipped.
    `explode` is a column with a list of rows, each a click of its own that sees the outer columns
    too. `where` keeps only rows whose column has this value.
    """

    columns: Mapping[str, tuple[str, ...]]
    time_unit: TimeUnit = "auto"
    event_types: Mapping[str, str] = field(default_factory=dict)
    known_types_only: bool = False
    event_type: str = "click"
    explode: str | None = None
    where: tuple[str, str] | None = None
    delimiter: str | None = None  # of a CSV file; None: found from its name and first line
    header: tuple[str, ...] | None = None  # of a CSV file without a header line

    def __post_init__(self) -> None:
        for name in self.columns:
            if name not in CLICK_FIELDS:
                raise MappingError(
                    f"A click has no field {name!r} to map; it has {', '.join(CLICK_FIELDS)}."
                )

    def with_columns(self, given: Sequence[str]) -> ColumnMapping:
        """This mapping with `field=column` pairs put in place of its own."""
        columns = dict(self.columns)
        for pair in given:
            name, sign, column = pair.partition("=")
            if not sign or not name or not column:
                raise MappingError(f"{pair!r} is not of the form click_field=column.")
            columns[name.strip()] = (column.strip(),)
        return dataclasses.replace(self, columns=columns)

    def check_header(self, header: Sequence[str]) -> None:
        """Raise `MappingError` where a CSV file lacks what a click needs."""
        for name in REQUIRED_FIELDS:
            wanted = self.columns.get(name, ())
            if not any(column.split(".")[0] in (*header, self.explode) for column in wanted):
                raise MappingError(
                    f"No column for {name}: looked for {', '.join(wanted) or 'nothing'} among"
                    f" {', '.join(header)[:200]}; say --map {name}=COLUMN or choose a --preset."
                )

    def clicks(self, row: Row, number: int) -> Iterator[LoggedClick | Skip]:
        """The clicks of one row (several where it explodes), or why there are none."""
        if self.where is not None and str(_cell(row, self.where[0])) != self.where[1]:
            yield Skip("other_record")
            return
        if self.explode is None:
            yield self._click(row, number)
            return
        inner = row.get(self.explode)
        if not isinstance(inner, list) or not inner:
            yield Skip("no_item")
            return
        for part in inner:
            yield self._click({**row, self.explode: part}, number)

    def _click(self, row: Row, number: int) -> LoggedClick | Skip:
        user, item = self._text(row, "user_id"), self._text(row, "item_id")
        if user is None:
            user = self._text(row, "session_id")
        if user is None:
            return Skip("no_user")
        if item is None:
            return Skip("no_item")
        time_ms = parse_time_ms(self._value(row, "timestamp"), self.time_unit)
        if time_ms is None:
            return Skip("bad_timestamp")
        named = self._text(row, "event_type")
        if named is not None and self.known_types_only and named not in self.event_types:
            return Skip("other_event_type")
        position = _number(self._value(row, "position"))
        return LoggedClick(
            timestamp_ms=time_ms,
            row=number,
            user_id=user,
            item_id=item,
            event_type=self.event_type if named is None else self.event_types.get(named, named),
            event_id=self._text(row, "event_id"),
            session_id=self._text(row, "session_id"),
            value=_number(self._value(row, "value")),
            recommendation_id=self._text(row, "recommendation_id"),
            position=None if position is None else int(position),
            lat=_number(self._value(row, "lat")),
            lon=_number(self._value(row, "lon")),
        )

    def _value(self, row: Row, name: str) -> Any:
        for column in self.columns.get(name, ()):
            value = _cell(row, column)
            if value is not None and value != "":
                return value
        return None

    def _text(self, row: Row, name: str) -> str | None:
        value = self._value(row, name)
        if isinstance(value, float) and value.is_integer():
            return str(int(value))  # an id column with gaps that a data frame turned into floats
        if isinstance(value, bool):
            return None
        return str(value) if isinstance(value, str | int | float) else None


def parse_time_ms(value: Any, unit: TimeUnit = "auto") -> int | None:
    """Epoch milliseconds of a number in `unit`, or of ISO-8601 text (UTC where it has no zone).

    `auto` tells seconds, milliseconds and microseconds apart by magnitude, right for times between
    1973 and 5138. None: not a time.
    """
    number = _number(value)
    if number is None:
        return _iso_ms(value)
    if unit == "auto":
        size = abs(number)
        unit = "seconds" if size < 1e11 else "milliseconds" if size < 1e14 else "microseconds"
    time_ms = number * _UNIT_MS[unit]
    return round(time_ms) if 0 <= time_ms <= _MAX_TIME_MS else None


def _iso_ms(value: Any) -> int | None:
    if isinstance(value, str):
        text = value.strip()
        try:
            value = datetime.fromisoformat(text.removesuffix(" UTC"))
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    time_ms = round(aware.timestamp() * 1000)
    return time_ms if 0 <= time_ms <= _MAX_TIME_MS else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _cell(row: Row, column: str) -> Any:
    if column in row:
        return row[column]
    value: Any = row
    for part in column.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


CLICKS = ColumnMapping(
    {name: (name,) for name in CLICK_FIELDS if name not in ("lat", "lon")}
    | {"lat": ("place.lat", "lat"), "lon": ("place.lon", "lon")}
)

PRESETS: Mapping[str, ColumnMapping] = {
    # Clicks as freshrec reads them.
    "clicks": CLICKS,
    # GroupLens ratings.csv, ratings.dat (::) and u.data (tabs): a rating is a click with a value.
    "movielens": ColumnMapping(
        {
            "user_id": ("userId", "user_id"),
            "item_id": ("movieId", "item_id"),
            "timestamp": ("timestamp",),
            "value": ("rating",),
        },
        time_unit="seconds",
        header=("userId", "movieId", "rating", "timestamp"),
    ),
    # Google Analytics 4, BigQuery export as JSONL or Parquet: one click for each item of an event.
    "ga4": ColumnMapping(
        {
            "user_id": ("user_id", "user_pseudo_id"),
            "item_id": ("items.item_id",),
            "timestamp": ("event_timestamp",),
            "event_type": ("event_name",),
            "value": ("items.price",),
        },
        time_unit="microseconds",
        event_types={
            "view_item": "view",
            "select_item": "click",
            "add_to_cart": "add_to_cart",
            "add_to_wishlist": "like",
            "purchase": "purchase",
            "view_item_list": "impression",
        },
        known_types_only=True,
        explode="items",
    ),
    # Metarank events: only interactions are clicks; rankings and metadata are other records.
    "metarank": ColumnMapping(
        {
            "user_id": ("user",),
            "session_id": ("session",),
            "item_id": ("item",),
            "timestamp": ("timestamp",),
            "event_type": ("type",),
            "event_id": ("id",),
            "recommendation_id": ("ranking",),
        },
        where=("event", "interaction"),
    ),
    # User Behavior Insights 1.x events (OpenSearch, Elasticsearch, Solr).
    "ubi": ColumnMapping(
        {
            "user_id": ("client_id",),
            "session_id": ("session_id", "event_attributes.session_id"),
            "item_id": ("event_attributes.object.object_id",),
            "timestamp": ("timestamp",),
            "event_type": ("action_name",),
            "recommendation_id": ("query_id",),
            "position": ("event_attributes.position.ordinal",),
        },
        event_types={
            "click": "click",
            "item_click": "click",
            "view": "view",
            "watch": "view",
            "impression": "impression",
            "add_to_cart": "add_to_cart",
            "purchase": "purchase",
        },
        known_types_only=True,
    ),
}
