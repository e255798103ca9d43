"""The kernels of candidates in NumPy: what they mean, and what runs where nothing was compiled.

They take columns of a whole batch. Every element is computed on its own and every sum is made of
one user's entries in a fixed order, so a list does not depend on who else is in the batch.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.kernels.pure_edges import ITEM_BITS, EdgeColumns

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Grouped(NamedTuple):
    """Entries brought together by their keys."""

    keys: Integers
    """`[groups]`, ascending."""
    start: Integers
    """`[groups + 1]`: first of the group's `entries`."""
    entries: Integers
    """Numbers of the entries, group after group, ascending within each."""
    sums: list[Floats]
    """`[groups]` for each column: sums of the group's values."""


class GroupedKeys(NamedTuple):
    """Entries brought together by the user and item of their keys."""

    grouped: Grouped
    user_start: Integers
    """`[users + 1]`: first of the user's groups."""
    items: Integers
    """`[groups]`: item number."""


def group_keys(keys: Integers, users: int, columns: Sequence[tuple[Floats, int]]) -> GroupedKeys:
    """Group entries by their keys, in any order; `keys` itself is used up. Columns: see
    `group_entries`.
    """
    grouped = group_entries(*_sorted(keys, users), columns)
    user_start = np.searchsorted(grouped.keys, np.arange(users + 1) << ITEM_BITS)
    return GroupedKeys(grouped, user_start, grouped.keys & ((1 << ITEM_BITS) - 1))


def _sorted(keys: Integers, users: int) -> tuple[Integers, Integers]:
    """Ascending keys and the numbers of their entries, in a stable order.

    Key and number packed into one number sort three times faster than an indirect sort.
    """
    bits = max(1, len(keys) - 1).bit_length()
    if max(1, users - 1).bit_length() + ITEM_BITS + bits > 63:
        order = np.argsort(keys, kind="stable")
        return keys[order], order
    keys <<= bits
    keys |= np.arange(len(keys))
    keys.sort()
    order = keys & ((1 << bits) - 1)
    keys >>= bits
    return keys, order


def group_entries(
    sorted_keys: Integers, entries: Integers, columns: Sequence[tuple[Floats, int]]
) -> Grouped:
    """Group entries, given in the stable order of their keys, and those keys.

    A column is values of consecutive entries and the number of the first; others count 0.
    """
    first = np.ones(len(entries), dtype=np.bool_)
    np.not_equal(sorted_keys[1:], sorted_keys[:-1], out=first[1:])
    start = np.append(np.flatnonzero(first), len(entries))
    keys = sorted_keys[start[:-1]]
    group = np.cumsum(first, dtype=np.int64)
    group -= 1
    sums = []
    for values, before in columns:
        padded = np.zeros(len(entries))
        padded[before : before + len(values)] = values
        sums.append(np.bincount(group, padded[entries], len(keys)).astype(np.float64, copy=False))
    return Grouped(keys, start, entries, sums)


def ascending_keys(per_user: Sequence[AbstractSet[int]]) -> Integers:
    """Ascending keys of sets of item numbers, one set a user."""
    keys = [user << ITEM_BITS | item for user, items in enumerate(per_user) for item in items]
    array = np.array(keys, dtype=np.int64)
    array.sort()
    return array


def hold_back(
    prior: Floats,
    keys: Integers,
    repeated_keys: Integers,
    repeat_penalty: float,
    excluded_keys: Integers,
    unavailable: NDArray[np.bool_],
) -> None:
    """Change the scores of candidates, whose keys ascend: less for those among `repeated_keys`,
    -inf for those among `excluded_keys` and for items that are `unavailable`, by item number.
    """
    prior[find_ascending(keys, repeated_keys)] -= repeat_penalty
    prior[find_ascending(keys, excluded_keys)] = -np.inf
    prior[unavailable[keys & ((1 << ITEM_BITS) - 1)]] = -np.inf


def pick(values: Integers, places: Integers, missing: int) -> Integers:
    """Values at places of any shape; `missing` for those that are none."""
    found = np.full(places.shape, missing, dtype=np.int64)
    within = (places >= 0) & (places < len(values))
    found[within] = values[places[within]]
    return found


def find_ascending(ascending: Integers, wanted: Integers) -> Integers:
    """Positions in one ascending array of what stands in another, without those that do not."""
    positions = find_sorted(ascending, wanted)
    return positions[positions >= 0]


def find_sorted(ascending: Integers, keys: Integers) -> Integers:
    """Positions of `keys` in an ascending array, -1 where absent."""
    if not len(ascending):
        return np.full(keys.shape, -1, dtype=np.int64)
    positions = np.searchsorted(ascending, keys)
    positions = np.minimum(positions, len(ascending) - 1)
    return np.where(ascending[positions] == keys, positions, -1)


def strongest_paths(
    positions: Integers, start: Integers, entries: Integers, edges: EdgeColumns
) -> tuple[Integers, Floats, Integers]:
    """Of each candidate: the source that contributed most to it, its share, and when.

    Of equals the newer source wins; -1, 0.0 and 0 where no edge leads to it, or the position is -1.
    Share: of all that followed the source, how much was this item. Several event types may join
    the same source and destination: they count together.
    """
    n = len(positions)
    source, shares = np.full(n, -1), np.zeros(n)
    newest_ms = np.zeros(n, dtype=np.int64)
    if not len(start) > 1 or not len(edges.pair_start):
        return source, shares, newest_ms
    begin = start[positions]
    sizes = np.where(positions >= 0, start[positions + 1] - begin, 0)
    owner = np.repeat(np.arange(n), sizes)
    own_entries = entries[
        np.arange(len(owner)) + np.repeat(begin - np.cumsum(sizes) + sizes, sizes)
    ]
    is_edge = own_entries < len(edges.contributions)
    owner, own_entries = owner[is_edge], own_entries[is_edge]
    pair = np.searchsorted(edges.pair_start, own_entries, side="right") - 1
    width = int(edges.pair_source.max()) + 1
    cell = owner * width + edges.pair_source[pair]
    contributions = edges.contributions[own_entries]
    strength = np.bincount(cell, contributions, n * width).reshape(n, width)
    share = np.bincount(cell, contributions / edges.pair_importance[pair], n * width)
    last_ms = np.zeros(n * width, dtype=np.int64)
    np.maximum.at(last_ms, cell, edges.last_ms[own_entries])
    best = strength.argmax(axis=1)
    picked = np.arange(n) * width + best
    led = share[picked] > 0.0
    source[led] = best[led]
    shares[led] = np.minimum(share[picked[led]], 1.0)
    newest_ms[led] = last_ms[picked[led]]
    return source, shares, newest_ms
