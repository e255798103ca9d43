"""Columns of transitions in Python: what they are, whether they fit together, and their bytes.

The bytes begin with six natural numbers, seven bits a byte, the lowest first, the eighth bit set
where more follow: rows, items, links, the base of the offsets and of the times, and the shape. Its
lowest bit says that all kinds are the first and take no byte; then two bits for each column tell
whether its numbers take 1, 2, 4 or 8 bytes, no more than they need. The columns follow, less their
bases, little-endian.
"""

import sys
from array import array
from collections.abc import Iterator
from itertools import compress, count
from operator import ge
from typing import NamedTuple

from streams.instant import MAX_INSTANT_MS

OFFSET_LIMIT = 1 << 62

_BASED = 2
"""So many columns, the first ones, are stored less their smallest number."""
_KINDS = 3
_CODES = "BHIQ"
"""Type codes of numbers of 1, 2, 4 and 8 bytes."""
_NATURAL_BYTES = 9
"""Most that a natural number takes: 63 bits."""
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
    shape = 0
    packed = []
    for number, column in enumerate(columns):
        base = bases[number] if number < _BASED else 0
        numbers = [value - base for value in column] if base else column.tolist()
        widest = max(numbers, default=0)
        if number == _KINDS and not any(numbers):
            shape |= 1
            continue
        code = (widest >= 1 << 8) + (widest >= 1 << 16) + (widest >= 1 << 32)
        try:
            narrow = array(_CODES[code], numbers)
        except OverflowError:  # below 0
            code = 3
            narrow = array(_CODES[code], [value & _BITS for value in numbers])
        shape |= code << 1 + 2 * number
        packed.append(_little(narrow).tobytes())
    sizes = (len(columns.offsets), len(columns.ends), len(columns.rows))
    head = bytearray()
    for value in (*sizes, *bases, shape):
        _put_natural(head, value & _BITS)
    return b"".join((head, *packed))


def _put_natural(head: bytearray, value: int) -> None:
    while value >= 0x80:
        head.append(value & 0x7F | 0x80)
        value >>= 7
    head.append(value)


def _natural(packed: bytes, at: int) -> tuple[int, int]:
    """A natural number, and where the next one begins. IndexError where there is none."""
    value = 0
    for number in range(_NATURAL_BYTES):
        byte = packed[at + number]
        value |= (byte & 0x7F) << 7 * number
        if byte < 0x80:
            return value, at + number + 1
    raise IndexError("a number that is too large")


def unpack_columns(packed: bytes) -> Columns | None:
    """The columns in such bytes; None where no columns are packed like that.

    Whether what they say makes sense is another question (`columns_fit`).
    """
    at = 0
    head = []
    try:
        for _ in range(6):
            value, at = _natural(packed, at)
            head.append(value)
    except IndexError:
        return None
    rows, items, links, offset, time_ms, shape = head
    sizes = (rows, rows, rows, rows, items, links, links)
    widths = [1 << (shape >> 1 + 2 * number & 3) for number in range(len(sizes))]
    if shape & 1:
        widths[_KINDS] = 0
    wanted = sum(size * width for size, width in zip(sizes, widths, strict=True))
    if shape >= 1 << 15 or len(packed) != at + wanted:
        return None
    try:
        return Columns(*_unpacked(packed, at, sizes, (offset, time_ms), widths))
    except OverflowError:
        return None


def _unpacked(
    packed: bytes, at: int, sizes: tuple[int, ...], bases: tuple[int, int], widths: list[int]
) -> Iterator["array[int]"]:
    for number, (size, width) in enumerate(zip(sizes, widths, strict=True)):
        if not width:
            yield array("q", bytes(8 * size))
            continue
        code = _CODES[width.bit_length() - 1]
        values = _little(array(code, packed[at : at + size * width]))
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
        and 0 <= min(times_ms) <= max(times_ms) <= MAX_INSTANT_MS
        and 0 <= min(items) <= max(items) < item_ids
        and 0 <= min(kinds) <= max(kinds) < event_types
    ):
        return False
    if len(ends) > item_ids or ends != sorted(set(ends)) or [0, *ends][-1] != len(rows):
        return False
    if not rows:
        return not ends
    if not (ends[0] > 0 and 0 <= min(rows) <= max(rows) < size and min(distances) >= 0):
        return False
    links = list(zip(rows, distances, strict=True))
    # Links ascend, but where those of the next item begin.
    return set(compress(count(1), map(ge, links, links[1:]))).issubset(ends)
