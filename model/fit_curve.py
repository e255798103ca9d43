"""How a fit went: one point for each interval between two evaluations, in a bounded list."""

import math
from collections.abc import Sequence

import msgspec

MAX_POINTS = 1000


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """What happened up to a step, since the point before."""

    step: int  # the last one of the interval
    steps: int  # how many the interval has
    seconds: float  # since the fit began
    learning_rate: float  # of the last step
    loss: float  # mean over the interval's steps
    pretraining: bool = False  # whether the last step was on masked items
    # Of the averaged weights on validation events; None where nothing was evaluated.
    ndcg_at_10: float | None = None
    hit_rate_at_10: float | None = None


def bounded(points: Sequence[Point], limit: int = MAX_POINTS) -> list[Point]:
    """The points, or where they are more than `limit`, half as many, two merged into one each.

    Losses are averaged; the rest is the later one's.
    """
    if len(points) <= limit:
        return list(points)
    merged = [merge(points[first], points[first + 1]) for first in range(0, len(points) - 1, 2)]
    return merged + ([points[-1]] if len(points) % 2 else [])


def merge(first: Point, second: Point) -> Point:
    """Two neighbours as one interval."""
    steps = first.steps + second.steps
    loss = (first.loss * first.steps + second.loss * second.steps) / steps
    return msgspec.structs.replace(second, steps=steps, loss=loss)


def evaluated(points: Sequence[Point]) -> list[Point]:
    """The points that have a validation figure."""
    return [point for point in points if point.ndcg_at_10 is not None]


def smoothed(values: Sequence[float], reach: int) -> list[float]:
    """Mean of each value and up to `reach` finite neighbours on either side."""
    found = []
    for index in range(len(values)):
        near = [v for v in values[max(0, index - reach) : index + reach + 1] if math.isfinite(v)]
        found.append(sum(near) / len(near) if near else math.nan)
    return found
