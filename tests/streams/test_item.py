"""Catalogue items: what is accepted, and the reason for each that is not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.events import ClickLimits, Item, Reject, RejectReason, decode_item

LIMITS = ClickLimits(max_age_ms=1, event_types=frozenset({"click"}))


def test_a_full_item_keeps_every_field() -> None:
    value = json.dumps(
        {
            "item_id": "i1",
            "title": "Lamp",
            "categories": ["light", "home"],
            "available": False,
            "price": 12.5,
            "timestamp": "2020-01-01T00:00:00Z",
            "properties": {"colour": "red"},
        }
    ).encode()
    assert decode_item(value, b"other key", LIMITS) == Item(
        "i1", "Lamp", ["light", "home"], False, 12.5, 1_577_836_800_000
    )


def test_the_record_key_names_an_item_that_does_not_name_itself() -> None:
    assert decode_item(b"{}", "caf\u00e9".encode(), LIMITS) == Item("caf\u00e9")


def test_null_fields_count_as_absent() -> None:
    value = b'{"item_id":"i","title":null,"categories":null,"available":null,"timestamp":null}'
    assert decode_item(value, None, LIMITS) == Item("i")


@pytest.mark.parametrize(
    ("value", "key", "reason"),
    [
        (b"", b"k", RejectReason.MALFORMED_JSON),
        (b'{"title":"\xff"}', b"k", RejectReason.MALFORMED_JSON),
        (b'{"x":' + b"[" * 30_000, b"k", RejectReason.MALFORMED_JSON),
        (b"[]", b"k", RejectReason.WRONG_TYPE),
        (b'{"categories":"home"}', b"k", RejectReason.WRONG_TYPE),
        (b'{"categories":[1]}', b"k", RejectReason.WRONG_TYPE),
        (b'{"available":"yes"}', b"k", RejectReason.WRONG_TYPE),
        (b'{"price":1e400}', b"k", RejectReason.WRONG_TYPE),
        (b"{}", None, RejectReason.MISSING_FIELD),
        (b"{}", b"", RejectReason.BAD_ID),
        (b"{}", b"\xff", RejectReason.BAD_ID),
        (b'{"item_id":""}', b"k", RejectReason.BAD_ID),
        (b"{}", b"k" * 257, RejectReason.BAD_ID),
        (b"{}", b"a\x00", RejectReason.BAD_ID),
        (b'{"timestamp":"soon"}', b"k", RejectReason.BAD_TIMESTAMP),
        (b'{"timestamp":1' + b"0" * 20 + b"}", b"k", RejectReason.BAD_TIMESTAMP),
        (b" " * 70_000, b"k", RejectReason.TOO_LARGE),
    ],
)
def test_every_fault_has_its_one_reason(
    value: bytes, key: bytes | None, reason: RejectReason
) -> None:
    reject = decode_item(value, key, LIMITS)
    assert isinstance(reject, Reject), reject
    assert reject.reason is reason


@given(st.binary(max_size=100), st.none() | st.binary(max_size=20))
def test_random_bytes_never_raise(value: bytes, key: bytes | None) -> None:
    assert isinstance(decode_item(value, key, LIMITS), Item | Reject)
