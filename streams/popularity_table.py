"""Popularity of all items of the graph as arrays: shares, trends, and the items on top."""

import numpy as np
from numpy.typing import NDArray

from streams.item_index import ItemIndex, with_room
from streams.kernels import largest_positive, weigh_items
from streams.kernels.pure_popularity import Decayed
from streams.popularity import Popularity

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_FIRST_CAPACITY = 1024
_HIGHEST = 500.0
"""Powers of two beyond this are far in the future of any real clock."""


class PopularitySnapshot:
    """Popularity and trend of all items at one moment; immutable, arrays by item number."""

    __slots__ = ("_popular", "_tie_keys", "_trending", "at_ms", "recent_shares", "shares", "trends")

    def __init__(
        self,
        at_ms: int,
        shares: Floats,
        recent_shares: Floats,
        trends: Floats,
        tie_keys: NDArray[np.uint64],
    ) -> None:
        self.at_ms = at_ms
        self.shares = shares
        """Share of all decayed weight, 0..1."""
        self.recent_shares = recent_shares
        """The same with the short half-life."""
        self.trends = trends
        """Rate of the short half-life against the long one's: 1 = as ever, 2 = twice its usual.

        Smoothed by one event, so that a single click on an unknown item is no trend.
        """
        self._tie_keys = tie_keys
        self._popular = np.empty(0, dtype=np.int64)
        self._trending = np.empty(0, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.shares)

    def top_popular(self, n: int) -> Integers:
        """Numbers of the `n` items with the largest shares, fewer if fewer have any."""
        if len(self._popular) < n:
            self._popular = largest_positive(self.shares, self._tie_keys, _rounded_up(n))
        return self._popular[:n]

    def top_trending(self, n: int) -> Integers:
        """Numbers of the `n` items with the largest trends, fewer if fewer have any."""
        if len(self._trending) < n:
            self._trending = largest_positive(self.trends, self._tie_keys, _rounded_up(n))
        return self._trending[:n]


class PopularityTable:
    """The forward-decayed weights of every item, in two half-lives, by item number."""

    def __init__(self, ids: ItemIndex, long_half_life_ms: float, short_half_life_ms: float) -> None:
        self._ids = ids
        self._long_ms = long_half_life_ms
        self._short_ms = short_half_life_ms
        self._long = np.zeros(_FIRST_CAPACITY)
        self._long_base = np.zeros(_FIRST_CAPACITY, dtype=np.int64)
        self._short = np.zeros(_FIRST_CAPACITY)
        self._short_base = np.zeros(_FIRST_CAPACITY, dtype=np.int64)

    def put(self, index: int, popularity: Popularity) -> None:
        """Set an item's weights. Weights of other half-lives than the table's are converted."""
        if index >= len(self._long):
            self._long = with_room(self._long, index + 1)
            self._long_base = with_room(self._long_base, index + 1)
            self._short = with_room(self._short, index + 1)
            self._short_base = with_room(self._short_base, index + 1)
        weight, base = popularity.long_weight, popularity.long_base
        if popularity.long_half_life_ms != self._long_ms:
            weight, base = _converted(
                weight, base, popularity.long_half_life_ms, self._long_ms, popularity.last_ms
            )
        self._long[index] = weight
        self._long_base[index] = base
        weight, base = popularity.short_weight, popularity.short_base
        if popularity.short_half_life_ms != self._short_ms:
            weight, base = _converted(
                weight, base, popularity.short_half_life_ms, self._short_ms, popularity.last_ms
            )
        self._short[index] = weight
        self._short_base[index] = base

    def remove(self, index: int) -> None:
        """An item without any popularity from now on."""
        if index < len(self._long):
            self._long[index] = self._short[index] = 0.0

    def snapshot(self, at_ms: int) -> PopularitySnapshot:
        """Shares and trends of all items at `at_ms`; about 10 ns an item."""
        n = min(len(self._ids), len(self._long))
        relative, recent, trends = weigh_items(
            _decayed(self._long[:n], self._long_base[:n], self._long_ms, at_ms),
            _decayed(self._short[:n], self._short_base[:n], self._short_ms, at_ms),
            self._short_ms / self._long_ms,
        )
        return PopularitySnapshot(
            at_ms, _shares(relative), _shares(recent), trends, self._ids.tie_keys
        )


def _converted(
    weight: float, base: int, half_life_ms: float, wanted_ms: float, last_ms: int
) -> tuple[float, int]:
    """Weight and base in units of `wanted_ms` with the same value at `last_ms`.

    State written under a half-life that is no longer configured is rare, but cannot be compared
    with the rest as it is.
    """
    if weight == 0.0:
        return 0.0, 0
    value = weight * 2.0 ** min(base - last_ms / half_life_ms, _HIGHEST)
    age = last_ms / wanted_ms
    new_base = int(age)
    return value * 2.0 ** (age - new_base), new_base


def _decayed(weights: Floats, bases: Integers, half_life_ms: float, at_ms: int) -> Decayed:
    """Weights of one half-life, to be read at an instant."""
    age = at_ms / half_life_ms
    whole = int(age)
    return Decayed(weights, bases, whole, 2.0 ** (whole - age))


def _shares(relative: Floats) -> Floats:
    """Shares of the sum, in place: they do not depend on the time."""
    total = relative.sum()
    if total > 0.0:
        relative /= total
    return relative


def _rounded_up(n: int) -> int:
    """A power of two of at least `n`, so that growing requests do not sort again each time."""
    return 1 << max(6, (n - 1).bit_length())
