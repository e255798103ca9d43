"""Click logs on disk: CSV, JSONL and Parquet, plain or gzipped, read lazily and in time order.

A log that is already sorted is streamed; one that is not is sorted in runs that are spilled to a
temporary file and merged, so memory stays bounded whatever the size of the log.
"""

from __future__ import annotations

import csv
import gzip
import heapq
import io
import itertools
import tempfile
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from streams.columns import ColumnMapping, LoggedClick, MappingError, Row, Skip

RUN_CLICKS = 200_000  # clicks sorted in memory at a time
MAX_LINE_BYTES = 1_048_576
_JSON_SUFFIXES = {".jsonl", ".ndjson", ".json"}


class LogError(ValueError):
    """A log that cannot be read; the message says why and what to do."""


@dataclass
class LogSummary:
    """What one pass over a log found. Times are epoch milliseconds."""

    clicks: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    first_ms: int = 0
    last_ms: int = 0
    is_sorted: bool = True


class ClickLog:
    """The clicks of one file under one column mapping. Every pass reads the file again."""

    def __init__(self, path: Path, mapping: ColumnMapping, run_clicks: int = RUN_CLICKS) -> None:
        self.path = path
        self._mapping = mapping
        self._run_clicks = run_clicks

    def scan(self) -> LogSummary:
        """Read it once: sizes, time range, and whether it is in time order."""
        summary = LogSummary()
        previous = -1
        for click in self._rows_as_clicks(summary.skipped):
            time_ms = click.timestamp_ms
            if summary.clicks == 0:
                summary.first_ms = summary.last_ms = time_ms
            summary.clicks += 1
            summary.first_ms = min(summary.first_ms, time_ms)
            summary.last_ms = max(summary.last_ms, time_ms)
            summary.is_sorted &= time_ms >= previous
            previous = time_ms
        if summary.clicks == 0:
            reasons = ", ".join(f"{n} {reason}" for reason, n in summary.skipped.items())
            raise LogError(
                f"{self.path} has no click ({reasons or 'it is empty'}): see --preset and --map."
            )
        return summary

    def clicks(self, summary: LogSummary) -> Generator[LoggedClick]:
        """The clicks in order of (time, row); `summary` is that of `scan`."""
        rows = self._rows_as_clicks(Counter())
        return rows if summary.is_sorted else sort_clicks(rows, self._run_clicks)

    def _rows_as_clicks(self, skipped: Counter[str]) -> Generator[LoggedClick]:
        with closing(read_rows(self.path, self._mapping)) as rows:
            for number, row in enumerate(rows):
                for click in self._mapping.clicks(row, number):
                    if isinstance(click, Skip):
                        skipped[click.reason] += 1
                    else:
                        yield click


def sort_clicks(clicks: Iterator[LoggedClick], run_clicks: int) -> Generator[LoggedClick]:
    """Sort by (time, row), `run_clicks` in memory at a time: runs on disk, then a merge."""
    encoder = msgspec.msgpack.Encoder()
    with ExitStack() as stack:
        runs: list[IO[bytes]] = []
        while run := list(itertools.islice(clicks, run_clicks)):
            run.sort(key=_order)
            file = stack.enter_context(tempfile.TemporaryFile())
            for click in run:
                blob = encoder.encode(click)
                file.write(len(blob).to_bytes(4, "big") + blob)
            file.seek(0)
            runs.append(file)
        yield from heapq.merge(*(_read_run(file) for file in runs), key=_order)


def _order(click: LoggedClick) -> tuple[int, int]:
    return click.timestamp_ms, click.row


def _read_run(file: IO[bytes]) -> Iterator[LoggedClick]:
    decoder = msgspec.msgpack.Decoder(LoggedClick)
    while prefix := file.read(4):
        yield decoder.decode(file.read(int.from_bytes(prefix, "big")))


def read_rows(path: Path, mapping: ColumnMapping) -> Generator[Row]:
    """The rows of a log, by the suffix of its name (`.gz` stripped). Raises `LogError`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    zipped = bool(suffixes) and suffixes[-1] == ".gz"
    kind = (suffixes[:-1] if zipped else suffixes)[-1:] or [""]
    try:
        if kind[0] == ".parquet":
            yield from _parquet_rows(path)
            return
        with closing(gzip.open(path) if zipped else path.open("rb")) as raw:
            binary = cast("IO[bytes]", raw)
            if kind[0] in _JSON_SUFFIXES:
                yield from _json_rows(path, binary)
            else:
                yield from _csv_rows(binary, kind[0], mapping)
    except MappingError as error:
        raise LogError(f"{path}: {error}") from error
    except (OSError, EOFError) as error:
        raise LogError(f"Cannot read {path}: {error}.") from error
    except UnicodeDecodeError as error:
        raise LogError(f"{path} is not UTF-8 text: {error}.") from error
    except csv.Error as error:
        raise LogError(f"{path} is not a CSV file: {error}.") from error


def _json_rows(path: Path, binary: IO[bytes]) -> Iterator[Row]:
    decode = msgspec.json.Decoder().decode
    number = 0
    while line := binary.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise LogError(f"Line {number} of {path} is longer than {MAX_LINE_BYTES} bytes.")
        if not line.strip():
            continue
        try:
            row = decode(line)
        except msgspec.DecodeError as error:
            raise LogError(f"Line {number} of {path} is not JSON: {error}.") from error
        if not isinstance(row, dict):
            raise LogError(f"Line {number} of {path} is not a JSON object.")
        yield row


def _csv_rows(binary: IO[bytes], kind: str, mapping: ColumnMapping) -> Iterator[Row]:
    with io.TextIOWrapper(binary, encoding="utf-8-sig", newline="") as text:
        first = text.readline(MAX_LINE_BYTES)
        delimiter = mapping.delimiter or ("\t" if kind == ".tsv" else _delimiter(first))
        lines: Iterator[str] = itertools.chain([first], text)
        if delimiter == "::":  # GroupLens' own; the csv module takes one character
            lines, delimiter = (line.replace("::", "\t") for line in lines), "\t"
        rows: Iterator[list[str]] = csv.reader(lines, delimiter=delimiter)
        header = next(rows, [])
        if mapping.header is not None and header and header[0].strip().isdigit():
            rows = itertools.chain([header], rows)
            header = list(mapping.header)
        names = [name.strip() for name in header]
        mapping.check_header(names)
        for cells in rows:
            if cells:
                yield dict(zip(names, cells, strict=False))


def _delimiter(line: str) -> str:
    return max(("::", "\t", ";", "|", ","), key=lambda mark: (line.count(mark), mark == ","))


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise LogError(
            "Parquet logs need pyarrow: pip install 'freshrec[parquet]', or convert to JSONL."
        ) from error
    import pyarrow as pa

    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=10_000):
                rows: list[dict[str, Any]] = batch.to_pylist()
                yield from rows
    except pa.ArrowException as error:
        raise LogError(f"{path} is not a Parquet file: {error}.") from error
