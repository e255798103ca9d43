"""How far the places of two events lie apart."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.places import DISTANCE_BUCKETS, UNKNOWN_DISTANCE, cell_centres, distance_ids
from streams.place import cell_centre, place_cell

NEW_YORK, LONDON = place_cell(40.7336, -74.0031), place_cell(51.5007, -0.1246)
BASEL, AUCKLAND = place_cell(47.5596, 7.5886), place_cell(-36.8485, 174.7633)
EARTH_RADIUS_HM = 63_710
points = st.tuples(st.floats(-90, 90), st.floats(-180, 180))
borders = st.integers(0, 2**15).map(lambda n: n / 2**15)
on_borders = st.tuples(borders.map(lambda n: 180 * n - 90), borders.map(lambda n: 360 * n - 180))


def ids(*cells: int) -> list[int]:
    return distance_ids(np.array(cells, np.int64), np.array([0])).tolist()


def test_the_same_cell_is_nearest_and_the_other_side_of_the_earth_farthest():
    assert ids(BASEL, BASEL, AUCKLAND) == [UNKNOWN_DISTANCE, 2, DISTANCE_BUCKETS + 1]
    # 5,570 km: between 2^15 and 2^16 hectometres.
    assert ids(NEW_YORK, LONDON)[1] == 2 + 15


def test_a_distance_is_unknown_at_the_start_of_each_window_and_beside_an_event_without_place():
    cells = np.array([BASEL, BASEL, 0, BASEL, BASEL], np.int64)
    assert distance_ids(cells, np.array([0, 4])).tolist() == [1, 2, 1, 1, 1]
    assert distance_ids(cells[:0], np.array([], np.int64)).tolist() == []


@given(points, points)
def test_the_distance_is_that_of_the_centres_of_the_cells_by_the_law_of_cosines(
    one: tuple[float, float], other: tuple[float, float]
):
    cells = [place_cell(*one), place_cell(*other)]
    (a, b), (c, d) = (
        (math.radians(centre.lat), math.radians(centre.lon)) for centre in map(cell_centre, cells)
    )
    cosine = math.sin(a) * math.sin(c) + math.cos(a) * math.cos(c) * math.cos(b - d)
    apart = EARTH_RADIUS_HM * math.acos(max(-1.0, min(cosine, 1.0)))
    near = [2 + int(math.log2(1 + max(apart + change, 0))) for change in (-1, 1)]
    assert min(near) <= ids(*cells)[1] <= min(max(near), DISTANCE_BUCKETS + 1)


@given(points | on_borders)
def test_a_cell_has_the_middle_that_serving_gives_it(point: tuple[float, float]):
    cell = place_cell(*point)
    centre = cell_centre(cell)
    latitudes, longitudes = np.degrees(cell_centres(np.array([cell], np.int64)))
    assert latitudes.tolist() == pytest.approx([centre.lat], abs=1e-9)
    assert longitudes.tolist() == pytest.approx([centre.lon], abs=1e-9)


def test_places_on_both_sides_of_the_date_line_are_near():
    assert ids(place_cell(-17.0, 179.999), place_cell(-17.0, -179.999))[1] <= 2 + 4


@pytest.mark.parametrize("cell", [1, (1 << 40) + 5, -3])
def test_what_is_no_cell_has_a_distance_all_the_same(cell: int):
    assert 2 <= ids(BASEL, cell)[1] <= DISTANCE_BUCKETS + 1
