"""Popularity of one item: decayed counts with a long half-life and with a short one.

Forward decay (Cormode, Shkapenyuk, Srivastava, Xu: "Forward decay", ICDE 2009): a contribution c
at event time t is stored as c * 2^(t/h - base), so that an update is one addition, events that
arrive late weigh what they should, and comparing two weights needs no clock.
"""

from math import floor, ldexp
from struct import Struct

import msgspec

# Weights are rescaled by an exact power of two once they would outgrow 2^64 contributions.
REBASE_HALF_LIVES = 64
_MAX_EXPONENT = 512.0  # keeps a value at an instant long before its base a finite number
_PACKED = Struct("<dqddqdQq")
POPULARITY_BYTES = _PACKED.size


class Popularity(msgspec.Struct, array_like=True, gc=False):
    """Two forward-decayed weights: value at T = weight * 2^(base - T / half_life_ms).

    The half-lives are those the weights were accumulated with; 0.0 before the first event.
    count: events that contributed. last_ms: the newest of their event times.
    """

    long_weight: float = 0.0
    long_base: int = 0
    long_half_life_ms: float = 0.0
    short_weight: float = 0.0
    short_base: int = 0
    short_half_life_ms: float = 0.0
    count: int = 0
    last_ms: int = 0


def decayed_value(weight: float, base: int, half_life_ms: float, at_ms: float) -> float:
    """Value at an instant of a forward-decayed weight; half_life_ms as it was stored."""
    if weight == 0.0:
        return 0.0
    exponent = base - at_ms / half_life_ms
    return float(weight * 2.0 ** (exponent if exponent < _MAX_EXPONENT else _MAX_EXPONENT))


def add(
    popularity: Popularity,
    contribution: float,
    time_ms: int,
    long_half_life_ms: float,
    short_half_life_ms: float,
) -> None:
    """Count one event. Half-lives that differ from the stored ones take over from this event on."""
    if (
        popularity.long_half_life_ms != long_half_life_ms
        or popularity.short_half_life_ms != short_half_life_ms
    ):
        _adopt(popularity, time_ms, long_half_life_ms, short_half_life_ms)
    ahead = time_ms / long_half_life_ms - popularity.long_base
    if ahead > REBASE_HALF_LIVES:
        shift = floor(ahead)
        popularity.long_base += shift
        popularity.long_weight = ldexp(popularity.long_weight, -shift)
        ahead -= shift
    popularity.long_weight += contribution * 2.0**ahead
    ahead = time_ms / short_half_life_ms - popularity.short_base
    if ahead > REBASE_HALF_LIVES:
        shift = floor(ahead)
        popularity.short_base += shift
        popularity.short_weight = ldexp(popularity.short_weight, -shift)
        ahead -= shift
    popularity.short_weight += contribution * 2.0**ahead
    popularity.count += 1
    if time_ms > popularity.last_ms:
        popularity.last_ms = time_ms


def popularity_at(popularity: Popularity, at_ms: float) -> float:
    """Decayed count with the long half-life at an instant."""
    return decayed_value(
        popularity.long_weight, popularity.long_base, popularity.long_half_life_ms, at_ms
    )


def trending_at(popularity: Popularity, at_ms: float) -> float:
    """Decayed count with the short half-life at an instant."""
    return decayed_value(
        popularity.short_weight, popularity.short_base, popularity.short_half_life_ms, at_ms
    )


def pack(popularity: Popularity) -> bytes:
    """POPULARITY_BYTES bytes, little-endian: readable in place, without decoding what follows."""
    return _PACKED.pack(
        popularity.long_weight,
        popularity.long_base,
        popularity.long_half_life_ms,
        popularity.short_weight,
        popularity.short_base,
        popularity.short_half_life_ms,
        popularity.count,
        popularity.last_ms,
    )


def unpack(buffer: bytes | memoryview, start: int = 0) -> Popularity:
    """The popularity packed at a position of a buffer. Raises struct.error if it is too short."""
    return Popularity(*_PACKED.unpack_from(buffer, start))


def _adopt(
    popularity: Popularity, time_ms: int, long_half_life_ms: float, short_half_life_ms: float
) -> None:
    """Express both weights, as of an instant, in new half-lives."""
    long_value = popularity_at(popularity, time_ms)
    short_value = trending_at(popularity, time_ms)
    popularity.long_half_life_ms = long_half_life_ms
    popularity.short_half_life_ms = short_half_life_ms
    popularity.long_base = floor(time_ms / long_half_life_ms)
    popularity.short_base = floor(time_ms / short_half_life_ms)
    popularity.long_weight = long_value * 2.0 ** (
        time_ms / long_half_life_ms - popularity.long_base
    )
    popularity.short_weight = short_value * 2.0 ** (
        time_ms / short_half_life_ms - popularity.short_base
    )
