"""Records that are refused: the reasons, the limits they are judged by, and the words for it."""

import re
from enum import StrEnum

import msgspec

# Everything a typed JSON decode can raise on bytes from outside.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class RejectReason(StrEnum):
    """Why a record was refused; also the metric label and the dead-letter header."""

    MALFORMED_JSON = "malformed_json"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    BAD_TIMESTAMP = "bad_timestamp"
    TOO_OLD = "too_old"
    IN_FUTURE = "in_future"
    TOO_LARGE = "too_large"
    BAD_ID = "bad_id"
    UNKNOWN_EVENT_TYPE = "unknown_event_type"
    RATE_LIMITED = "rate_limited"


class Reject(msgspec.Struct, frozen=True):
    """A refused record: the reason, and one sentence (at most 300 characters) for its producer."""

    reason: RejectReason
    detail: str


class ClickLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What is accepted. Ages are against the record's own timestamp, ids are UTF-8 bytes."""

    max_record_bytes: int = 65_536
    max_id_bytes: int = 256
    max_age_ms: int
    max_future_ms: int = 300_000
    event_types: frozenset[str]


# C0, DEL and C1: they break logs, terminals and C strings, and are never part of a real id.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def id_fault(field: str, text: str, limits: ClickLimits) -> Reject | None:
    """Why an id is unusable: empty, too long in UTF-8, or holding control characters (NUL too)."""
    # Printable text of so few characters is in order whatever its encoding.
    if 0 < len(text) <= limits.max_id_bytes >> 2 and text.isprintable():
        return None
    if not text:
        return Reject(RejectReason.BAD_ID, f"{field} is empty: leave it out or give it a value")
    if len(text) > limits.max_id_bytes or len(text.encode()) > limits.max_id_bytes:
        return Reject(
            RejectReason.BAD_ID, f"{field} is longer than {limits.max_id_bytes} bytes of UTF-8"
        )
    if not text.isprintable() and _CONTROL.search(text):
        return Reject(RejectReason.BAD_ID, f"{field} holds a control character")
    return None


def too_large(value: bytes, limits: ClickLimits) -> Reject:
    """The Reject of a record over the size limit."""
    return Reject(
        RejectReason.TOO_LARGE,
        f"record value is {len(value)} bytes, at most {limits.max_record_bytes} are accepted",
    )


def malformed(error: Exception) -> Reject:
    """The Reject of bytes that are no JSON text."""
    if isinstance(error, RecursionError):
        return Reject(RejectReason.MALFORMED_JSON, "JSON is nested too deeply")
    return Reject(RejectReason.MALFORMED_JSON, f"value is not JSON in UTF-8: {error}"[:300])


def wrong_type(error: Exception) -> Reject:
    """The Reject of a typed decode that failed on well-formed JSON."""
    sentence = str(error)[:300]
    if sentence.startswith("Object missing required field"):
        return Reject(RejectReason.MISSING_FIELD, sentence)
    return Reject(RejectReason.WRONG_TYPE, sentence)


def bad_timestamp(timestamp: object) -> Reject:
    """The Reject of a timestamp that says no instant."""
    return Reject(
        RejectReason.BAD_TIMESTAMP,
        f"timestamp {str(timestamp)[:60]!r} is neither ISO-8601 with a zone "
        "nor whole epoch milliseconds",
    )
