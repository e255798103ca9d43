"""Click logs in files: which columns hold what, and times in any form."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from model.data import DEFAULT_EVENT_TYPE, DataError, Event, Sequences, sequences
from model.table_files import (
    READERS,
    Row,
    first_value,
    identifier,
    kind_of,
    open_text,
    read_rows,
    readable,
)

PlaceCell = Callable[[float, float], int]  # (latitude, longitude) -> cell, 0 = no place

# Field -> column names tried in order where no mapping is given.
COLUMN_ALIASES: Mapping[str, tuple[str, ...]] = {
    "user_id": ("user_id", "userId", "user", "session_id", "visitorid", "uid"),
    "item_id": ("item_id", "itemId", "movieId", "item", "product_id", "itemid", "iid"),
    "timestamp": ("timestamp", "time", "ts", "event_time", "unixtime"),
    "event_type": ("event_type", "event", "type", "action"),
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon", "lng"),
}
REQUIRED = ("user_id", "item_id", "timestamp")
TIME_UNITS_MS = {"ms": 1.0, "s": 1000.0, "min": 60_000.0, "h": 3_600_000.0, "day": 86_400_000.0}
# Numbers below this are seconds (until the year 5138), above it milliseconds (since 1973).
SECONDS_BELOW = 1e11
LATEST_MS = 1 << 62  # a log holds times, and gaps between them, as int64
# What a user turned down or merely saw says nothing about what comes next.
NOT_POSITIVE = frozenset({"dislike", "not_interested", "impression"})


def read_log(
    path: Path | str,
    *,
    columns: Mapping[str, str] | None = None,
    time_unit: str | None = None,
    place_cell: PlaceCell | None = None,
    exclude_event_types: frozenset[str] = NOT_POSITIVE,
) -> Sequences:
    """Read order-only sequences (.tsv), CSV, JSONL or Parquet, each also gzipped (.gz).

    columns: field of COLUMN_ALIASES -> column name. time_unit: a key of TIME_UNITS_MS for numeric
    timestamps; None tells seconds from milliseconds by size. place_cell turns latitude and
    longitude into a cell; without it places are ignored.
    """
    path = Path(path)
    if not path.is_file():
        message = f"there is no file {path}"
        raise DataError(message)
    if time_unit is not None and time_unit not in TIME_UNITS_MS:
        message = f"time unit {time_unit!r} is none of {', '.join(TIME_UNITS_MS)}"
        raise DataError(message)
    if kind_of(path) == ".tsv" and columns is None:
        with readable(path):
            if _is_order_only(path):
                return sequences(_order_only_events(path), has_times=False)
    rows = read_rows(path, tuple(READERS))
    parsed = _events(rows, columns or {}, time_unit, place_cell, path.name)
    return sequences(event for event in parsed if event.event_type not in exclude_event_types)


def _is_order_only(path: Path) -> bool:
    """One tab a line, the second field being ids between spaces."""
    with open_text(path) as file:
        first = file.readline()
    return first.count("\t") == 1


def _order_only_events(path: Path) -> Iterator[Event]:
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            user, tab, items = line.rstrip("\r\n").partition("\t")
            if not line.strip():
                continue
            if not tab or not user:
                message = f"line {number} of {path.name} is not `user<TAB>item item ...`"
                raise DataError(message)
            for item in items.split():
                yield Event(user, item, 0)


def _events(
    rows: Iterator[Row],
    columns: Mapping[str, str],
    time_unit: str | None,
    place_cell: PlaceCell | None,
    name: str,
) -> Iterator[Event]:
    names: dict[str, Sequence[str]] = {}
    for number, row in enumerate(rows, 1):
        if not names:
            names = _column_names(list(row), columns, name)
        user, item = identifier(row, names["user_id"]), identifier(row, names["item_id"])
        time_ms = parse_time_ms(first_value(row, names["timestamp"]), time_unit)
        if user is None or item is None or time_ms is None:
            message = (
                f"row {number} of {name} has no usable user_id, item_id or timestamp: "
                "correct or remove it"
            )
            raise DataError(message)
        event_type = identifier(row, names["event_type"]) or DEFAULT_EVENT_TYPE
        cell = 0
        if place_cell is not None:
            latitude = _degrees(row, names["latitude"], 90.0)
            longitude = _degrees(row, names["longitude"], 180.0)
            if latitude is not None and longitude is not None:
                cell = place_cell(latitude, longitude)
        yield Event(user, item, time_ms, event_type, cell)


def _column_names(
    found: Sequence[str], columns: Mapping[str, str], name: str
) -> dict[str, Sequence[str]]:
    """Columns that hold each field, to be tried in order; rows of JSON may differ in theirs."""
    for field, column in columns.items():
        if field not in COLUMN_ALIASES:
            message = f"{field!r} is not a field; map one of {', '.join(COLUMN_ALIASES)}"
            raise DataError(message)
        if column not in found:
            message = f"{name} has no column {column!r}; it has {', '.join(found)}"
            raise DataError(message)
    names: dict[str, Sequence[str]] = {
        field: (columns[field],) if field in columns else aliases
        for field, aliases in COLUMN_ALIASES.items()
    }
    for field in REQUIRED:
        if not any(column in found for column in names[field]):
            message = f"{name} has no column for {field}: map one of {', '.join(found)} to it"
            raise DataError(message)
    return names


def _degrees(row: Row, columns: Sequence[str], most: float) -> float | None:
    """An angle from -most to most; None: there is none, or one that a click could not have."""
    value = first_value(row, columns)
    try:
        angle = float(value) if isinstance(value, (str, int, float)) else math.nan
    except (ValueError, OverflowError):
        return None
    return angle if abs(angle) <= most else None


def parse_time_ms(value: object, unit: str | None) -> int | None:
    """Epoch milliseconds of a number, a numeric string, ISO 8601 text or a datetime.

    Text without a zone is taken as UTC. None if it is not a time, or later than LATEST_MS.
    """
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            try:
                value = datetime.fromisoformat(str(value).strip())
            except ValueError:
                return None
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    factor = TIME_UNITS_MS[unit or ("s" if abs(value) < SECONDS_BELOW else "ms")]
    if not abs(value) < LATEST_MS / factor:  # nor is it where it is no number
        return None
    return round(value * factor)
