"""How far the places of two events lie apart, told from their grid cells.

A cell is the 30 bits of a six-character geohash, longitude and latitude interleaved, under a
leading 1 bit; 0 is no place. Bits above those are not looked at.
"""

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

DISTANCE_BUCKETS = 18  # floor(log2(1 + hectometres)): the last one is from 13,107 km on
UNKNOWN_DISTANCE = 1  # a window's first event, or one of the two has no place

_BITS_PER_AXIS = 15
_CELLS_PER_AXIS = 1 << _BITS_PER_AXIS
_EARTH_RADIUS_HECTOMETRES = 63_710.0


def distance_ids(place_cells: IntArray, starts: IntArray) -> IntArray:
    """Bucket of the distance from the place of the previous event of the same window.

    place_cells: [N] windows end to end; starts: [B] index of each window's first event. Id 1 is
    UNKNOWN_DISTANCE; 2 + floor(log2(1 + hectometres)) between the cells' centres otherwise.
    """
    ids = np.full(len(place_cells), UNKNOWN_DISTANCE, np.int64)
    latitudes, longitudes = cell_centres(place_cells)
    apart = _hectometres(latitudes[:-1], longitudes[:-1], latitudes[1:], longitudes[1:])
    # frexp is exact where log2 may round up just below a power of two.
    exponents = np.frexp(np.floor(apart) + 1.0)[1].astype(np.int64) - 1
    known = (place_cells[:-1] != 0) & (place_cells[1:] != 0)
    ids[1:][known] = np.minimum(exponents[known], DISTANCE_BUCKETS - 1) + 2
    ids[starts] = UNKNOWN_DISTANCE
    return ids


def cell_centres(cells: IntArray) -> tuple[FloatArray, FloatArray]:
    """Latitude and longitude of the cells' middles, in radians."""
    rows = _even_bits(cells).astype(np.float64)
    columns = _even_bits(cells >> 1).astype(np.float64)
    size = np.pi / _CELLS_PER_AXIS  # of a row; a column is twice as wide
    return (rows + 0.5) * size - np.pi / 2, (columns + 0.5) * (2 * size) - np.pi


def _even_bits(cells: IntArray) -> IntArray:
    """The even ones of the lowest 30 bits, put together."""
    found = np.zeros_like(cells)
    for bit in range(_BITS_PER_AXIS):
        found |= (cells >> bit) & (1 << bit)
    return found


def _hectometres(
    from_latitude: FloatArray,
    from_longitude: FloatArray,
    to_latitude: FloatArray,
    to_longitude: FloatArray,
) -> FloatArray:
    """Great-circle distance (haversine) of points in radians."""
    chord = (
        np.sin((to_latitude - from_latitude) / 2) ** 2
        + np.cos(from_latitude)
        * np.cos(to_latitude)
        * np.sin((to_longitude - from_longitude) / 2) ** 2
    )
    apart: FloatArray = 2 * _EARTH_RADIUS_HECTOMETRES * np.arcsin(np.sqrt(np.minimum(chord, 1.0)))
    return apart
