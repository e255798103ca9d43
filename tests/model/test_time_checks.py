"""Checks of times: what each finds in a log that has just that fault, and in one that has not."""

from model.data import Event
from model.time_checks import DAY_MS
from tests.model.checked_logs import NOW_MS, START_MS, found, people


def test_ties_count_within_a_user_and_not_between_users():
    rows = [Event("u", "a", START_MS), Event("v", "b", START_MS), Event("v", "c", START_MS)]
    assert found(rows, "ties").count == 1


def test_times_after_now_are_counted_against_the_now_that_was_given():
    rows = people()
    late = Event("u0", "i1", NOW_MS + 2 * DAY_MS)
    soon = Event("u0", "i1", NOW_MS + DAY_MS // 2)
    assert found([*rows, soon], "future_times").count == 0
    finding = found([*rows, late], "future_times")
    assert (finding.count, finding.severity) == (1, "warning")
    assert "2025-10-11" in finding.detail
    wrong_unit = [row._replace(timestamp_ms=row.timestamp_ms * 1000) for row in rows]
    assert found(wrong_unit, "future_times").severity == "error"


def test_times_of_1970_are_a_wrong_unit_and_those_of_1998_only_old():
    rows = people()
    seconds = [row._replace(timestamp_ms=row.timestamp_ms // 1000) for row in rows]
    assert found(seconds, "old_times").severity == "error"
    of_1998 = [row._replace(timestamp_ms=row.timestamp_ms - 27 * 365 * DAY_MS) for row in rows]
    assert found(of_1998, "old_times").severity == "warning"
    assert found(of_1998, "old_times").share == 1.0


def test_dates_without_times_of_day_are_noticed():
    rows = [r._replace(timestamp_ms=r.timestamp_ms // DAY_MS * DAY_MS) for r in people()]
    assert found(rows, "time_resolution").severity == "warning"
    assert found(people(), "time_resolution").severity == "info"
