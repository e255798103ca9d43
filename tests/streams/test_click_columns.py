"""Records of the clicks topic to columns: what is kept, what is left out, what is erased."""

import msgspec
import numpy as np

from streams.click_columns import ClickColumns, LogRecord, TrainingLog
from streams.events import ClickLimits

NOW_MS = 1_760_000_000_000
LIMITS = ClickLimits(
    max_age_ms=86_400_000, event_types=frozenset({"click", "purchase", "impression"})
)


def click(user: str, item: str, time_ms: int = NOW_MS, **more: object) -> bytes:
    return msgspec.json.encode({"user_id": user, "item_id": item, "timestamp": time_ms, **more})


def folded(*records: tuple[int, int, int, bytes | None, bytes | None]) -> TrainingLog:
    columns = ClickColumns(LIMITS, frozenset({"click", "purchase"}))
    for record in records:
        columns.add(LogRecord(*record))
    return columns.finish()


def clicks_of(log: TrainingLog) -> list[tuple[str, str]]:
    return [(log.users[user], log.items[item]) for user, item, *_ in log.table.tolist()]


def test_clicks_become_columns_with_one_copy_of_each_name():
    log = folded(
        (0, 0, NOW_MS, b"u", click("u", "a", NOW_MS - 5, event_type="purchase")),
        (0, 1, NOW_MS, b"v", click("v", "a", place={"lat": 40.0, "lon": -74.0})),
    )
    assert (log.users, log.items, log.event_types) == (["u", "v"], ["a"], ["purchase", "click"])
    assert log.table[:, :4].tolist() == [[0, 0, 0, NOW_MS - 5], [1, 0, 1, NOW_MS]]
    assert (log.table[:, 4] > 0).tolist() == [False, True]


def test_what_a_worker_would_refuse_is_left_out_and_counted_by_reason():
    log = folded(
        (0, 0, NOW_MS, b"u", b"{not json"),
        (0, 1, NOW_MS, b"u", b"{}"),
        (0, 2, NOW_MS, b"u", click("u", "old", NOW_MS - 90_000_000)),
        (0, 3, NOW_MS, b"u", click("u", "a", event_type="unheard-of")),
        (0, 4, NOW_MS, b"u", click("u", "shown", event_type="impression")),
        (0, 5, NOW_MS, b"u", click("u", "a")),
    )
    assert clicks_of(log) == [("u", "a")]
    assert log.items == ["a"]
    assert log.counts == {
        "records": 6, "clicks": 1, "not_positive": 1, "duplicates": 0, "erasures": 0,
        "erased_clicks": 0, "rejected_malformed_json": 1, "rejected_missing_field": 1,
        "rejected_too_old": 1, "rejected_unknown_event_type": 1,
    }  # fmt: skip


def test_a_second_click_with_the_users_event_id_is_left_out_and_anothers_is_not():
    log = folded(
        (0, 0, NOW_MS, b"u", click("u", "a", event_id="e1")),
        (0, 1, NOW_MS, b"u", click("u", "b", event_id="e1")),
        (0, 2, NOW_MS, b"v", click("v", "c", event_id="e1")),
        (0, 3, NOW_MS, b"u", click("u", "d")),
        (0, 4, NOW_MS, b"u", click("u", "d")),
    )
    assert clicks_of(log) == [("u", "a"), ("v", "c"), ("u", "d"), ("u", "d")]
    assert log.counts["duplicates"] == 1


def test_an_erasure_takes_the_earlier_clicks_and_every_name_with_it():
    log = folded(
        (0, 0, NOW_MS, b"gone", click("gone", "secret")),
        (0, 1, NOW_MS, b"stays", click("stays", "a")),
        (0, 2, NOW_MS, b"gone", None),
        (0, 3, NOW_MS, b"back", click("back", "b")),
        (0, 4, NOW_MS, b"back", None),
        (0, 5, NOW_MS, b"back", click("back", "c")),
    )
    assert clicks_of(log) == [("stays", "a"), ("back", "c")]
    assert log.users == ["stays", "back"]
    assert log.items == ["a", "c"]
    assert (log.counts["erasures"], log.counts["erased_clicks"]) == (2, 2)


def test_a_click_in_another_partition_is_earlier_by_the_records_times():
    log = folded(
        (1, 0, NOW_MS, b"other key", click("gone", "a")),
        (1, 1, NOW_MS + 200, b"other key", click("gone", "b")),
        (0, 9, NOW_MS + 100, b"gone", None),
        (0, 10, NOW_MS, b"gone", click("gone", "c")),  # a later offset whatever its time
    )
    assert clicks_of(log) == [("gone", "c"), ("gone", "b")]


def test_an_erasure_of_nobody_known_or_without_a_usable_key_changes_nothing():
    log = folded(
        (0, 0, NOW_MS, b"u", click("u", "a")),
        (0, 1, NOW_MS, b"stranger", None),
        (0, 2, NOW_MS, None, None),
        (0, 3, NOW_MS, b"\xff", None),
    )
    assert clicks_of(log) == [("u", "a")]


def test_the_order_in_which_partitions_arrive_changes_nothing():
    records = [
        (p, o, NOW_MS + o, f"u{p}".encode(), click(f"u{p}", f"i{o * 7 % 5}"))
        for p in range(3)
        for o in range(6)
    ]
    interleaved = sorted(records, key=lambda record: record[1])
    one, other = folded(*records), folded(*interleaved)
    assert one.users == other.users
    assert one.items == other.items
    assert np.array_equal(one.table, other.table)
