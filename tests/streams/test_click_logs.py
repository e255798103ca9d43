"""Reading logs: formats, order, bounded sorting, and files that are not what they seem."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.click_logs import ClickLog, LogError, read_rows, sort_clicks
from streams.columns import CLICKS, PRESETS, LoggedClick

CSV = "user_id,item_id,timestamp\nu1,a,3000000000000\nu2,b,1000000000000\nu1,c,1000000000000\n"


def _read(log: ClickLog) -> list[tuple[str, str]]:
    return [(click.user_id, click.item_id) for click in log.clicks(log.scan())]


def test_a_log_comes_in_order_of_time_and_then_of_rows(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(CSV)
    log = ClickLog(path, CLICKS)
    summary = log.scan()
    assert (summary.clicks, summary.is_sorted) == (3, False)
    assert (summary.first_ms, summary.last_ms) == (1_000_000_000_000, 3_000_000_000_000)
    assert _read(log) == [("u2", "b"), ("u1", "c"), ("u1", "a")]


@pytest.mark.parametrize("name", ["log.jsonl", "log.ndjson.gz", "log.csv.gz", "log.tsv"])
def test_every_format_gives_the_same_clicks(tmp_path: Path, name: str) -> None:
    rows = [line.split(",") for line in CSV.split()]
    if "json" in name:
        text = "\n".join(json.dumps(dict(zip(rows[0], row, strict=True))) for row in rows[1:])
    else:
        text = CSV.replace(",", "\t") if name.endswith(".tsv") else CSV
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    assert _read(ClickLog(path, CLICKS)) == [("u2", "b"), ("u1", "c"), ("u1", "a")]


def test_a_parquet_log_is_read_in_batches(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "log.parquet"
    table = pa.table({"user_id": ["u1"], "item_id": [5], "timestamp": [1_000_000_000_000]})
    parquet.write_table(table, path)
    assert _read(ClickLog(path, CLICKS)) == [("u1", "5")]
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(LogError, match="is not a Parquet file"):
        ClickLog(path, CLICKS).scan()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ratings.csv", "userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n"),
        ("ratings.dat", "1::31::2.5::1260759144\n"),
        ("u.data", "1\t31\t2.5\t1260759144\n"),
    ],
)
def test_movielens_is_read_in_each_of_its_file_formats(
    tmp_path: Path, name: str, text: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    log = ClickLog(path, PRESETS["movielens"])
    assert list(log.clicks(log.scan())) == [
        LoggedClick(1_260_759_144_000, 0, "1", "31", "click", value=2.5)
    ]


def test_rows_that_are_no_clicks_are_counted_by_reason(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(CSV + "u9,,1000000000000\nu9,z,soon\n\n")
    assert ClickLog(path, CLICKS).scan().skipped == {"no_item": 1, "bad_timestamp": 1}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("log.csv", b"user_id,item_id,timestamp\n", "no click"),
        ("log.csv", b"", "--map user_id=COLUMN"),
        ("log.csv", b"uid,item_id,timestamp\n1,2,3\n", "--map user_id=COLUMN"),
        ("log.csv", b"user_id,item_id,timestamp\nu,\xff,1\n", "not UTF-8"),
        ("log.csv.gz", b"plain text", "Cannot read"),
        ("log.jsonl", b'{"a":1}\n[1]\n', "Line 2 .* not a JSON object"),
        ("log.jsonl", b"{oops\n", "Line 1 .* not JSON"),
        ("log.jsonl", b"[" * 2_000_000, "longer than"),
    ],
)
def test_a_file_that_is_not_a_log_is_one_sentence(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(LogError, match=words):
        ClickLog(path, CLICKS).scan()


def test_rows_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"n": 1}\nnot json')
    rows = read_rows(path, CLICKS)
    assert next(rows) == {"n": 1}  # the damaged second line was not reached yet
    with pytest.raises(LogError):
        next(rows)


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 7))
def test_sorting_in_runs_equals_sorting_at_once(times: list[int], run_clicks: int) -> None:
    clicks = [LoggedClick(time, row, "u", f"i{row}") for row, time in enumerate(times)]
    expected = sorted(clicks, key=lambda click: (click.timestamp_ms, click.row))
    assert list(sort_clicks(iter(clicks), run_clicks)) == expected


def test_sorting_holds_one_run_at_a_time() -> None:
    held: list[int] = []
    drawn = 0

    def source() -> Iterator[LoggedClick]:
        nonlocal drawn
        for row in range(1000):
            drawn += 1
            yield LoggedClick(1000 - row, row, "u", "i")

    merged = sort_clicks(source(), run_clicks=100)
    assert next(merged).timestamp_ms == 1
    held.append(drawn)
    assert held == [1000]
    assert len(list(merged)) == 999
