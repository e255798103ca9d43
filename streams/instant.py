"""Instants on the wire: ISO-8601 text with a zone, or epoch milliseconds, to integer ms and back."""

from datetime import UTC, date, datetime
from functools import lru_cache

MAX_INSTANT_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z, the last one ISO text can say
_MIN_INSTANT_MS = -62_135_596_800_000  # 0001-01-01T00:00:00Z
_DAY_MS = 86_400_000
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_MINUTES = tuple(f"{minute // 60:02d}:{minute % 60:02d}:" for minute in range(1440))
_MAX_DIGITS = 18  # within int64; the longest meaningful epoch-ms text has 15


@lru_cache(maxsize=512)
def _day_text(day: int) -> str:
    return date.fromordinal(_EPOCH_ORDINAL + day).isoformat()


def iso_utc(ms: int) -> str:
    """ISO-8601 UTC text with milliseconds, e.g. '2026-01-31T12:00:00.123Z'.

    Raises ValueError outside the years 1 to 9999.
    """
    if not _MIN_INSTANT_MS <= ms <= MAX_INSTANT_MS:
        raise ValueError(f"{ms} ms since 1970 is outside the years 1 to 9999")
    day, rest = divmod(ms, _DAY_MS)
    minute, rest = divmod(rest, 60_000)
    return f"{_day_text(day)}T{_MINUTES[minute]}{rest // 1000:02d}.{rest % 1000:03d}Z"


def parse_instant(text: str) -> int | None:
    """Epoch milliseconds of ISO-8601 text with a zone or of a string of digits; None if neither.

    Fractions finer than a millisecond are cut off. Leap seconds are not representable.
    """
    if len(text) <= _MAX_DIGITS and text.isascii() and text.removeprefix("-").isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    # Half a microsecond makes the cut exact: the text has at most microseconds.
    return int(moment.timestamp() * 1000.0 + 0.0005 + 62_135_683_200_000.0) - 62_135_683_200_000


def now_text(moment: datetime) -> str:
    """ISO text of an aware datetime, in the form of iso_utc."""
    return iso_utc(int(moment.astimezone(UTC).timestamp() * 1000.0))
