"""The item message: bytes of the items topic to a checked Item, or to a Reject."""

import msgspec

from streams.click import ClickLimits, Reject


class Item(msgspec.Struct):
    item_id: str
    title: str = ""
    categories: list[str] = []
    available: bool = True
    price: float | None = None
    timestamp_ms: int | None = None


def decode_item(value: bytes, key: bytes | None, limits: ClickLimits) -> Item | Reject:
    raise NotImplementedError
