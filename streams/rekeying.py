"""Rekeying: a click under another key than its user's, as it is forwarded to where its user is."""

import msgspec

from streams.click import Click
from streams.effects import Record, Rekeyed
from streams.place import Place


class _Placed(msgspec.Struct, gc=False):
    """Of a click that was read already, what `Click` has no more."""

    place: Place | None = None


class _Forwarded(msgspec.Struct, gc=False, omit_defaults=True):
    """A click under a pseudonym: the fields that are used, and nothing that came beside them."""

    user_id: str
    item_id: str
    event_type: str
    timestamp: int
    event_id: str | None = None
    value: float = 1.0
    position: int | None = None
    place: Place | None = None


# Typed, so that fields of no use are skipped as they are where a click is read: what passes there
# must not fail here.
_decode_place = msgspec.json.Decoder(_Placed).decode


def rekeyed(record: Record, user_key: bytes, user_id: str, click: Click) -> Rekeyed:
    """As it came under its user's key; under a pseudonym, only what is used of it."""
    key = user_id.encode()
    if key == user_key:
        return Rekeyed(user_key, key, record.value, record.headers, record)
    kept = _Forwarded(
        user_id,
        click.item_id,
        click.event_type,
        click.timestamp_ms,
        click.event_id,
        click.value,
        click.position,
    )
    if click.place_cell:
        kept.place = _decode_place(record.value or b"").place
    return Rekeyed(user_key, key, msgspec.json.encode(kept), (), record)
