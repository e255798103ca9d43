"""The kernels of popularity in NumPy: what they mean, and what runs where nothing was compiled.

They take the forward-decayed weights of all items, by item number.
"""

from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_LOWEST, _HIGHEST = -2000, 500
"""Powers of two beyond these are 0, or far in the future of any real clock."""


class Decayed(NamedTuple):
    """Weights of one half-life: value at T = weight * 2^(base - T / half-life)."""

    weights: Floats
    """`[items]`"""
    bases: Integers
    """`[items]`"""
    age: int
    """T / half-life, its whole part: `base - age` is what is left of the exponent."""
    fraction: float
    """2^-(what is left of T / half-life)"""


def weigh_items(
    long_term: Decayed, short_term: Decayed, usual_share: float
) -> tuple[Floats, Floats, Floats]:
    """Of all items: the weights of both half-lives, each in proportion to the newest base that has
    any, and the trends.

    A trend is the short value over the long one, which `usual_share` scales, smoothed by one event.
    """
    usual = _value(long_term) * usual_share
    recent = _value(short_term)
    return _relative(long_term), _relative(short_term), recent / (usual + 1.0)


def largest_positive(values: Floats, tie_keys: NDArray[np.uint64], n: int) -> Integers:
    """Positions of the `n` (at least 1) largest positive values, largest first, ties by key."""
    positive = np.flatnonzero(values > 0.0)
    if len(positive) > n:
        threshold = np.partition(values[positive], len(positive) - n)[-n]
        positive = positive[values[positive] >= threshold]
    order = np.lexsort((tie_keys[positive], -values[positive]))
    return positive[order][:n]


def choose_popular(
    ranked: Integers, unavailable: NDArray[np.bool_], excluded: list[set[int]], n: int
) -> tuple[list[list[int]], int]:
    """For each user the first `n` ranked items that are available and not among those excluded.

    unavailable: by item number. Also returns how many of the ranked items are available.
    """
    usable: list[int] = ranked[~unavailable[ranked]].tolist()
    chosen = [
        list(islice((item for item in usable if item not in of_user), n)) if of_user else usable[:n]
        for of_user in excluded
    ]
    return chosen, len(usable)


def take(values: Floats, items: Integers) -> Floats:
    """Values by item number; 0 for numbers beyond the array, and for negative ones: padding."""
    if not len(values):
        return np.zeros(items.shape)
    within = (items >= 0) & (items < len(values))
    return np.where(within, values[np.where(within, items, 0)], 0.0)


def _relative(decayed: Decayed) -> Floats:
    bases = decayed.bases
    newest = int(bases.max(where=decayed.weights > 0.0, initial=0))
    return _scaled(decayed.weights, bases - newest)


def _value(decayed: Decayed) -> Floats:
    return _scaled(decayed.weights, decayed.bases - decayed.age) * decayed.fraction


def _scaled(weights: Floats, exponents: Integers) -> Floats:
    """Weights times 2^exponents, exactly; what is far too small becomes 0."""
    scaled: Floats = np.ldexp(weights, np.clip(exponents, _LOWEST, _HIGHEST).astype(np.int32))
    return scaled
