"""How sure a figure is: bootstrap over users, the same resamples for all methods.

Users are drawn, not examples, because one user's examples are not independent of each other
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993: the percentile interval). Methods
that are measured on the same users are compared pair by pair within each resample: what is easy
for one is easy for the other, so the difference is surer than either figure.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LEVEL = 0.95
RESAMPLES = 1000
_CELLS = 4_000_000  # resamples x users held at once


class Interval(NamedTuple):
    """Where the figure lies in LEVEL of the resamples."""

    low: float
    high: float


def sums_by_user(values: FloatArray, user: IntArray, users: int) -> FloatArray:
    """(users, m) sums of the rows of `values` (n, m) by their user (n,), 0 to users - 1."""
    sums = np.empty((users, values.shape[1]), np.float64)
    for column in range(values.shape[1]):
        sums[:, column] = np.bincount(user, values[:, column], minlength=users)
    return sums


def resampled_means(
    sums: FloatArray, examples: IntArray, *, seed: int, resamples: int = RESAMPLES
) -> FloatArray:
    """(resamples, m) means over examples, each of as many users as there are, with replacement.

    sums: (users, m) of each user; examples: (users,) how many examples those are, 1 or more.
    """
    users = len(sums)
    if not users:
        message = "there is nobody to draw: bring at least one example"
        raise ValueError(message)
    random = np.random.default_rng(seed)
    means = np.empty((resamples, sums.shape[1]), np.float64)
    block = max(1, _CELLS // users)
    for first in range(0, resamples, block):
        rows = min(block, resamples - first)
        # One draw of (row, user) pairs, counted: how often each row has each user.
        drawn = random.integers(users, size=(rows, users)) + users * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * users).reshape(rows, users)
        weights = times.astype(np.float64)
        means[first : first + rows] = (weights @ sums) / (weights @ examples)[:, None]
    return means


def interval(resampled: FloatArray) -> Interval:
    """Percentile interval of one figure's resamples (resamples,)."""
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))
