"""Destinations: item numbers of the packed columns that say where an item's edges lead.

An item's edges change with every click on it, its destinations seldom: a click strengthens one,
adds one at the end or, once in a while, forgets many. So the numbers of a column are kept with its
bytes, and of a column that only grew only the end is read.
"""

from collections import OrderedDict

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.codec import CodecError
from streams.item_index import ItemIndex

Integers = NDArray[np.int64]

_decode = msgspec.msgpack.Decoder(list[str]).decode


class Destinations:
    """The numbers of destination columns, by item and event type."""

    def __init__(self, ids: ItemIndex, kept: int) -> None:
        """`kept`: most columns whose numbers are kept, about 2 KB each with 100 destinations."""
        self._ids = ids
        self._kept = kept
        self._columns: OrderedDict[tuple[str, str], tuple[bytes, Integers]] = OrderedDict()

    def numbers(self, item_id: str, event_type: str, body: bytes, edges: int) -> Integers:
        """Item numbers `[edges]` of so many packed names; not to be changed.

        Raises CodecError where they are no text.
        """
        key = (item_id, event_type)
        known = self._columns.get(key)
        if known is not None:
            self._columns.move_to_end(key)
            before, numbers = known
            if body == before:
                return numbers
            if body.startswith(before):
                added = self._read(body[len(before) :], edges - len(numbers))
                numbers = np.concatenate((numbers, added))
                self._columns[key] = (body, numbers)
                return numbers
        numbers = self._read(body, edges)
        self._columns[key] = (body, numbers)
        if len(self._columns) > self._kept:
            self._columns.popitem(last=False)
        return numbers

    def _read(self, body: bytes, count: int) -> Integers:
        try:
            ids = _decode(b"\xdd" + count.to_bytes(4, "big") + body)
        except (msgspec.DecodeError, UnicodeDecodeError, OverflowError) as error:
            raise CodecError(
                f"stored item state has unreadable destinations ({error}): rebuild this state from"
                " the changelog"
            ) from error
        return np.fromiter(self._ids.index_all(ids), np.int64, len(ids))
