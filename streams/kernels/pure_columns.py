"""Columns of transitions in Python: what they are, whether they fit together, and their bytes.

The bytes are little-endian: how many rows, items and links (32 bits each); the base of the offsets
and of the times (64 bits each); the bytes that a number of each column takes (8 bits each); then
the columns, less their bases. Columns are no wider than they have to be, and kinds that are all the
first take no byte.
"""

import sys
from array import array
from collections.abc import Iterator
from itertools import compress, count
from operator import ge
from struct import Struct
from typing import NamedTuple

LATEST_MS = 253_402_300_799_999
"""The end of the year 9999: no click is later."""
OFFSET_LIMIT = 1 << 62

_HEAD = Struct("<3I2q7B")
_BASED = 2
"""So many columns, the first ones, are stored less their smallest number."""
_KINDS = 3
_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_BITS = (1 << 64) - 1


class Columns(NamedTuple):
    """What clicks tell one graph partition; each column is an array("q").

    By row, which is a click: offsets, ascending; times_ms; items and kinds, which are numbers in
    a table of item ids and in a list of event types.

    By item that the partition owns, and these are the first of the table: ends, where its links end
    and those of the next begin.

    By link, from an item to a row: rows, ascending for each item; distances, in clicks from the
    item to the row's click: 1 = directly before, 0 = that click is on the item itself.
    """

    offsets: "array[int]"
    times_ms: "array[int]"
    items: "array[int]"
    kinds: "array[int]"
    ends: "array[int]"
    rows: "array[int]"
    distances: "array[int]"


def pack_columns(columns: Columns) -> bytes:
    """Bytes of columns, whatever their numbers."""
    bases = [min(column, default=0) for column in columns[:_BASED]]
    widths = []
    packed = []
    for number, column in enumerate(columns):
        base = bases[number] if number < _BASED else 0
        numbers = [value - base for value in column] if base else column.tolist()
        widest = max(numbers, default=0)
        if number == _KINDS and not any(numbers):
            widths.append(0)
            continue
        width = next(width for width in _CODES if width == 8 or widest < 1 << 8 * width)
        try:
            narrow = array(_CODES[width], numbers)
        except OverflowError:  # below 0
            width = 8
            narrow = array(_CODES[width], [value & _BITS for value in numbers])
        widths.append(width)
        packed.append(_little(narrow).tobytes())
    counts = (len(columns[0]), len(columns[4]), len(columns[5]))
    return b"".join((_HEAD.pack(*counts, *bases, *widths), *packed))


def unpack_columns(packed: bytes) -> Columns | None:
    """The columns in such bytes; None where no columns are packed like that.

    Whether what they say makes sense is another question (`columns_fit`).
    """
    if len(packed) < _HEAD.size:
        return None
    rows, items, links, offset, time_ms, *widths = _HEAD.unpack_from(packed)
    if any(
        width not in _CODES and (width or number != _KINDS) for number, width in enumerate(widths)
    ):
        return None
    sizes = (rows, rows, rows, rows, items, links, links)
    wanted = sum(size * width for size, width in zip(sizes, widths, strict=True))
    if len(packed) != _HEAD.size + wanted or offset < 0 or time_ms < 0:
        return None
    try:
        return Columns(*_unpacked(packed, sizes, (offset, time_ms), widths))
    except OverflowError:
        return None


def _unpacked(
    packed: bytes, sizes: tuple[int, ...], bases: tuple[int, int], widths: list[int]
) -> Iterator["array[int]"]:
    at = _HEAD.size
    for number, (size, width) in enumerate(zip(sizes, widths, strict=True)):
        if not width:
            yield array("q", bytes(8 * size))
            continue
        values = _little(array(_CODES[width], packed[at : at + size * width]))
        at += size * width
        base = bases[number] if number < _BASED else 0
        yield array("q", [base + value for value in values] if base else values)


def _little(numbers: "array[int]") -> "array[int]":
    """Little-endian numbers as this machine reads them, or the other way round."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def columns_fit(columns: Columns, item_ids: int, event_types: int) -> bool:
    """Whether columns fit together and can be folded: every row, item and kind that is named
    exists, and numbers are such as clicks can have.

    item_ids, event_types: how many the table and the list have.
    """
    offsets, times_ms, items, kinds, ends, rows, distances = [each.tolist() for each in columns]
    size = len(offsets)
    if not len(times_ms) == len(items) == len(kinds) == size or len(rows) != len(distances):
        return False
    if size and not (
        offsets == sorted(offsets)
        and 0 <= offsets[0] <= offsets[-1] < OFFSET_LIMIT
        and 0 <= min(times_ms) <= max(times_ms) <= LATEST_MS
        and 0 <= min(items) <= max(items) < item_ids
        and 0 <= min(kinds) <= max(kinds) < event_types
    ):
        return False
    if len(ends) > item_ids or ends != sorted(set(ends)) or [0, *ends][-1] != len(rows):
        return False
    if not rows:
        return True
    if not (ends[0] > 0 and 0 <= min(rows) <= max(rows) < size and min(distances) >= 0):
        return False
    links = list(zip(rows, distances, strict=True))
    # Links ascend, but where those of the next item begin.
    return set(compress(count(1), map(ge, links, links[1:]))).issubset(ends)
