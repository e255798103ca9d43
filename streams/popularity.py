"""Popularity of one item: two forward-decayed weights, one with a long and one with a short half-life."""

import math

import msgspec

POPULARITY_BYTES = 64
REBASE_HALF_LIVES = 64
_MAX_EXPONENT = 512.0


class Popularity(msgspec.Struct, array_like=True, gc=False):
    """value(T) = weight * 2^(base - T/half_life), for the long (popular) and short (trending) one."""

    long_weight: float = 0.0
    long_base: int = 0
    long_half_life_ms: float = 0.0
    short_weight: float = 0.0
    short_base: int = 0
    short_half_life_ms: float = 0.0
    count: int = 0
    last_ms: int = 0


def decayed_value(weight: float, base: int, half_life_ms: float, at_ms: float) -> float:
    """Value of a forward-decayed weight at an instant."""
    return weight * 2.0 ** min(base - at_ms / half_life_ms, _MAX_EXPONENT)


def add(
    popularity: Popularity,
    contribution: float,
    time_ms: int,
    long_half_life_ms: float,
    short_half_life_ms: float,
) -> None:
    raise NotImplementedError


def popularity_at(popularity: Popularity, at_ms: float) -> float:
    """Decayed count with the long half-life at an instant."""
    raise NotImplementedError


def trending_at(popularity: Popularity, at_ms: float) -> float:
    """Decayed count with the short half-life at an instant."""
    raise NotImplementedError
