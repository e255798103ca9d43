"""Instants: text to milliseconds and back."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.instant import MAX_INSTANT_MS, MIN_INSTANT_MS, iso_utc, parse_instant

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def test_text_has_milliseconds_and_the_zone_letter() -> None:
    assert iso_utc(1_769_860_800_123) == "2026-01-31T12:00:00.123Z"
    assert iso_utc(0) == "1970-01-01T00:00:00.000Z"
    assert iso_utc(-1) == "1969-12-31T23:59:59.999Z"


@given(st.integers(MIN_INSTANT_MS, MAX_INSTANT_MS))
def test_parsing_undoes_formatting(ms: int) -> None:
    assert parse_instant(iso_utc(ms)) == ms


@given(
    st.integers(0, 300_000_000_000_000_000),
    st.integers(-1439, 1439),
)
def test_any_zone_and_microseconds_are_cut_to_the_millisecond(
    microseconds: int, offset_minutes: int
) -> None:
    zone = timezone(timedelta(minutes=offset_minutes))
    aware = (datetime(2, 1, 2, tzinfo=UTC) + timedelta(microseconds=microseconds)).astimezone(zone)
    assert parse_instant(aware.isoformat()) == (aware - EPOCH) // timedelta(milliseconds=1)


@pytest.mark.parametrize("ms", [MIN_INSTANT_MS - 1, MAX_INSTANT_MS + 1])
def test_years_that_text_cannot_say_are_refused(ms: int) -> None:
    with pytest.raises(ValueError, match="outside the years 1 to 9999"):
        iso_utc(ms)


@pytest.mark.parametrize("text", ["", "-", "--1", "+1", "1_000", "2026-01-31T12:00:60Z", "now"])
def test_other_text_is_no_instant(text: str) -> None:
    assert parse_instant(text) is None


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert parse_instant(text) is None or isinstance(parse_instant(text), int)


@given(st.datetimes(), st.sampled_from(["T", "t", " "]), st.sampled_from(["Z", "z", "+00:00", ""]))
def test_the_common_form_is_read_as_the_general_one(
    moment: datetime, separator: str, zone: str
) -> None:
    text = moment.isoformat(separator, timespec="milliseconds") + zone
    general = moment.replace(tzinfo=UTC)
    expected = (general - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    wanted = expected if zone else None
    if zone == "z" or separator == "t":
        assert parse_instant(text) in (None, wanted)
    else:
        assert parse_instant(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:60.123Z",
        "2026-01-31T12:00:5a.123Z",
        "2026-01-31T12:00:05.1+3Z",
        "2026-01-31T12:60:05.123Z",
        "2026-02-30T12:00:05.123Z",
        "2026-01-31T12:00:05.\u0663\u0663\u0663Z",
        "2026/01/31T12:00:05.123Z",
    ],
)
def test_what_only_looks_like_the_common_form_is_no_instant(text: str) -> None:
    assert parse_instant(text) is None
