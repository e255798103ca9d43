"""Files of rows: CSV, JSON lines and Parquet, as mappings from column to value."""

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from model.data import DataError

Row = Mapping[str, object]


def kind_of(path: Path) -> str:
    """Suffix of a file without that of gzip, in lower case."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    return suffixes[-1] if suffixes else ""


def read_rows(path: Path, kinds: Sequence[str]) -> Iterator[Row]:
    """Rows of a file of one of these kinds, keys of READERS, text ones also gzipped (.gz).

    DataError, one sentence, where it is none of them and, as its rows are read, at what is wrong.
    """
    kind = kind_of(path)
    if kind not in kinds:
        message = f"{path.name} is none of {', '.join(kinds)} (each also as .gz): convert it"
        raise DataError(message)
    return _rows(path, READERS[kind])


def _rows(path: Path, reader: Callable[[Path], Iterator[Row]]) -> Iterator[Row]:
    with readable(path):
        yield from reader(path)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """DataError, one sentence, where the file turns out to be damaged or of another encoding."""
    try:
        yield
    except (UnicodeDecodeError, OSError, EOFError, zlib.error, csv.Error) as error:
        message = f"{path.name} cannot be read: {error}"
        raise DataError(message) from error


def open_text(path: Path) -> IO[str]:
    """A UTF-8 file, unpacked where it is gzipped (.gz)."""
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _csv_rows(path: Path) -> Iterator[Row]:
    with open_text(path) as file:
        head = file.readline()
        delimiter = max(",;\t", key=head.count)
        names = next(csv.reader([head], delimiter=delimiter), [])
        yield from csv.DictReader(file, fieldnames=names, delimiter=delimiter)


def _json_rows(path: Path) -> Iterator[Row]:
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


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        message = "Parquet needs pyarrow: pip install 'freshrec[parquet]'"
        raise DataError(message) from error
    for batch in parquet.ParquetFile(path).iter_batches():
        yield from batch.to_pylist()


READERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
    ".jsonl": _json_rows,
    ".ndjson": _json_rows,
    ".parquet": _parquet_rows,
}
"""By kind of file."""


def first_value(row: Row, columns: Sequence[str]) -> object:
    """The first of these columns that has a value."""
    return next((row[column] for column in columns if row.get(column) not in (None, "")), None)


def identifier(row: Row, columns: Sequence[str]) -> str | None:
    """An id as text without the spaces around it; None if there is none."""
    value = first_value(row, columns)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column of ids with gaps is read as floats
    text = "" if value is None else str(value).strip()
    return text or None
