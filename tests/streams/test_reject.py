"""Every faulty click becomes one Reject, with the first reason in the documented order."""

import json

import pytest

from streams.events import Reject, RejectReason
from tests.streams.click_samples import DAY_MS, GOOD, NOW_MS, decode

NEST = b"[" * 30_000 + b"]" * 30_000
HOSTILE: list[tuple[str, object, RejectReason]] = [
    ("empty value", b"", RejectReason.MALFORMED_JSON),
    ("cut off", b'{"user_id":"u1"', RejectReason.MALFORMED_JSON),
    ("trailing bytes", b"{} {}", RejectReason.MALFORMED_JSON),
    ("a NUL byte", b"\x00", RejectReason.MALFORMED_JSON),
    ("a byte order mark", b"\xef\xbb\xbf{}", RejectReason.MALFORMED_JSON),
    ("UTF-16", json.dumps(GOOD).encode("utf-16"), RejectReason.MALFORMED_JSON),
    ("Latin-1 in an id", b'{"item_id":"\xe9","user_id":"u"}', RejectReason.MALFORMED_JSON),
    (
        "bytes that are no UTF-8 in an ignored field",
        b'{"x":"\xff","user_id":"u","item_id":"i","timestamp":%d}' % NOW_MS,
        RejectReason.MALFORMED_JSON,
    ),
    ("an encoded surrogate", b'{"item_id":"\xed\xa0\x80"}', RejectReason.MALFORMED_JSON),
    ("a lone high surrogate", b'{"item_id":"\\ud800"}', RejectReason.MALFORMED_JSON),
    ("a lone low surrogate", b'{"item_id":"\\udc00x"}', RejectReason.MALFORMED_JSON),
    ("a raw control character", b'{"item_id":"a\x01"}', RejectReason.MALFORMED_JSON),
    ("NaN", b'{"value":NaN}', RejectReason.MALFORMED_JSON),
    ("Infinity", b'{"value":-Infinity}', RejectReason.MALFORMED_JSON),
    ("deep nesting", b'{"context":' + NEST + b"}", RejectReason.MALFORMED_JSON),
    ("an array", [], RejectReason.WRONG_TYPE),
    ("null", None, RejectReason.WRONG_TYPE),
    ("a string", "click", RejectReason.WRONG_TYPE),
    ("an overflowing number", b'{"value":1e400}', RejectReason.WRONG_TYPE),
    ("a numeric user", {**GOOD, "user_id": 7}, RejectReason.WRONG_TYPE),
    ("a boolean item", {**GOOD, "item_id": True}, RejectReason.WRONG_TYPE),
    ("a list as item", {**GOOD, "item_id": ["i"]}, RejectReason.WRONG_TYPE),
    ("a numeric event type", {**GOOD, "event_type": 1}, RejectReason.WRONG_TYPE),
    ("a textual value", {**GOOD, "value": "1"}, RejectReason.WRONG_TYPE),
    ("a boolean value", {**GOOD, "value": True}, RejectReason.WRONG_TYPE),
    ("a negative position", {**GOOD, "position": -1}, RejectReason.WRONG_TYPE),
    ("a huge position", {**GOOD, "position": 2**31}, RejectReason.WRONG_TYPE),
    ("a fractional position", {**GOOD, "position": 1.5}, RejectReason.WRONG_TYPE),
    ("a place list", {**GOOD, "place": [1, 2]}, RejectReason.WRONG_TYPE),
    (
        "a latitude beyond the pole",
        {**GOOD, "place": {"lat": 90.1, "lon": 0}},
        RejectReason.WRONG_TYPE,
    ),
    ("a longitude beyond 180", {**GOOD, "place": {"lat": 0, "lon": -181}}, RejectReason.WRONG_TYPE),
    ("a boolean timestamp", {**GOOD, "timestamp": True}, RejectReason.WRONG_TYPE),
    ("a timestamp object", {**GOOD, "timestamp": {}}, RejectReason.WRONG_TYPE),
    ("an empty object", {}, RejectReason.MISSING_FIELD),
    ("no item", {"user_id": "u", "timestamp": NOW_MS}, RejectReason.MISSING_FIELD),
    ("a null item", {**GOOD, "item_id": None}, RejectReason.MISSING_FIELD),
    ("no user and no session", {"item_id": "i", "timestamp": NOW_MS}, RejectReason.MISSING_FIELD),
    ("no timestamp", {"user_id": "u", "item_id": "i"}, RejectReason.MISSING_FIELD),
    ("half a place", {**GOOD, "place": {"lat": 1}}, RejectReason.MISSING_FIELD),
    ("an empty item", {**GOOD, "item_id": ""}, RejectReason.BAD_ID),
    ("an empty user", {**GOOD, "user_id": ""}, RejectReason.BAD_ID),
    ("an empty session", {"session_id": "", "item_id": "i", "timestamp": 1}, RejectReason.BAD_ID),
    ("an empty event id", {**GOOD, "event_id": ""}, RejectReason.BAD_ID),
    ("an empty recommendation id", {**GOOD, "recommendation_id": ""}, RejectReason.BAD_ID),
    ("a long item", {**GOOD, "item_id": "i" * 257}, RejectReason.BAD_ID),
    ("a long user", {**GOOD, "user_id": "u" * 10_000}, RejectReason.BAD_ID),
    ("a long event id", {**GOOD, "event_id": "e" * 257}, RejectReason.BAD_ID),
    ("a long recommendation id", {**GOOD, "recommendation_id": "r" * 257}, RejectReason.BAD_ID),
    ("an id of too many bytes", {**GOOD, "item_id": "\u00e9" * 129}, RejectReason.BAD_ID),
    ("NUL in an item", {**GOOD, "item_id": "i\x00"}, RejectReason.BAD_ID),
    ("a line feed in a user", {**GOOD, "user_id": "u\n"}, RejectReason.BAD_ID),
    ("DEL in an event id", {**GOOD, "event_id": "e\x7f"}, RejectReason.BAD_ID),
    ("a C1 control in an item", {**GOOD, "item_id": "i\x85"}, RejectReason.BAD_ID),
    ("ESC in a recommendation id", {**GOOD, "recommendation_id": "\x1b["}, RejectReason.BAD_ID),
    ("an unknown event type", {**GOOD, "event_type": "hover"}, RejectReason.UNKNOWN_EVENT_TYPE),
    ("an empty event type", {**GOOD, "event_type": ""}, RejectReason.UNKNOWN_EVENT_TYPE),
    ("a long event type", {**GOOD, "event_type": "x" * 9_000}, RejectReason.UNKNOWN_EVENT_TYPE),
    ("a fractional timestamp", {**GOOD, "timestamp": NOW_MS + 0.5}, RejectReason.BAD_TIMESTAMP),
    ("a whole float", {**GOOD, "timestamp": float(NOW_MS)}, RejectReason.BAD_TIMESTAMP),
    (
        "an overflowing timestamp",
        b'{"user_id":"u","item_id":"i","timestamp":1e400}',
        RejectReason.BAD_TIMESTAMP,
    ),
    ("no zone", {**GOOD, "timestamp": "2026-01-31T12:00:00"}, RejectReason.BAD_TIMESTAMP),
    ("a date only", {**GOOD, "timestamp": "2026-01-31"}, RejectReason.BAD_TIMESTAMP),
    ("words", {**GOOD, "timestamp": "yesterday"}, RejectReason.BAD_TIMESTAMP),
    ("an empty timestamp", {**GOOD, "timestamp": ""}, RejectReason.BAD_TIMESTAMP),
    (
        "30 February",
        {**GOOD, "timestamp": "2026-02-30T00:00:00Z"},
        RejectReason.BAD_TIMESTAMP,
    ),
    ("Arabic digits", {**GOOD, "timestamp": "\u0661\u0662"}, RejectReason.BAD_TIMESTAMP),
    ("padded digits", {**GOOD, "timestamp": f" {NOW_MS}"}, RejectReason.BAD_TIMESTAMP),
    ("a textual float", {**GOOD, "timestamp": "1.5e12"}, RejectReason.BAD_TIMESTAMP),
    ("1970", {**GOOD, "timestamp": 0}, RejectReason.TOO_OLD),
    ("before 1970", {**GOOD, "timestamp": -1}, RejectReason.TOO_OLD),
    ("long before 1970", {**GOOD, "timestamp": -(10**40)}, RejectReason.TOO_OLD),
    ("seconds", {**GOOD, "timestamp": NOW_MS // 1000}, RejectReason.TOO_OLD),
    (
        "a millisecond too old",
        {**GOOD, "timestamp": NOW_MS - 30 * DAY_MS - 1},
        RejectReason.TOO_OLD,
    ),
    ("the year 1", {**GOOD, "timestamp": "0001-01-01T00:00:00+23:59"}, RejectReason.TOO_OLD),
    ("negative digits", {**GOOD, "timestamp": "-" + "9" * 5_000}, RejectReason.TOO_OLD),
    ("2100", {**GOOD, "timestamp": "2100-01-01T00:00:00Z"}, RejectReason.IN_FUTURE),
    ("the end of time", {**GOOD, "timestamp": "9999-12-31T23:59:59-23:59"}, RejectReason.IN_FUTURE),
    ("microseconds", {**GOOD, "timestamp": NOW_MS * 1000}, RejectReason.IN_FUTURE),
    ("a millisecond too new", {**GOOD, "timestamp": NOW_MS + 300_001}, RejectReason.IN_FUTURE),
    ("thirty digits", {**GOOD, "timestamp": 10**30}, RejectReason.IN_FUTURE),
    ("thirty digits of text", {**GOOD, "timestamp": "9" * 30}, RejectReason.IN_FUTURE),
    (
        "5,000 digits",
        b'{"user_id":"u","item_id":"i","timestamp":' + b"9" * 5_000 + b"}",
        RejectReason.IN_FUTURE,
    ),
    ("2 MB of JSON", {**GOOD, "context": "x" * 2_000_000}, RejectReason.TOO_LARGE),
    ("2 MB of nothing", b"\x00" * 2_000_000, RejectReason.TOO_LARGE),
]


@pytest.mark.parametrize(
    ("body", "reason"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE]
)
def test_every_fault_has_its_one_reason(body: object, reason: RejectReason) -> None:
    reject = decode(body)
    assert isinstance(reject, Reject), reject
    assert reject.reason is reason
    assert 0 < len(reject.detail) <= 300
    reject.detail.encode()  # goes into a Kafka header


def test_every_reason_but_the_rate_limit_is_covered_by_a_hostile_case() -> None:
    covered = {reason for _, _, reason in HOSTILE}
    assert covered == set(RejectReason) - {RejectReason.RATE_LIMITED}


@pytest.mark.parametrize(
    ("change", "field"),
    [({"item_id": 1}, "item_id"), ({"place": {"lat": 91, "lon": 0}}, "place.lat")],
)
def test_the_detail_names_the_field(change: dict[str, object], field: str) -> None:
    reject = decode({**GOOD, **change})
    assert isinstance(reject, Reject)
    assert field in reject.detail


def test_a_timestamp_in_seconds_is_recognised_in_the_detail() -> None:
    reject = decode({**GOOD, "timestamp": NOW_MS // 1000})
    assert isinstance(reject, Reject)
    assert "seconds" in reject.detail


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"item_id": 7, "timestamp": "x"}, RejectReason.WRONG_TYPE),
        ({"item_id": "", "timestamp": "x"}, RejectReason.MISSING_FIELD),
        ({"item_id": "", "user_id": "u", "event_type": "?", "timestamp": "x"}, RejectReason.BAD_ID),
        ({**GOOD, "event_type": "?", "timestamp": 1e400}, RejectReason.MALFORMED_JSON),
        ({**GOOD, "event_type": "?", "timestamp": 0.5}, RejectReason.UNKNOWN_EVENT_TYPE),
        ({**GOOD, "item_id": "", "timestamp": 0.5}, RejectReason.BAD_ID),
    ],
)
def test_of_several_faults_the_first_in_the_documented_order_counts(
    body: object, reason: RejectReason
) -> None:
    reject = decode(body)
    assert isinstance(reject, Reject)
    assert reject.reason is reason


@pytest.mark.parametrize("name", ["user_id", "item_id", "event_id", "recommendation_id"])
def test_any_way_of_writing_a_control_character_is_refused(name: str) -> None:
    for raw in (b"\x7f", b"\\u007f", b"\\u0000", b"\\n", b"\xc2\x85", b"\\u0085"):
        value = json.dumps({**GOOD, name: "a#b"}).encode().replace(b"#", raw)
        click = decode(value)
        assert isinstance(click, Reject), raw
        assert click.reason is RejectReason.BAD_ID


def test_an_event_id_from_a_header_is_checked_too() -> None:
    click = decode(GOOD, [("ce_id", b"a\x00b")])
    assert isinstance(click, Reject)
    assert click.reason is RejectReason.BAD_ID


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (("ce_time", b"\xff"), RejectReason.BAD_TIMESTAMP),
        (("ce_time", b"never"), RejectReason.BAD_TIMESTAMP),
        (("ce_time", None), RejectReason.MISSING_FIELD),
        (("ce_id", b""), RejectReason.BAD_ID),
        (("ce_id", b"x" * 300), RejectReason.BAD_ID),
    ],
)
def test_bad_cloudevents_headers_are_rejected_like_fields(
    header: tuple[str, bytes | None], reason: RejectReason
) -> None:
    body = {"user_id": "u", "item_id": "i"}
    if header[0] == "ce_id":
        body = GOOD
    reject = decode(body, [header])
    assert isinstance(reject, Reject)
    assert reject.reason is reason
