"""Checks of a log: what each finds in a log that has just that fault, and in one that has not."""

from collections.abc import Iterable

import numpy as np
import pytest

from model.checks import CHECKS, DAY_MS, Finding, findings
from model.data import Event, Sequences, sequences

NOW_MS = 1_760_000_000_000  # 2025-10-09
START_MS = 1_750_000_000_000


def people(users: int = 300, events: int = 12, seed: int = 0) -> list[Event]:
    """A log in order: irregular gaps, varied items, no bots."""
    random = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        time_ms = START_MS + int(random.integers(0, 30 * DAY_MS))
        for item in random.choice(40, events, replace=False).tolist():
            rows.append(Event(f"u{user}", f"i{item}", time_ms))
            time_ms += 1 + int(random.exponential(3_600_000))
    return rows


def found(log: Sequences | Iterable[Event], name: str, **options: object) -> Finding:
    data = log if isinstance(log, Sequences) else sequences(log)
    by_name = {f.name: f for f in findings(data, now_ms=NOW_MS, **options)}  # type: ignore[arg-type]
    return by_name[name]


def test_a_log_in_order_has_nothing_to_complain_of():
    every = findings(sequences(people()), now_ms=NOW_MS)
    assert [f.name for f in every if f.severity != "info"] == []
    assert len(every) == len(CHECKS) + 3


def test_every_finding_above_info_says_what_to_do():
    bad = [Event("u", "i", 5), Event("u", "i", 5), Event("v", "i", NOW_MS + 10 * DAY_MS)]
    noted = [f for f in findings(sequences(bad), now_ms=NOW_MS) if f.severity != "info"]
    assert {"duplicates", "ties", "future_times", "old_times", "split"} <= {f.name for f in noted}
    assert all(f.advice for f in noted)


def test_a_doubled_event_is_a_duplicate_and_one_of_another_type_or_time_is_not():
    rows = people()
    first = rows[0]
    other_type = first._replace(event_type="purchase")
    other_time = first._replace(timestamp_ms=first.timestamp_ms + 1)
    finding = found([*rows, first, first, other_type, other_time], "duplicates")
    assert finding.count == 2
    assert finding.severity == "info"
    assert found(rows * 2, "duplicates").severity == "warning"
    assert found(rows * 2, "duplicates").share == 0.5


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


def test_single_events_are_a_warning_where_most_users_have_one():
    rows = [Event(f"s{n}", "i1", START_MS + n) for n in range(400)]
    finding = found([*people(), *rows], "single_event_users")
    assert (finding.count, finding.severity) == (400, "warning")
    assert found(people(), "single_event_users").count == 0


def test_items_that_occur_once_are_counted():
    rows = [Event("u0", f"once{n}", START_MS + n) for n in range(100)]
    finding = found([*people(), *rows], "rare_items")
    assert (finding.count, finding.severity) == (100, "warning")
    assert finding.share == pytest.approx(100 / 140)


def test_a_scraper_is_busy_and_the_keenest_person_is_not():
    random = np.random.default_rng(1)
    times = np.sort(random.integers(0, DAY_MS // 2, 3000)) + START_MS // DAY_MS * DAY_MS
    bot = [Event("scraper", f"i{n % 40}", time) for n, time in enumerate(times.tolist())]
    finding = found([*people(), *bot], "busy_users")
    assert (finding.count, finding.severity) == (1, "warning")
    assert "scraper" in finding.detail
    assert finding.share == pytest.approx(3000 / (3000 + 3600))
    assert found([*people(), *bot[:400]], "busy_users").count == 0


def test_equal_gaps_are_a_machines_even_with_pauses_and_jitter():
    random = np.random.default_rng(2)
    gaps = 60_000 + random.integers(-1500, 1500, 50)
    gaps[[10, 30]] = 8 * 3_600_000
    times = START_MS + np.cumsum(gaps)
    monitor = [Event("monitor", f"i{n % 40}", time) for n, time in enumerate(times.tolist())]
    finding = found([*people(events=30), *monitor], "regular_users")
    assert (finding.count, finding.severity) == (1, "warning")
    assert "monitor" in finding.detail


def test_gaps_that_are_equal_by_rounding_are_no_machines():
    rows = [
        Event(f"u{user}", f"i{n % 40}", START_MS // 1000 * 1000 + (user * 100 + n) * 1000)
        for user in range(3)
        for n in range(30)
    ]
    assert found(rows, "regular_users").count == 0


def test_a_user_stuck_on_one_item_is_noticed():
    random = np.random.default_rng(3)
    times = START_MS + np.cumsum(1 + random.exponential(3_600_000, 40).astype(np.int64))
    stuck = [Event("stuck", "i1", time) for time in times.tolist()]
    assert found([*people(events=30), *stuck], "one_item_users").count == 1
    assert found(people(events=30), "one_item_users").count == 0


@pytest.mark.parametrize(
    ("items", "policy", "share"),
    [("abcdefghij", "exclude", 0.0), ("aabcdefghi", "discount", 0.1), ("ababababab", "allow", 0.8)],
)
def test_the_share_of_repeats_suggests_a_policy(items: str, policy: str, share: float):
    rows = [Event("u", item, START_MS + n) for n, item in enumerate(items)]
    finding = found(rows, "repeats")
    assert finding.share == pytest.approx(share)
    assert f"policy {policy}" in finding.detail


def test_event_types_are_listed_with_their_counts():
    rows = [*people(), Event("u0", "i1", START_MS, "purchase")]
    finding = found(rows, "event_types")
    assert "click 3600, purchase 1" in finding.detail
    per_event = [row._replace(event_type=str(n)) for n, row in enumerate(people())]
    assert found(per_event, "event_types").severity == "warning"


def test_places_are_counted_in_events_and_cells():
    rows = [row._replace(place_cell=1 + n % 5 if n % 2 else 0) for n, row in enumerate(people())]
    finding = found(rows, "places")
    assert finding.count == 1800
    assert "5 cells" in finding.detail


def test_a_split_without_validation_events_is_an_error_and_a_small_one_a_warning():
    pairs = [Event(f"u{n // 2}", f"i{n % 7}", START_MS + n) for n in range(40)]
    assert found(pairs, "split").severity == "error"
    assert found(pairs, "split", split="none").severity == "warning"
    assert found(people(), "split").count == 300


def test_order_only_data_is_not_judged_by_its_times_and_has_no_temporal_split():
    order_only = sequences(
        (Event(f"u{n % 9}", f"i{n % 11}", 0) for n in range(99)), has_times=False
    )
    by_name = {f.name: f for f in findings(order_only, now_ms=NOW_MS)}
    for name in ("duplicates", "ties", "future_times", "old_times", "time_resolution"):
        assert by_name[name].severity == "info"
        assert "no times" in by_name[name].detail
    assert found(order_only, "split", split="temporal").severity == "error"


def test_held_out_items_that_training_never_sees_are_counted():
    rows = [Event(f"u{n}", item, START_MS + k) for n in range(9) for k, item in enumerate("abac")]
    rows[3] = rows[3]._replace(item_id="new")
    assert found(rows, "unknown_targets").count == 9  # every c, and the new one
    repeated = [row._replace(item_id="a") for row in rows]
    assert found(repeated, "unknown_targets").count == 0


def test_a_log_of_one_event_is_judged_without_a_fault():
    every = findings(sequences([Event("u", "i", START_MS)]), now_ms=NOW_MS)
    assert {f.name for f in every if f.severity == "error"} == {"split"}
