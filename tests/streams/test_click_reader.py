"""The reader of plain clicks: what it reads, `decode_click` would have read just so."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.click_reader import ClickReader
from streams.events import Click, ClickLimits, Reject, decode_click
from streams.instant import MAX_INSTANT_MS, iso_utc
from streams.kernels import COMPILED
from tests.streams.click_samples import GOOD, LIMITS, NOW_MS
from tests.streams.pipeline_world import FakeRecord

needs_compiled = pytest.mark.skipif(not COMPILED, reason="in Python every click is left")
WIDE = msgspec.structs.replace(LIMITS, max_age_ms=10**15, max_future_ms=10**15)


def record(value: Any, *, key: bytes | None = b"u1", headers: Any = ()) -> FakeRecord:
    if not isinstance(value, bytes | None):
        value = json.dumps(value).encode()
    return FakeRecord(0, NOW_MS, key, value, headers)


def good(**changes: Any) -> FakeRecord:
    return record(GOOD | changes)


def read(
    *records: FakeRecord, limits: ClickLimits = LIMITS, is_keyed: bool = True
) -> tuple[list[Click | None], dict[str, list[int]]]:
    clicks: list[Click | None] = []
    of_users: dict[str, list[int]] = {}
    end = ClickReader(limits).read(records, 0, clicks, of_users, is_keyed=is_keyed)
    assert end == len(clicks)
    return clicks, of_users


def is_read(one: FakeRecord, limits: ClickLimits = LIMITS) -> bool:
    """Whether a record is read, as `decode_click` would; never where that would refuse it."""
    clicks, _ = read(one, limits=limits)
    if clicks:
        assert clicks == [decode_click(one.value or b"", one.headers, one.timestamp, limits)]
    return bool(clicks)


ids = st.sampled_from(["u1", "", "a b", "é", "x\\y", 'x"y', "\x7f", "x" * 256, "x" * 257, "\n"])
timestamps = st.one_of(
    st.integers(),
    st.integers(NOW_MS - 10**7, NOW_MS + 10**6),
    st.datetimes().map(lambda at: at.isoformat() + "Z"),
    st.datetimes().map(lambda at: at.isoformat(timespec="milliseconds") + "+00:00"),
    st.from_regex(
        r"\A[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]"
        r"(\.[0-9]{0,7})?(Z|\+00:00|\+01:00|)\Z"
    ),
    st.text("0123456789-:TZ.+ ", min_size=19, max_size=33),
    st.floats(),
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "user_id": st.just("u1") | ids | st.integers(),
        "session_id": ids,
        "item_id": ids | st.none(),
        "timestamp": timestamps,
        "event_type": st.sampled_from(["click", "view", "gone", "", None]),
        "event_id": ids,
        "recommendation_id": ids,
        "value": st.floats() | st.integers(),
        "position": st.integers(-1, 2**31),
        "place": st.fixed_dictionaries({"lat": st.floats(-91, 91), "lon": st.floats(-181, 181)}),
        "ignored": ids,
    },
)
headers = st.sampled_from([(), (("ce_id", b"e9"),), (("traceparent", b"00-"),), (("x", None),)])


@given(bodies, headers, st.sampled_from([LIMITS, WIDE]))
def test_whatever_is_read_is_what_a_closer_look_gives(
    body: dict[str, Any], headers: Any, limits: ClickLimits
) -> None:
    is_read(record(GOOD | body, headers=headers), limits)


@given(st.binary(max_size=80), st.integers(0, 80))
def test_damaged_values_are_left(noise: bytes, cut: int) -> None:
    value = json.dumps(GOOD).encode()
    for damaged in (value[:cut] + noise, value[:cut] + noise + value[cut:]):
        if isinstance(decode_click(damaged, (), NOW_MS, LIMITS), Reject):
            assert not is_read(record(damaged))


@needs_compiled
@pytest.mark.parametrize(
    "timestamp",
    [
        NOW_MS,
        "2026-01-31T12:00:00.123Z",
        "2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00.123456Z",
        "2026-01-31T12:00:00.123+00:00",
        "2026-01-31T12:00:00+00:00",
    ],
)
def test_a_good_click_is_read_however_its_time_is_usually_written(timestamp: object) -> None:
    assert is_read(good(timestamp=timestamp))


@needs_compiled
@given(st.integers(0, MAX_INSTANT_MS))
def test_every_instant_since_1970_is_read_as_it_is_written(ms: int) -> None:
    clicks, _ = read(good(timestamp=iso_utc(ms)), limits=WIDE)
    assert [click and click.timestamp_ms for click in clicks] == [ms]


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-02-29T12:00:00Z",
        "2026-01-32T12:00:00Z",
        "2026-13-01T12:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:60:00Z",
        "2026-01-31T12:00:60Z",
        "2026-01-31T12:00:00",
        "2026-01-31 12:00:00.123Z",
        "2026-01-31T13:00:00.123+01:00",
        "2026-01-31T12:00:00.1Z",
        "2026-01-31T12:00:00.123z",
        "1969-12-31T23:59:59Z",
        "",
    ],
)
def test_a_time_that_is_none_or_is_written_otherwise_is_left(timestamp: str) -> None:
    assert not is_read(good(timestamp=timestamp), WIDE)


LETTERS = json.dumps(GOOD | {"item_id": "é"}, ensure_ascii=False).encode()
ODD = {
    "an erasure": record(None),
    "no JSON": record(b"{"),
    "another key": record(GOOD, key=b"u2"),
    "no key": record(GOOD, key=None),
    "letters outside ASCII": record(LETTERS),
    "an escape": good(item_id="é"),
    "a field from a header": record(GOOD, headers=(("ce_id", b"e1"),)),
    "an unknown type": good(event_type="gone"),
    "an empty id": good(event_id=""),
    "a long id": good(recommendation_id="x" * 257),
    "too old": good(timestamp=NOW_MS - LIMITS.max_age_ms - 1),
    "in the future": good(timestamp=NOW_MS + LIMITS.max_future_ms + 1),
    "too large": good(ignored="x" * LIMITS.max_record_bytes),
    "a time beyond 64 bits": good(timestamp=1 << 64),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_reading_ends_before_a_record_that_needs_a_closer_look(odd: FakeRecord) -> None:
    clicks, of_users = read(good(item_id="i1"), odd, good(item_id="i3"))
    assert (len(clicks), of_users) == ((1, {"u1": [0]}) if COMPILED else (0, {}))


@needs_compiled
def test_users_know_where_their_clicks_stand() -> None:
    records = [good(), record(GOOD | {"user_id": "u2"}, key=b"u2"), good(), good(value=2)]
    clicks, of_users = read(*records)
    assert of_users == {"u1": [0, 2, 3], "u2": [1]}
    assert [click and click.user_id for click in clicks] == ["u1", "u2", "u1", "u1"]


@needs_compiled
def test_records_that_were_forwarded_are_read_whatever_their_key() -> None:
    clicks, of_users = read(record(GOOD, key=b"another"), is_keyed=False)
    assert (len(clicks), of_users) == (1, {"u1": [0]})


@needs_compiled
def test_state_shares_the_strings_of_items_and_types() -> None:
    (one, other), _ = read(good(event_type="view"), good(event_type="view"))
    assert one is not None
    assert other is not None
    assert one.item_id is other.item_id
    assert one.event_type is other.event_type
