"""Place cells: geohash bits as one integer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.place import cell_centre, place_cell

BASE32 = "0123456789bcdefghjkmnpqrstuvwxyz"
latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)


def geohash(cell: int) -> str:
    return "".join(BASE32[cell >> shift & 31] for shift in range(25, -1, -5))


@pytest.mark.parametrize(
    ("lat", "lon", "expected"),
    [(57.64911, 10.40744, "u4pruy"), (-25.382708, -49.265506, "6gkzwg")],
)
def test_the_cell_is_the_six_character_geohash(lat: float, lon: float, expected: str) -> None:
    assert geohash(place_cell(lat, lon)) == expected


@given(st.integers(0, 2**15 - 1), st.integers(0, 2**15 - 1), st.floats(0.01, 0.99))
def test_the_cell_is_found_by_halving_longitude_and_latitude(
    row: int, column: int, within: float
) -> None:
    lat = (row + within) * 180 / 2**15 - 90
    lon = (column + within) * 360 / 2**15 - 180
    bounds = [[-180.0, 180.0], [-90.0, 90.0]]
    bits = 1
    for step in range(30):
        bound = bounds[step % 2]
        middle = sum(bound) / 2
        upper = (lon, lat)[step % 2] >= middle
        bound[0 if upper else 1] = middle
        bits = bits << 1 | upper
    assert place_cell(lat, lon) == bits


@given(latitudes, longitudes)
def test_a_cell_is_never_the_one_that_means_no_place(lat: float, lon: float) -> None:
    assert 1 << 30 <= place_cell(lat, lon) < 1 << 31


def test_the_corners_of_the_world_have_cells() -> None:
    cells = {place_cell(lat, lon) for lat in (-90.0, 90.0) for lon in (-180.0, 180.0)}
    assert len(cells) == 4


@given(latitudes, longitudes)
def test_the_centre_of_a_cell_lies_in_it(lat: float, lon: float) -> None:
    cell = place_cell(lat, lon)
    centre = cell_centre(cell)
    assert place_cell(centre.lat, centre.lon) == cell
    assert abs(centre.lat - lat) < 0.006
    assert abs(centre.lon - lon) < 0.012
