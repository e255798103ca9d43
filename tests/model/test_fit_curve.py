"""The points of a fit: merged where there are many, smoothed for the eye."""

import math

import pytest

from model.fit_curve import Point, bounded, evaluated, smoothed


def points(count: int) -> list[Point]:
    return [
        Point(step=n + 1, steps=1, seconds=n / 2, learning_rate=0.1, loss=float(n),
              ndcg_at_10=n / 1000 if n % 3 else None)
        for n in range(count)
    ]  # fmt: skip


def test_few_points_stay_what_they_are():
    assert bounded(points(7), limit=7) == points(7)


@pytest.mark.parametrize("count", [8, 9])
def test_many_points_become_half_as_many_and_cover_the_same_steps(count: int):
    merged = bounded(points(count), limit=7)
    assert len(merged) == math.ceil(count / 2)
    assert sum(point.steps for point in merged) == count
    assert merged[-1].step == count
    assert sum(point.loss * point.steps for point in merged) == sum(range(count))
    assert merged[1].ndcg_at_10 is None  # of the later one of two
    assert merged[2].ndcg_at_10 == 0.005


def test_a_curve_that_grows_for_ever_stays_bounded():
    curve: list[Point] = []
    for point in points(500):
        curve = bounded([*curve, point], limit=20)
        assert len(curve) <= 20
    assert curve[-1].step == 500


def test_only_evaluated_points_have_a_figure():
    assert [point.step for point in evaluated(points(5))] == [2, 3, 5]


def test_smoothing_keeps_a_line_and_leaves_out_what_is_not_finite():
    assert smoothed([2.0] * 5, 2) == [2.0] * 5
    assert smoothed([0.0, 3.0, math.nan, 6.0], 1) == [1.5, 1.5, 4.5, 6.0]
    assert smoothed([1.0, 5.0], 0) == [1.0, 5.0]
    assert math.isnan(smoothed([math.inf], 3)[0])
