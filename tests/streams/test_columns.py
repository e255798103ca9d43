"""Column mappings: every preset on a row of its kind, times in every form, reasons to skip."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from streams.columns import (
    CLICKS,
    PRESETS,
    ColumnMapping,
    LoggedClick,
    MappingError,
    Skip,
    parse_time_ms,
)

NOON_MS = 1_769_860_800_123  # 2026-01-31T12:00:00.123Z


def _one(preset: str, row: dict[str, Any]) -> LoggedClick | Skip:
    (only,) = PRESETS[preset].clicks(row, 7)
    return only


@pytest.mark.parametrize(
    "value",
    [
        NOON_MS, str(NOON_MS), NOON_MS / 1000, NOON_MS * 1000, "2026-01-31T12:00:00.123Z",
        "2026-01-31T13:00:00.123+01:00", "2026-01-31 12:00:00.123", "2026-01-31 12:00:00.123 UTC",
        datetime(2026, 1, 31, 12, 0, 0, 123_000, tzinfo=UTC),
        datetime(2026, 1, 31, 14, 0, 0, 123_000, tzinfo=timezone(timedelta(hours=2))),
    ],
)  # fmt: skip
def test_a_time_is_read_in_every_usual_form(value: Any) -> None:
    assert parse_time_ms(value) == NOON_MS


@pytest.mark.parametrize("value", [None, "", "noon", True, "nan", "inf", -1, 1e300, [], "9" * 400])
def test_what_is_not_a_time_is_none(value: Any) -> None:
    assert parse_time_ms(value) is None


def test_a_unit_overrides_the_guess() -> None:
    assert parse_time_ms(2, "days") == 172_800_000
    assert parse_time_ms("635", "minutes") == 38_100_000
    assert parse_time_ms(5, "milliseconds") == 5


def test_clicks_of_freshrec_itself_map_field_by_field() -> None:
    row = {
        "event_id": "e", "event_type": "like", "user_id": "u", "session_id": "s", "item_id": "i",
        "timestamp": NOON_MS, "value": 2, "recommendation_id": "r", "position": 3,
        "place": {"lat": 40.5, "lon": -74},
    }  # fmt: skip
    assert _one("clicks", row) == LoggedClick(
        NOON_MS, 7, "u", "i", "like", "e", "s", 2.0, "r", 3, 40.5, -74.0
    )


def test_movielens_ratings_are_clicks_with_a_value() -> None:
    row = {"userId": "1", "movieId": "31", "rating": "2.5", "timestamp": "1260759144"}
    assert _one("movielens", row) == LoggedClick(
        1_260_759_144_000, 7, "1", "31", "click", value=2.5
    )


def test_a_ga4_event_gives_one_click_for_each_of_its_items() -> None:
    row = {
        "user_pseudo_id": "p.1", "user_id": None, "event_name": "add_to_cart",
        "event_timestamp": NOON_MS * 1000,
        "items": [{"item_id": "A", "price": 9.5}, {"item_id": "B"}, {"item_name": "no id"}],
    }  # fmt: skip
    assert list(PRESETS["ga4"].clicks(row, 7)) == [
        LoggedClick(NOON_MS, 7, "p.1", "A", "add_to_cart", value=9.5),
        LoggedClick(NOON_MS, 7, "p.1", "B", "add_to_cart"),
        Skip("no_item"),
    ]
    assert _one("ga4", row | {"items": []}) == Skip("no_item")
    renamed = PRESETS["ga4"].clicks(row | {"event_name": "view_item", "items": row["items"][:1]}, 7)
    assert [c.event_type for c in renamed if isinstance(c, LoggedClick)] == ["view"]
    (other,) = PRESETS["ga4"].clicks(row | {"event_name": "scroll", "items": row["items"][:1]}, 7)
    assert other == Skip("other_event_type")


def test_metarank_rankings_and_metadata_are_other_records() -> None:
    row = {
        "event": "interaction", "id": "x", "ranking": "r1", "timestamp": str(NOON_MS),
        "user": "u", "session": "s", "type": "purchase", "item": "i",
    }  # fmt: skip
    assert _one("metarank", row) == LoggedClick(
        NOON_MS, 7, "u", "i", "purchase", "x", "s", recommendation_id="r1"
    )
    assert _one("metarank", row | {"event": "ranking"}) == Skip("other_record")
    anonymous = _one("metarank", row | {"user": None})
    assert isinstance(anonymous, LoggedClick)
    assert anonymous.user_id == "s"


def test_ubi_events_are_reached_through_their_nesting() -> None:
    row = {
        "client_id": "c", "query_id": "q", "action_name": "add_to_cart",
        "timestamp": "2026-01-31T12:00:00.123Z",
        "event_attributes": {
            "session_id": "s", "object": {"object_id": "isbn"}, "position": {"ordinal": 3}
        },
    }  # fmt: skip
    assert _one("ubi", row) == LoggedClick(
        NOON_MS, 7, "c", "isbn", "add_to_cart", None, "s", recommendation_id="q", position=3
    )
    assert _one("ubi", row | {"action_name": "on_search"}) == Skip("other_event_type")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"user_id": "", "session_id": ""}, "no_user"),
        ({"item_id": None}, "no_item"),
        ({"item_id": ["a"]}, "no_item"),
        ({"timestamp": "yesterday"}, "bad_timestamp"),
    ],
)
def test_a_row_that_is_no_click_says_why(change: dict[str, Any], reason: str) -> None:
    row = {"user_id": "u", "item_id": "i", "timestamp": NOON_MS, "session_id": "s"}
    assert _one("clicks", row | change) == Skip(reason)


def test_numbers_become_the_ids_that_they_were() -> None:
    click = _one("clicks", {"user_id": 12.0, "item_id": 31, "timestamp": NOON_MS})
    assert isinstance(click, LoggedClick)
    assert (click.user_id, click.item_id) == ("12", "31")


def test_columns_can_be_named_one_by_one() -> None:
    mapping = CLICKS.with_columns(["user_id=uid", "item_id=payload.sku"])
    (click,) = mapping.clicks({"uid": "u", "payload": {"sku": "s"}, "timestamp": NOON_MS}, 0)
    assert click == LoggedClick(NOON_MS, 0, "u", "s")


def test_a_wrong_mapping_says_what_is_wrong() -> None:
    with pytest.raises(MappingError, match="not of the form"):
        CLICKS.with_columns(["user_id"])
    with pytest.raises(MappingError, match="no field 'user' to map"):
        CLICKS.with_columns(["user=uid"])
    with pytest.raises(MappingError, match="--map item_id=COLUMN"):
        CLICKS.check_header(["user_id", "timestamp"])
    with pytest.raises(MappingError, match="no field"):
        ColumnMapping({"nothing": ("x",)})
