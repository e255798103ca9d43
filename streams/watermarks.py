"""Watermarks: what a stored window or item reflects, read without unpacking the rest.

A recovery compares every changelog record with the one before it of the same key and needs no
more than these numbers; the events of a window and the edges of an item are skipped over.
"""

from collections.abc import Mapping

import msgspec

from streams.codec import CodecError, unframe
from streams.graph import HEAD_BYTES, ITEM_FORMAT
from streams.window import WINDOW_FORMAT

_Skipped = msgspec.Raw


class _Extra(msgspec.Struct, array_like=True, gc=False):
    """As `window_state.Extra` begins."""

    types: _Skipped
    kinds: _Skipped
    sources: _Skipped
    places: _Skipped
    watermarks: dict[int, int]


class _Window(msgspec.Struct, array_like=True, gc=False):
    """As `window_state.Window` begins."""

    items: _Skipped
    arrivals: _Skipped
    id_tags: _Skipped
    id_rests: _Skipped
    event_type: _Skipped
    base_ms: _Skipped
    newest: _Skipped
    base_offset: int
    watermark: int
    source: int
    late: bool
    extra: _Extra | None


class _Item(msgspec.Struct, array_like=True, gc=False):
    """As what follows the head of an item begins."""

    watermarks: dict[int, int]


_window = msgspec.msgpack.Decoder(_Window).decode
_item = msgspec.msgpack.Decoder(_Item).decode


def window_watermarks(blob: bytes) -> Mapping[int, int]:
    """Source to the last click read from it, of a stored window.

    The same as `decode_window(blob).watermarks`. Raises CodecError if the bytes are not intact.
    """
    try:
        window = _window(unframe(blob, WINDOW_FORMAT, "window"))
    except (msgspec.DecodeError, RecursionError) as error:
        raise _unreadable("window", error) from error
    if window.source < 0:
        return {}
    own = window.base_offset + window.watermark
    if window.extra is None:
        return {window.source: own}
    return {**window.extra.watermarks, window.source: own}


def item_watermarks(blob: bytes) -> Mapping[int, int]:
    """Source to the last transition applied, of a stored item.

    The same as `decode_item_state(blob).watermarks`. Raises CodecError if the bytes are not intact.
    """
    payload = unframe(blob, ITEM_FORMAT, "item state")
    try:
        return _item(payload[HEAD_BYTES:]).watermarks
    except (msgspec.DecodeError, RecursionError) as error:
        raise _unreadable("item state", error) from error


def _unreadable(what: str, error: Exception) -> CodecError:
    return CodecError(
        f"stored {what} cannot be read ({error}): rebuild this state from the changelog"
    )
