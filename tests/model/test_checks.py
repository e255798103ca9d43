"""Checks of a log: what each finds in a log that has just that fault, and in one that has not."""

import pytest

from model.checks import CHECKS, findings
from model.data import Event, sequences
from model.splits import SPLITS
from model.time_checks import DAY_MS
from tests.model.checked_logs import NOW_MS, START_MS, found, people


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


def test_a_share_of_the_data_is_looked_at_alone():
    rows = people()
    newest = max(rows, key=lambda row: row.timestamp_ms)
    doubled = [*rows, *[newest] * 900]  # of 4,500 events; the oldest tenth has none of them
    assert found(doubled, "duplicates").count == 900
    for split in SPLITS:
        young = found(doubled, "duplicates", split=split, data_share=0.1)
        assert (young.severity, young.count) == ("info", 0)
    early = found(rows, "split", split="temporal", data_share=0.25)
    whole = found(rows, "split", split="temporal")
    assert early.count < whole.count
    assert early.detail.split(" and ")[1] == whole.detail.split(" and ")[1]  # the same test
    unknown = [row._replace(item_id="late") if row is newest else row for row in rows]
    assert found(unknown, "unknown_targets", split="temporal", data_share=0.25).count == 1


def test_a_share_too_small_to_validate_on_is_an_error():
    few = found(people(users=30), "split", data_share=0.0001)
    assert (few.severity, few.count) == ("error", 0)


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
