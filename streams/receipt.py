"""The receipt message: a user's state and list are gone."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

_offset = Meta(ge=0)


class Receipt(msgspec.Struct, frozen=True):
    """What a worker writes once an erasure is done: the value of a record on the receipts topic.

    The source is the record of the request.
    """

    user_id: Annotated[str, Meta(description="Who was erased, as lists name them; the record key.")]
    erased_at: Annotated[str, Meta(description="ISO-8601 UTC.")]
    source_partition: Annotated[int, _offset]
    source_offset: Annotated[int, _offset]
    source_topic: str | None = None


_decode = msgspec.json.Decoder(Receipt).decode
_encode = msgspec.json.Encoder().encode


def encode_receipt(receipt: Receipt) -> bytes:
    """JSON bytes of a receipt."""
    return _encode(receipt)


def decode_receipt(value: bytes) -> Receipt:
    """The receipt in JSON bytes. Raises one of `reject.UNREADABLE` if it is not one."""
    return _decode(value)
