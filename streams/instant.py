"""Instants on the wire: ISO-8601 text with a zone or epoch milliseconds, to integer ms and back."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

MIN_INSTANT_MS = -62_135_596_800_000  # 0001-01-01T00:00:00.000Z, the first that ISO text can say
MAX_INSTANT_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z, the last
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS = 86_400_000
_MINUTE_MS = 60_000
_MAX_DIGITS = 18  # fits 64 bits; epoch milliseconds of the year 9999 have 15
# Formatting is a matter of joining three remembered texts: lists carry instants of a few minutes.
_SECOND_TEXTS = tuple(f"{second:02d}." for second in range(60))
_MILLISECOND_TEXTS = tuple(f"{ms:03d}Z" for ms in range(1000))


@lru_cache(maxsize=4096)
def _minute_text(minute: int) -> str:
    return (_EPOCH + timedelta(minutes=minute)).isoformat()[:17]


def iso_utc(ms: int) -> str:
    """ISO-8601 UTC text with milliseconds, e.g. '2026-01-31T12:00:00.123Z'.

    Raises ValueError outside the years 1 to 9999.
    """
    if not MIN_INSTANT_MS <= ms <= MAX_INSTANT_MS:
        raise ValueError(f"{ms} ms since 1970 is outside the years 1 to 9999: check its unit")
    minute, rest = divmod(ms, _MINUTE_MS)
    return _minute_text(minute) + _SECOND_TEXTS[rest // 1000] + _MILLISECOND_TEXTS[rest % 1000]


def parse_instant(text: str) -> int | None:
    """Epoch milliseconds of ISO-8601 text with a zone or of a string of digits; None if neither.

    Fractions finer than a millisecond are cut off. Digits beyond 64 bits give an instant out of
    the range of iso_utc. Text cannot say a leap second.
    """
    if text.isdigit() or text[:1] == "-":
        return _parse_digits(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    age = moment - _EPOCH
    return age.days * _DAY_MS + age.seconds * 1000 + age.microseconds // 1000


def _parse_digits(text: str) -> int | None:
    if not (text.isascii() and text.removeprefix("-").isdigit()):
        return None
    if len(text) <= _MAX_DIGITS:
        return int(text)
    return MIN_INSTANT_MS - 1 if text[0] == "-" else MAX_INSTANT_MS + 1
