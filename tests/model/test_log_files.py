"""Click logs of every form of file, and what is said of those that cannot be used."""

import gzip
from pathlib import Path

import pytest

from model.data import DataError
from model.log_files import parse_time_ms, read_log

# A byte in the middle is another one than was written.
_WHOLE = gzip.compress(
    b"user,item,time\n" + b"".join(b"%d,%d,9\n" % (n, n * n) for n in range(999))
)
DAMAGED = _WHOLE[:200] + bytes(255 - byte for byte in _WHOLE[200:202]) + _WHOLE[202:]


@pytest.mark.parametrize("name", ["log.tsv", "log.tsv.gz"])
def test_order_only_sequences_keep_their_order(tmp_path: Path, name: str):
    content = b"1\t30 10 20\n2\t10\n"
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    data = read_log(tmp_path / name)
    assert [data.items[index] for index in data.item] == ["30", "10", "20", "10"]
    assert data.starts.tolist() == [0, 3, 4]
    assert not data.has_times


def test_csv_jsonl_and_tab_separated_logs_read_the_same(tmp_path: Path):
    (tmp_path / "a.csv").write_text(
        "user_id,item_id,timestamp,event_type\n"
        "u,i1,2026-01-31T12:00:00Z,click\nu,i2,1769860801,purchase\nv,i1,1769860802000,\n"
    )
    (tmp_path / "a.jsonl").write_text(
        '{"user_id":"u","item_id":"i1","timestamp":"2026-01-31T13:00:00+01:00"}\n\n'
        '{"user_id":"u","item_id":"i2","timestamp":1769860801000,"event_type":"purchase"}\n'
        '{"session_id":"v","user_id":"v","item_id":"i1","timestamp":"1769860802"}\n'
    )
    (tmp_path / "a.tsv").write_text(
        "user\titem\ttime\ttype\n"
        "u\ti1\t1769860800\tclick\nu\ti2\t1769860801\tpurchase\nv\ti1\t1769860802\tclick\n"
    )
    logs = [read_log(tmp_path / name) for name in ("a.csv", "a.jsonl", "a.tsv")]
    assert len({log.fingerprint for log in logs}) == 1
    assert logs[0].time_ms.tolist() == [1769860800000, 1769860801000, 1769860802000]
    assert logs[0].event_types == ["click", "purchase"]


def test_columns_can_be_mapped_and_numeric_times_given_a_unit(tmp_path: Path):
    (tmp_path / "a.csv").write_text("who;what;minute\n7;x;10\n7;y;11\n")
    columns = {"user_id": "who", "item_id": "what", "timestamp": "minute"}
    data = read_log(tmp_path / "a.csv", columns=columns, time_unit="min")
    assert data.time_ms.tolist() == [600_000, 660_000]


def test_places_become_cells_through_the_function_given(tmp_path: Path):
    (tmp_path / "a.csv").write_text("user,item,time,lat,lon\n1,x,1,2.5,4\n1,y,2,,\n")
    cells = read_log(tmp_path / "a.csv", place_cell=lambda lat, lon: int(lat * 10 + lon))
    assert cells.place_cell.tolist() == [29, 0]
    assert read_log(tmp_path / "a.csv").place_cell.tolist() == [0, 0]


@pytest.mark.parametrize("place", ["90.1,4", "-91,4", "2,180.5", "2,-181", "nan,4", "2,inf", "x,4"])
def test_what_is_no_point_of_the_earth_is_no_place(place: str, tmp_path: Path):
    (tmp_path / "a.csv").write_text(f"user,item,time,lat,lon\n1,x,1,{place}\n")
    log = read_log(tmp_path / "a.csv", place_cell=lambda lat, lon: int(lat * 10 + lon))
    assert log.place_cell.tolist() == [0]


def test_what_users_turned_down_is_left_out(tmp_path: Path):
    (tmp_path / "a.csv").write_text("user,item,time,event\n1,x,1,like\n1,y,2,dislike\n")
    assert read_log(tmp_path / "a.csv").items == ["x"]


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.csv", "user,thing,time\n1,2,3\n", "no column for item_id"),
        ("a.csv", "user,item,time\n1,2,soon\n", "row 1 of a.csv"),
        ("a.csv", "user,item,time\n1,,3\n", "row 1 of a.csv"),
        ("a.csv", "user,item,time\n", "no usable event"),
        ("a.csv", "", "no usable event"),
        ("a.csv", b"user,item,time\n1,\xff,3\n", "cannot be read"),
        ("a.jsonl", "{]\n", "line 1 of a.jsonl"),
        ("a.xlsx", "x", "convert it"),
        ("a.tsv", "1\t2 3\nnonsense\n", "line 2 of a.tsv"),
        ("a.csv.gz", "not gzip", "cannot be read"),
        ("a.csv.gz", DAMAGED, "cannot be read"),
        ("a.tsv.gz", "not gzip", "cannot be read"),
        ("a.csv", "user,item,time\n1,2,1e300\n", "row 1 of a.csv"),
        ("a.jsonl", '{"user":1,"item":2,"time":1' + "0" * 400 + "}", "row 1 of a.jsonl"),
    ],
)
def test_a_log_that_cannot_be_used_says_why(
    tmp_path: Path, name: str, content: str | bytes, fault: str
):
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=fault):
        read_log(tmp_path / name)


def test_wrong_mappings_say_what_there_is(tmp_path: Path):
    (tmp_path / "a.csv").write_text("user,item,time\n1,2,3\n")
    with pytest.raises(DataError, match="it has user, item, time"):
        read_log(tmp_path / "a.csv", columns={"user_id": "uid"})
    with pytest.raises(DataError, match="not a field"):
        read_log(tmp_path / "a.csv", columns={"colour": "user"})
    with pytest.raises(DataError, match="time unit"):
        read_log(tmp_path / "a.csv", time_unit="fortnight")
    with pytest.raises(DataError, match="there is no file"):
        read_log(tmp_path / "b.csv")


def test_times_are_read_in_every_common_form():
    assert parse_time_ms("2026-01-31T12:00:00.123Z", None) == 1769860800123
    assert parse_time_ms("2026-01-31 12:00:00", None) == 1769860800000
    assert parse_time_ms(1769860800, None) == parse_time_ms(1769860800000, None)
    assert parse_time_ms("1769860800.5", None) == 1769860800500
    for nonsense in ("nan", float("inf"), None, True, "", [1], 1e300, 10**400, -(2**63) * 1000):
        assert parse_time_ms(nonsense, None) is None
