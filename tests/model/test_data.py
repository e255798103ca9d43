import gzip
from pathlib import Path

import numpy as np
import pytest

from model.data import (
    DataError,
    Event,
    at_least,
    last_event_validation,
    leave_one_out,
    parse_time_ms,
    read_log,
    sequences,
    temporal,
)


def items_of(data, user: str) -> list[str]:
    number = data.users.index(user)
    return [data.items[i] for i in data.item[data.starts[number] : data.starts[number + 1]]]


def test_events_of_a_user_come_in_order_of_time_and_ties_in_order_of_rows():
    rows = [("u", "c", 5), ("v", "x", 1), ("u", "b", 3), ("u", "z", 3), ("u", "a", 3)]
    data = sequences(Event(*row) for row in rows)
    assert items_of(data, "u") == ["b", "z", "a", "c"]
    assert items_of(data, "v") == ["x"]
    assert data.rank.tolist() == [1, 2, 3, 4, 0]


def test_another_tie_order_is_another_data_set():
    one = sequences([Event("u", "a", 1), Event("u", "b", 1)])
    other = sequences([Event("u", "b", 1), Event("u", "a", 1)])
    assert one.fingerprint != other.fingerprint


@pytest.mark.parametrize("name", ["log.tsv", "log.tsv.gz"])
def test_order_only_sequences_keep_their_order(tmp_path: Path, name: str):
    content = b"1\t30 10 20\n2\t10\n"
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    data = read_log(tmp_path / name)
    assert items_of(data, "1") == ["30", "10", "20"]
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
    for nonsense in ("nan", float("inf"), None, True, "", [1]):
        assert parse_time_ms(nonsense, None) is None


def long_log(users: int = 12, events: int = 8):
    """Users take turns, so that everybody is active all the time."""
    return sequences(
        Event(f"u{user}", f"i{(user + 3 * step) % 17}", 1000 * (step * users + user))
        for step in range(events)
        for user in range(users)
    )


def test_leave_one_out_tests_the_last_and_validates_the_one_before():
    data = sequences([*(Event("u", f"i{n}", n) for n in range(5)), Event("v", "i", 9)])
    split = leave_one_out(data)
    assert split.train.tolist() == [True, True, True, False, False, True]
    assert (split.validation.tolist(), split.test.tolist()) == ([3], [4])


def test_the_temporal_split_cuts_everybody_at_the_same_time():
    data = long_log()
    split = temporal(data, test_fraction=0.25, validation_fraction=0.125)
    assert split.train.sum() == 60
    assert data.time_ms[split.train].max() < data.time_ms[split.validation].min()
    assert data.time_ms[split.validation].max() < data.time_ms[split.test].min()
    assert (len(split.validation), len(split.test)) == (12, 24)


def test_a_users_first_event_is_never_predicted():
    data = sequences(Event(f"u{n}", "i", n) for n in range(10))
    split = temporal(data, test_fraction=0.5, validation_fraction=0.2)
    assert len(split.validation) == len(split.test) == 0


def test_order_only_data_has_no_temporal_split(tmp_path: Path):
    (tmp_path / "a.tsv").write_text("1\ta b c\n")
    with pytest.raises(DataError, match="order-only"):
        temporal(read_log(tmp_path / "a.tsv"), test_fraction=0.2, validation_fraction=0.1)
    with pytest.raises(DataError, match="leave no event"):
        temporal(long_log(), test_fraction=0.9, validation_fraction=0.2)


def test_a_model_to_be_served_keeps_no_test_events():
    split = last_event_validation(long_log())
    assert not len(split.test)
    assert np.flatnonzero(~split.train).tolist() == split.validation.tolist()


def test_items_with_too_few_events_and_users_left_with_none_are_dropped():
    rows = [("u", "a", 7), ("v", "rare", 2), ("w", "b", 5), ("w", "a", 5)]
    rows += [("x", "b", 1), ("x", "a", 8)]
    events = [Event(user, item, time, f"type-{user}", time % 3) for user, item, time in rows]
    found = at_least(sequences(events), item_events=2)
    expected = sequences([event for event in events if event.item_id != "rare"])
    for log in (found, expected):
        assert log.users == ["u", "w", "x"]
        assert sorted(log.items) == ["a", "b"]
        assert items_of(log, "w") == ["b", "a"]
    assert found.rank.tolist() == expected.rank.tolist()
    assert found.time_ms.tolist() == expected.time_ms.tolist()
    assert found.place_cell.tolist() == expected.place_cell.tolist()
    assert [found.event_types[i] for i in found.event_type] == [
        expected.event_types[i] for i in expected.event_type
    ]
    assert found.starts.tolist() == [0, 1, 3, 5]


def test_a_log_without_rare_items_is_left_as_it_is_and_another_has_another_fingerprint():
    log = sequences([Event("u", "a", 1), Event("u", "a", 2), Event("v", "b", 3)])
    assert at_least(log, item_events=1) is log
    assert at_least(log, item_events=2).fingerprint != log.fingerprint
    with pytest.raises(DataError, match="no item has 3 events: ask for fewer"):
        at_least(log, item_events=3)
    with pytest.raises(DataError, match="1 or more, not 0"):
        at_least(log, item_events=0)
