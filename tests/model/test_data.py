import numpy as np
import pytest

from model.data import (
    DataError,
    Event,
    at_least,
    last_event_validation,
    leave_one_out,
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


def test_all_but_a_users_first_event_have_a_history():
    log = sequences([Event("u", "a", 1), Event("v", "b", 2), Event("u", "c", 3)])
    assert log.has_history.tolist() == [False, True, False]


def test_another_tie_order_is_another_data_set():
    one = sequences([Event("u", "a", 1), Event("u", "b", 1)])
    other = sequences([Event("u", "b", 1), Event("u", "a", 1)])
    assert one.fingerprint != other.fingerprint


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


def test_order_only_data_has_no_temporal_split():
    log = sequences((Event("1", item, 0) for item in "abc"), has_times=False)
    with pytest.raises(DataError, match="order-only"):
        temporal(log, test_fraction=0.2, validation_fraction=0.1)
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
