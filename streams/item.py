"""The item message: bytes of the items topic to a checked Item, or to a Reject."""

import msgspec

from streams.instant import MAX_INSTANT_MS, parse_instant
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


class _WireItem(msgspec.Struct):
    """An item as it stands on the topic: only types are checked, null means absent."""

    item_id: str | None = None
    title: str | None = None
    categories: list[str] | None = None
    available: bool | None = None
    price: float | None = None
    timestamp: int | str | None = None


class Item(msgspec.Struct):
    """A checked catalogue item. price: in the shop's own currency. timestamp_ms: of the change."""

    item_id: str
    title: str = ""
    categories: list[str] = []
    available: bool = True
    price: float | None = None
    timestamp_ms: int | None = None


_decode_message = msgspec.json.Decoder(_WireItem).decode


def decode_item(value: bytes, key: bytes | None, limits: ClickLimits) -> Item | Reject:
    """The item in a record, or why there is none. Never raises.

    The body's item_id counts; the record key stands in where the body has none. The timestamp
    has no age limit: a catalogue entry may be years old.
    """
    if len(value) > limits.max_record_bytes:
        return too_large(value, limits)
    try:
        value.decode()
        message = _decode_message(value)
    except msgspec.ValidationError as fault:
        return wrong_type(fault)
    except UNREADABLE as fault:
        return malformed(fault)
    item_id = message.item_id
    if item_id is None:
        if key is None:
            return Reject(
                RejectReason.MISSING_FIELD, "item_id is required, in the value or as record key"
            )
        try:
            item_id = key.decode()
        except UnicodeDecodeError:
            return Reject(RejectReason.BAD_ID, "record key is not UTF-8")
    unusable = id_fault("item_id", item_id, limits)
    if unusable is not None:
        return unusable
    timestamp = message.timestamp
    timestamp_ms = parse_instant(timestamp) if isinstance(timestamp, str) else timestamp
    if timestamp is not None and (timestamp_ms is None or abs(timestamp_ms) > MAX_INSTANT_MS):
        return bad_timestamp(timestamp)
    return Item(
        item_id,
        message.title or "",
        message.categories or [],
        message.available is not False,
        message.price,
        timestamp_ms,
    )
