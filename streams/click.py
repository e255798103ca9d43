"""The click message: bytes of the clicks topic to a checked Click, or to a Reject with its reason.

Nothing a producer can send raises. The first fault in this order decides the reason: size, JSON
syntax and UTF-8, types, missing fields, ids, event type, timestamp. A good click costs one typed
decode and a few comparisons; finding out what is wrong with a bad one is left to a slow path.
"""

import re
from collections.abc import Sequence
from sys import intern
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from streams.instant import MAX_INSTANT_MS, parse_instant
from streams.place import Place, place_cell
from streams.reject import (
    UNREADABLE,
    ClickLimits,
    Reject,
    RejectReason,
    bad_timestamp,
    id_fault,
    malformed,
    too_large,
    wrong_type,
)

Headers = Sequence[tuple[str, bytes | None]]


class _WireClick(msgspec.Struct, gc=False):
    """A click as it stands on the topic: only types are checked.

    Unknown fields are ignored, null means absent, and of a repeated key the last one counts.
    """

    item_id: str | None = None
    timestamp: int | str | None = None
    user_id: str | None = None
    session_id: str | None = None
    event_type: str | None = None
    event_id: str | None = None
    value: float | None = None
    recommendation_id: str | None = None
    position: Annotated[int, Meta(ge=0, le=2_147_483_647)] | None = None
    place: Place | None = None


class Click(msgspec.Struct, gc=False):
    """A checked click. user_id is the session id where the click named no user.

    timestamp_ms: event time, epoch milliseconds. place_cell: see place_cell(); 0 for no place.
    """

    user_id: str
    item_id: str
    event_type: str
    timestamp_ms: int
    event_id: str | None = None
    value: float = 1.0
    recommendation_id: str | None = None
    position: int | None = None
    place_cell: int = 0


decode_message = msgspec.json.Decoder(_WireClick).decode
"""The message in a record's value, its types checked; raises what `UNREADABLE` names."""
_BACKSLASH, _DEL = 0x5C, 0x7F

# The three parts of the timestamp that nearly all producers send: "2026-01-31T12:00:" "00."
# "123Z". Minutes are remembered as they come.
_MINUTES: dict[str, int] = {}
_SECONDS = {f"{second:02d}.": second * 1000 for second in range(60)}
_FRACTIONS = {f"{ms:03d}Z": ms for ms in range(1000)}
_MAX_MINUTES = 10_000


def decode_click(  # noqa: C901  (a call costs more than the lines it would hide)
    value: bytes, headers: Headers, now_ms: int, limits: ClickLimits
) -> Click | Reject:
    """The click in a record, or why there is none. Never raises.

    headers: the record's; the CloudEvents ones stand in for fields that the body lacks.
    now_ms: the record's timestamp, epoch milliseconds.
    """
    if len(value) > limits.max_record_bytes:
        return too_large(value, limits)
    plain = value.isascii()
    try:
        message = decode_message(value)
        if not plain:
            value.decode()  # the decoder skips ignored fields without looking at their bytes
    except UNREADABLE:
        diagnosis = _diagnose(value)
        if isinstance(diagnosis, Reject):
            return diagnosis
        message = diagnosis
    if headers:
        own_event_id = message.event_id
        _fill_from_headers(message, headers, limits.event_types)
        plain = plain and message.event_id is own_event_id

    item_id = message.item_id
    user_id = message.user_id
    if user_id is None:
        user_id = message.session_id
    timestamp = message.timestamp
    if item_id is None or user_id is None or timestamp is None:
        return _missing(message)

    event_id = message.event_id
    recommendation_id = message.recommendation_id
    if not (
        # JSON strings hold no raw C0 characters: text in ASCII without an escape or a DEL is
        # printable, and as long in UTF-8 as it is in characters.
        plain
        and _BACKSLASH not in value
        and _DEL not in value
        and 0 < len(item_id) <= limits.max_id_bytes
        and 0 < len(user_id) <= limits.max_id_bytes
        and (event_id is None or 0 < len(event_id) <= limits.max_id_bytes)
        and (recommendation_id is None or 0 < len(recommendation_id) <= limits.max_id_bytes)
    ):
        fault = _first_id_fault(message, limits)
        if fault is not None:
            return fault

    event_type = message.event_type
    if event_type is None:
        event_type = "click"
    if event_type not in limits.event_types:
        return _unknown_event_type(event_type)
    if isinstance(timestamp, int):
        timestamp_ms = timestamp
    else:
        try:
            timestamp_ms = (
                _MINUTES[timestamp[:17]] + _SECONDS[timestamp[17:20]] + _FRACTIONS[timestamp[20:]]
            )
        except KeyError:
            instant_ms = _read_timestamp(timestamp)
            if instant_ms is None:
                return bad_timestamp(timestamp)
            timestamp_ms = instant_ms
    if timestamp_ms < now_ms - limits.max_age_ms:
        return _too_old(timestamp_ms, now_ms, limits)
    if timestamp_ms > now_ms + limits.max_future_ms or timestamp_ms > MAX_INSTANT_MS:
        return _in_future(limits)
    value_given = message.value
    place = message.place
    return Click(
        user_id,
        # State holds these for long: one string each, whoever clicked.
        intern(item_id),
        intern(event_type),
        timestamp_ms,
        event_id,
        1.0 if value_given is None else value_given,
        recommendation_id,
        message.position,
        0 if place is None else place_cell(place.lat, place.lon),
    )


def _read_timestamp(text: str) -> int | None:
    """parse_instant(), which see; remembers the minute if the text has the common form."""
    instant_ms = parse_instant(text)
    second_ms = _SECONDS.get(text[17:20])
    fraction_ms = _FRACTIONS.get(text[20:])
    if (
        instant_ms is not None
        and second_ms is not None
        and fraction_ms is not None
        and text[16] == ":"
    ):
        if len(_MINUTES) >= _MAX_MINUTES:
            _MINUTES.clear()
        _MINUTES[text[:17]] = instant_ms - second_ms - fraction_ms
    return instant_ms


def _missing(message: _WireClick) -> Reject:
    if message.item_id is None:
        field = "item_id"
    elif message.timestamp is None:
        field = "timestamp"
    else:
        field = "user_id (or session_id)"
    return Reject(RejectReason.MISSING_FIELD, f"{field} is required")


def _first_id_fault(message: _WireClick, limits: ClickLimits) -> Reject | None:
    named = message.user_id is not None
    for field, text in (
        ("item_id", message.item_id),
        ("user_id" if named else "session_id", message.user_id if named else message.session_id),
        ("event_id", message.event_id),
        ("recommendation_id", message.recommendation_id),
    ):
        fault = None if text is None else id_fault(field, text, limits)
        if fault is not None:
            return fault
    return None


def _unknown_event_type(event_type: str) -> Reject:
    return Reject(
        RejectReason.UNKNOWN_EVENT_TYPE,
        f"event_type {event_type[:60]!r} is not configured: configure it or send a known one",
    )


def _in_future(limits: ClickLimits) -> Reject:
    return Reject(
        RejectReason.IN_FUTURE,
        f"timestamp is more than {limits.max_future_ms / 1000:g} s after the record's own: "
        "check the producer's clock, and that it sends milliseconds",
    )


def _too_old(timestamp_ms: int, now_ms: int, limits: ClickLimits) -> Reject:
    hint = ""
    if abs(timestamp_ms * 1000 - now_ms) < limits.max_age_ms + limits.max_future_ms:
        hint = ": it looks like seconds, send milliseconds"
    return Reject(
        RejectReason.TOO_OLD,
        f"timestamp is more than {limits.max_age_ms / 1000:g} s before the record's own{hint}",
    )


def _fill_from_headers(message: _WireClick, headers: Headers, event_types: frozenset[str]) -> None:
    """CloudEvents binary mode: ce_id, ce_time and ce_type for what the body does not say.

    A ce_type counts only where it is, or ends in ".", a configured event type: others name the
    producer's own vocabulary. Of a repeated header the first counts. Bytes that are not UTF-8
    become U+FFFD, which no timestamp or event type holds.
    """
    for name, raw in headers:
        if raw is None or not name.startswith("ce_"):
            continue
        if name == "ce_id":
            if message.event_id is None:
                message.event_id = raw.decode(errors="replace")
        elif name == "ce_time":
            if message.timestamp is None:
                message.timestamp = raw.decode(errors="replace")
        elif name == "ce_type" and message.event_type is None:
            text = raw.decode(errors="replace")
            for event_type in (text, text.rpartition(".")[2]):
                if event_type in event_types:
                    message.event_type = event_type
                    break


class _RawMessage(msgspec.Struct):
    """Every field unread, in the order in which a fault is looked for."""

    item_id: Raw = Raw(b"null")
    user_id: Raw = Raw(b"null")
    session_id: Raw = Raw(b"null")
    event_type: Raw = Raw(b"null")
    event_id: Raw = Raw(b"null")
    value: Raw = Raw(b"null")
    recommendation_id: Raw = Raw(b"null")
    position: Raw = Raw(b"null")
    place: Raw = Raw(b"null")
    timestamp: Raw = Raw(b"null")


_decode_raw = msgspec.json.Decoder(_RawMessage).decode
_NUMBER = re.compile(rb"-?[0-9][0-9.eE+-]*")


def _diagnose(value: bytes) -> _WireClick | Reject:
    """What is wrong with a value the typed decoder refused.

    A timestamp that is a number, but no 64-bit integer, is handed on as text: whether it is too
    old, in the future or unreadable is judged where every timestamp is, after the other fields.
    """
    try:
        value.decode()
        raw = _decode_raw(value)
    except msgspec.ValidationError as not_an_object:
        return wrong_type(not_an_object)
    except UNREADABLE as fault:
        return malformed(fault)
    timestamp = bytes(raw.timestamp)
    if _NUMBER.fullmatch(timestamp):
        raw.timestamp = Raw(b'"%b"' % timestamp)
    try:
        return decode_message(msgspec.json.encode(raw))
    except msgspec.ValidationError as fault:
        return wrong_type(fault)
    except UNREADABLE as fault:
        return malformed(fault)
