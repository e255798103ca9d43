"""Whatever bytes a producer sends become a Click in order or a Reject, and never an exception."""

import json
import math
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from streams.events import Click, Item, Reject, decode_click, decode_item
from tests.streams.click_samples import GOOD, LIMITS, NOW_MS

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([NOW_MS, "click", "2026-01-31T12:00:00Z", "9" * 25]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = [
    "item_id",
    "user_id",
    "session_id",
    "timestamp",
    "event_type",
    "event_id",
    "value",
    "recommendation_id",
    "position",
    "place",
    "title",
    "categories",
    "available",
    "price",
]
headers_of_any_kind = st.lists(
    st.tuples(
        st.sampled_from(["ce_id", "ce_time", "ce_type", "other"]),
        st.none() | st.binary(max_size=40),
    ),
    max_size=4,
)


def assert_in_order(click: Click | Reject) -> None:
    assert isinstance(click, Click | Reject)
    if isinstance(click, Reject):
        click.detail.encode()
        return
    assert click.event_type in LIMITS.event_types
    assert NOW_MS - LIMITS.max_age_ms <= click.timestamp_ms <= NOW_MS + LIMITS.max_future_ms
    assert math.isfinite(click.value)
    for text in (click.user_id, click.item_id, click.event_id, click.recommendation_id):
        assert text is None or 0 < len(text.encode()) <= LIMITS.max_id_bytes
        assert text is None or not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text)


@given(st.binary(max_size=200), headers_of_any_kind)
def test_random_bytes_never_raise(value: bytes, headers: Any) -> None:
    assert_in_order(decode_click(value, headers, NOW_MS, LIMITS))


@given(
    st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), json_values, max_size=8),
    headers_of_any_kind,
    st.booleans(),
)
@example({"timestamp": math.nan}, [], True)
def test_random_json_never_raises(body: dict[str, object], headers: Any, complete: bool) -> None:
    if complete:
        body = {**GOOD, **body}
    value = json.dumps(body).encode()
    assert_in_order(decode_click(value, headers, NOW_MS, LIMITS))
    assert isinstance(decode_item(value, None, LIMITS), Item | Reject)


@given(st.integers(), st.integers(), st.integers(0, 120), st.integers(0, 255))
def test_a_damaged_good_click_never_raises(now_ms: int, age_ms: int, at: int, byte: int) -> None:
    value = bytearray(json.dumps({**GOOD, "timestamp": now_ms - age_ms, "event_id": "e"}).encode())
    value[at % len(value)] = byte
    assert isinstance(decode_click(bytes(value), (), now_ms, LIMITS), Click | Reject)
