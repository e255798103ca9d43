"""Where a click happened: a point, and the grid cell that state remembers of it."""

from typing import Annotated

import msgspec
from msgspec import Meta


class Place(msgspec.Struct, frozen=True, gc=False):
    """A point in WGS 84 degrees."""

    lat: Annotated[float, Meta(ge=-90.0, le=90.0)]
    lon: Annotated[float, Meta(ge=-180.0, le=180.0)]


# Byte to its eight bits spread over the even bits of sixteen, to interleave two coordinates.
_SPREAD = tuple(sum((byte >> bit & 1) << 2 * bit for bit in range(8)) for byte in range(256))
_CELLS_PER_AXIS = 1 << 15
_CELL_MARK = 1 << 30


def place_cell(lat: float, lon: float) -> int:
    """Grid cell of a point: the 30 bits of its six-character geohash under a leading 1 bit.

    A cell is 0.61 km high and at most 1.22 km wide; cell >> 2 is the enclosing cell of twice the
    size. Never 0, which stands for "no place", and below 2^31. Points on the upper edge of the
    range belong to the last cell.
    """
    row = min(int((lat + 90.0) * (_CELLS_PER_AXIS / 180.0)), _CELLS_PER_AXIS - 1)
    column = min(int((lon + 180.0) * (_CELLS_PER_AXIS / 360.0)), _CELLS_PER_AXIS - 1)
    rows = _SPREAD[row >> 8] << 16 | _SPREAD[row & 255]
    columns = _SPREAD[column >> 8] << 16 | _SPREAD[column & 255]
    return _CELL_MARK | columns << 1 | rows


def cell_centre(cell: int) -> Place:
    """The middle of a grid cell: a point whose cell it is."""
    bits = cell & ~_CELL_MARK
    row, column = _gather(bits), _gather(bits >> 1)
    scale = 1.0 / _CELLS_PER_AXIS
    return Place((row + 0.5) * 180.0 * scale - 90.0, (column + 0.5) * 360.0 * scale - 180.0)


def _gather(bits: int) -> int:
    """The even bits, put together again."""
    return sum((bits >> 2 * place & 1) << place for place in range(15))
