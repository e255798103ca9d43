"""Clicks that are accepted: what each field may be, what it becomes, and what headers add."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.events import Click, ClickLimits, Reject, RejectReason
from streams.instant import iso_utc, parse_instant
from streams.place import place_cell
from tests.streams.click_samples import DAY_MS, GOOD, LIMITS, NOW_MS, accepted, decode


def test_a_full_click_keeps_every_field_it_is_given() -> None:
    click = accepted(
        {
            "event_id": "01J",
            "event_type": "purchase",
            "user_id": "u1",
            "session_id": "s9",
            "item_id": "i42",
            "timestamp": "2026-01-31T12:00:00.123Z",
            "value": 2.5,
            "recommendation_id": "rec-1",
            "position": 3,
            "place": {"lat": 40.73, "lon": -74.0},
            "context": {"surface": "home"},
            "properties": {},
        }
    )
    assert click == Click(
        "u1", "i42", "purchase", NOW_MS, "01J", 2.5, "rec-1", 3, place_cell(40.73, -74.0)
    )


def test_the_smallest_click_gets_defaults() -> None:
    assert accepted(GOOD) == Click("u1", "i42", "click", NOW_MS, None, 1.0, None, None, 0)


def test_the_session_stands_in_for_an_absent_user() -> None:
    assert accepted({"session_id": "s9", "item_id": "i", "timestamp": NOW_MS}).user_id == "s9"
    assert accepted({**GOOD, "user_id": None, "session_id": "s9"}).user_id == "s9"
    assert accepted({**GOOD, "session_id": "s9"}).user_id == "u1"


@pytest.mark.parametrize(
    "timestamp",
    [
        NOW_MS,
        str(NOW_MS),
        "2026-01-31T12:00:00.123Z",
        "2026-01-31T13:00:00.123+01:00",
        "2026-01-31T12:00:00.123999Z",
        "2026-01-31 06:30:00.123-05:30",
    ],
)
def test_every_form_of_a_timestamp_gives_the_same_instant(timestamp: object) -> None:
    assert accepted({**GOOD, "timestamp": timestamp}).timestamp_ms == NOW_MS


@given(st.integers(NOW_MS - 29 * DAY_MS, NOW_MS), st.integers(0, 59), st.integers(0, 999))
def test_a_minute_read_before_gives_the_same_instants(ms: int, second: int, fraction: int) -> None:
    minute_ms = ms // 60_000 * 60_000
    minute = iso_utc(minute_ms)[:17]
    for text_ms in (minute_ms + second * 1000 + fraction, minute_ms, minute_ms + 59_999):
        assert accepted({**GOOD, "timestamp": iso_utc(text_ms)}).timestamp_ms == text_ms
    for rest in ("60.000Z", "05.12Z", "05.1234Z", "5.123Z0", "05,123z", "\u0660\u0665.123Z"):
        text = minute + rest
        click = decode({**GOOD, "timestamp": text})
        found = click.timestamp_ms if isinstance(click, Click) else None
        assert found == parse_instant(text)


@pytest.mark.parametrize("name", ["user_id", "item_id", "event_id", "recommendation_id"])
@pytest.mark.parametrize("letter", ["a", "\u00e9"])
def test_an_id_is_measured_in_bytes(name: str, letter: str) -> None:
    longest = letter * (LIMITS.max_id_bytes // len(letter.encode()))
    accepted({**GOOD, name: longest})
    for escaped in (True, False):
        value = json.dumps({**GOOD, name: longest + letter}, ensure_ascii=escaped).encode()
        click = decode(value)
        assert isinstance(click, Reject)
        assert click.reason is RejectReason.BAD_ID


def test_limits_are_inclusive() -> None:
    accepted({**GOOD, "item_id": "i" * 256, "user_id": "\u00e9" * 128})
    accepted({**GOOD, "timestamp": NOW_MS - 30 * DAY_MS})
    accepted({**GOOD, "timestamp": NOW_MS + 300_000})
    value = json.dumps(GOOD).encode()
    exact = ClickLimits(
        max_age_ms=DAY_MS, event_types=LIMITS.event_types, max_record_bytes=len(value)
    )
    assert isinstance(decode(value, limits=exact), Click)
    assert isinstance(decode(value + b" ", limits=exact), Reject)


@pytest.mark.parametrize(
    "item_id", [" ", "a b", "caf\u00e9", "\u5546\u54c1", "\U0001f600", "a\u00a0b"]
)
def test_ids_of_any_script_pass_as_they_are(item_id: str) -> None:
    assert accepted({**GOOD, "item_id": item_id}).item_id == item_id


def test_of_a_repeated_key_the_last_one_counts() -> None:
    value = b'{"item_id":"a","item_id":"b","user_id":"u","timestamp":%d}' % NOW_MS
    assert accepted(value).item_id == "b"


def test_numbers_in_ignored_fields_are_not_judged() -> None:
    accepted(b'{"x":1e999,"item_id":"b","user_id":"u","timestamp":%d}' % NOW_MS)


def test_cloudevents_headers_fill_what_the_body_lacks() -> None:
    headers = [
        ("ce_id", b"e7"),
        ("ce_time", b"2026-01-31T12:00:00.123Z"),
        ("ce_type", b"com.shop.purchase"),
        ("ce_id", b"second"),
    ]
    click = accepted({"user_id": "u", "item_id": "i"}, headers)
    assert (click.event_id, click.timestamp_ms, click.event_type) == ("e7", NOW_MS, "purchase")


def test_the_body_counts_before_cloudevents_headers() -> None:
    headers = [("ce_id", b"e7"), ("ce_time", b"1999-01-01T00:00:00Z"), ("ce_type", b"view")]
    click = accepted({**GOOD, "event_id": "own", "event_type": "like"}, headers)
    assert (click.event_id, click.timestamp_ms, click.event_type) == ("own", NOW_MS, "like")


def test_a_foreign_cloudevents_type_is_ignored() -> None:
    for foreign in (b"com.shop.hover", b"\xff\xfe", b"", b"clicks"):
        assert accepted(GOOD, [("ce_type", foreign)]).event_type == "click"
    assert accepted(GOOD, [("ce_type", b"view")]).event_type == "view"
