"""Click logs to per-user sequences, and the two ways of holding events out.

Equal timestamps are frequent in real logs (76 % of MovieLens-100k's), so the order is stable by
(timestamp, row): another tie order would be another data set.
"""

import csv
import gzip
import hashlib
import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
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
DEFAULT_EVENT_TYPE = "click"
# What a user turned down or merely saw says nothing about what comes next.
NOT_POSITIVE = frozenset({"dislike", "not_interested", "impression"})


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
    kept = np.flatnonzero(frequent[log.item])
    if not len(kept):
        message = f"no item has {item_events} events: ask for fewer"
        raise DataError(message)
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
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    kind = suffixes[-1] if suffixes else ""
    if kind == ".tsv" and columns is None and _is_order_only(path):
        return sequences(_order_only_events(path), has_times=False)
    readers: dict[str, Callable[[Path], Iterator[Mapping[str, object]]]] = {
        ".csv": _csv_rows,
        ".tsv": _csv_rows,
        ".jsonl": _json_rows,
        ".ndjson": _json_rows,
        ".parquet": _parquet_rows,
    }
    if kind not in readers:
        message = f"{path.name} is none of {', '.join(readers)} (each also as .gz): convert it"
        raise DataError(message)
    try:
        rows = readers[kind](path)
        parsed = _events(rows, columns or {}, time_unit, place_cell, path.name)
        return sequences(event for event in parsed if event.event_type not in exclude_event_types)
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, csv.Error) as error:
        message = f"{path.name} cannot be read: {error}"
        raise DataError(message) from error


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


def temporal(data: Sequences, *, test_fraction: float, validation_fraction: float) -> Split:
    """Global split in time: the newest events test, those before them validate.

    The fractions are of all events. DataError for order-only data.
    """
    if not data.has_times:
        message = "the temporal protocol needs timestamps, and this data is order-only"
        raise DataError(message)
    count = data.events
    test_from = count - math.floor(test_fraction * count)
    validation_from = test_from - math.floor(validation_fraction * count)
    if not 0 < validation_from <= test_from <= count:
        message = f"fractions {validation_fraction} and {test_fraction} leave no event to train on"
        raise DataError(message)
    has_history = np.ones(count, np.bool_)
    has_history[data.starts[:-1]] = False
    validation = (data.rank >= validation_from) & (data.rank < test_from) & has_history
    test = (data.rank >= test_from) & has_history
    return Split(data.rank < validation_from, np.flatnonzero(validation), np.flatnonzero(test))


def last_event_validation(data: Sequences) -> Split:
    """No test: each user's last event validates, the rest trains. For a model to be served."""
    lengths = np.diff(data.starts)
    ends = data.starts[1:][lengths >= 2]
    train = np.ones(data.events, np.bool_)
    train[ends - 1] = False
    return Split(train, ends - 1, np.zeros(0, np.int64))


def open_text(path: Path) -> IO[str]:
    """A UTF-8 file, unpacked where it is gzipped (.gz)."""
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


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


def _csv_rows(path: Path) -> Iterator[Mapping[str, object]]:
    with open_text(path) as file:
        head = file.readline()
        delimiter = max(",;\t", key=head.count)
        names = next(csv.reader([head], delimiter=delimiter), [])
        yield from csv.DictReader(file, fieldnames=names, delimiter=delimiter)


def _json_rows(path: Path) -> Iterator[Mapping[str, object]]:
    decode = msgspec.json.Decoder(dict[str, object]).decode
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    row = decode(line)
                except (msgspec.DecodeError, msgspec.ValidationError) as error:
                    message = f"line {number} of {path.name} is not a JSON object: {error}"
                    raise DataError(message) from error
                place = row.get("place")
                if isinstance(place, dict):
                    row.setdefault("lat", place.get("lat"))
                    row.setdefault("lon", place.get("lon"))
                yield row


def _parquet_rows(path: Path) -> Iterator[Mapping[str, object]]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        message = "Parquet needs pyarrow: pip install 'freshrec[parquet]'"
        raise DataError(message) from error
    for batch in parquet.ParquetFile(path).iter_batches():
        yield from batch.to_pylist()


def _events(
    rows: Iterator[Mapping[str, object]],
    columns: Mapping[str, str],
    time_unit: str | None,
    place_cell: PlaceCell | None,
    name: str,
) -> Iterator[Event]:
    names: dict[str, Sequence[str]] = {}
    for number, row in enumerate(rows, 1):
        if not names:
            names = _column_names(list(row), columns, name)
        user, item = _identifier(row, names["user_id"]), _identifier(row, names["item_id"])
        time_ms = parse_time_ms(_first(row, names["timestamp"]), time_unit)
        if user is None or item is None or time_ms is None:
            message = (
                f"row {number} of {name} has no usable user_id, item_id or timestamp: "
                "correct or remove it"
            )
            raise DataError(message)
        event_type = _identifier(row, names["event_type"]) or DEFAULT_EVENT_TYPE
        cell = 0
        if place_cell is not None:
            latitude, longitude = _number(row, names["latitude"]), _number(row, names["longitude"])
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


def _first(row: Mapping[str, object], columns: Sequence[str]) -> object:
    """The first of these columns that has a value."""
    return next((row[column] for column in columns if row.get(column) not in (None, "")), None)


def _identifier(row: Mapping[str, object], columns: Sequence[str]) -> str | None:
    value = _first(row, columns)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column of ids with gaps is read as floats
    text = "" if value is None else str(value).strip()
    return text or None


def _number(row: Mapping[str, object], columns: Sequence[str]) -> float | None:
    value = _first(row, columns)
    try:
        number = float(value) if isinstance(value, (str, int, float)) else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def parse_time_ms(value: object, unit: str | None) -> int | None:
    """Epoch milliseconds of a number, a numeric string, ISO 8601 text or a datetime.

    Text without a zone is taken as UTC. None if it is not a time.
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
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    factor = TIME_UNITS_MS[unit or ("s" if abs(value) < SECONDS_BELOW else "ms")]
    return round(value * factor)
