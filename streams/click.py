"""The click message: bytes of the clicks topic to a checked Click, or to a Reject with its reason."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec


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


class Place(msgspec.Struct, frozen=True):
    lat: float
    lon: float


class Click(msgspec.Struct, gc=False):
    user_id: str
    item_id: str
    event_type: str
    timestamp_ms: int
    event_id: str | None = None
    value: float = 1.0
    recommendation_id: str | None = None
    position: int | None = None
    place_cell: int = 0


class Reject(msgspec.Struct, frozen=True):
    reason: RejectReason
    detail: str


class ClickLimits(msgspec.Struct, frozen=True, kw_only=True):
    max_record_bytes: int = 65_536
    max_id_bytes: int = 256
    max_age_ms: int
    max_future_ms: int = 300_000
    event_types: frozenset[str]


def place_cell(lat: float, lon: float) -> int:
    raise NotImplementedError


def decode_click(
    value: bytes,
    headers: Sequence[tuple[str, bytes | None]],
    now_ms: int,
    limits: ClickLimits,
) -> Click | Reject:
    raise NotImplementedError
