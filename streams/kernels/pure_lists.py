"""The kernels of ranking in NumPy: what they mean, and what runs where nothing was compiled.

As those of candidates, they take columns of a whole batch and keep its users apart.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.kernels.pure_candidates import find_sorted
from streams.kernels.pure_edges import ITEM_BITS

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Logs = NDArray[np.float32]


class Chosen(NamedTuple):
    """The best candidates of every user by one score, `[users, columns]`, best first."""

    positions: Integers
    """Among the candidates of the batch; -1 = no more."""
    items: Integers
    """Item numbers; -1 = no more."""
    scores: Floats
    """-inf = no more."""


class Pool(NamedTuple):
    """What a blend reads of a batch's candidates."""

    start: Integers
    """`[users + 1]`: the candidates of user `u` are `start[u]` up to `start[u + 1]`."""
    keys: Integers
    """`[candidates]`, ascending."""
    prior: Floats
    """`[candidates]`: scores without the encoder; -inf for what must not be on a list."""
    chosen: Chosen
    """Those that the encoder was asked about, by `prior`."""


class Others(NamedTuple):
    """Scores of items that are no candidates of a user."""

    popular_score: Floats
    """By item number; 0 for numbers beyond."""
    repeated_keys: Integers
    """Ascending keys of items that are discounted by `repeat_penalty`."""
    repeat_penalty: float
    excluded_keys: Integers
    """Ascending keys of items that must not be on the user's list."""
    unavailable: NDArray[np.bool_]
    """By item number."""
    tie_keys: NDArray[np.uint64]
    """By item number: the order of equal scores."""


class Encoded(NamedTuple):
    """What the encoder says, a row a scored user; what it does not know is not finite."""

    rows: Integers
    """`[scored]`: the users."""
    log_probs: Logs
    """`[scored, columns]`: of `chosen`."""
    best_items: Integers
    """`[scored, best]`: the numbers of its own best; -1 = no more."""
    best_log_probs: Logs
    weight: float
    unknown: float
    """Added to the score of an item that it does not know."""


class Places(NamedTuple):
    """A ranking to write into, `[users, places]`."""

    items: Integers
    scores: Floats
    positions: Integers
    sequence: Floats


def choose_top(
    scores: Floats, start: Integers, items: Integers, tie_keys: NDArray[np.uint64], n: int
) -> Chosen:
    """The candidates with the `n` best scores of every user.

    `scores` and `items` (numbers, the index into `tie_keys`) are flat, the users one after the
    other; those of user `u` are `start[u]` up to `start[u + 1]`. Equal scores are ordered by tie
    key, so the choice depends on the items alone and never on their order in the array. -inf and
    what is no number is not chosen.
    """
    positions = _select_top(scores, start, items, tie_keys, n)
    return Chosen(positions, _at(items, positions, -1), _at(scores, positions, -np.inf))


def blend_top(pool: Pool, others: Others, encoded: Encoded, places: Places) -> None:
    """Fill the places of the scored users with the best of their chosen candidates and the
    encoder's own best, as many as there are places.

    An item that the encoder does not know counts as the worst of the encoder's best of that row.
    """
    rows, weight = encoded.rows, encoded.weight
    floor = _lowest_finite(encoded.best_log_probs)
    positions = pool.chosen.positions[rows]
    base_items = pool.chosen.items[rows]
    base_prior = pool.chosen.scores[rows]
    present = positions >= 0
    known = np.isfinite(encoded.log_probs)
    base_log_probs = np.where(known, encoded.log_probs, floor[:, None])
    base_prior += np.where(known, 0.0, encoded.unknown)

    # The encoder's own best, less those that are among the candidates above.
    best_items = encoded.best_items
    best_known = np.isfinite(encoded.best_log_probs)
    best_log_probs = np.where(best_known, encoded.best_log_probs, floor[:, None])
    keys = (np.broadcast_to(rows[:, None], best_items.shape) << ITEM_BITS) | best_items
    best_positions = find_sorted(pool.keys, keys)
    is_base = np.zeros(len(pool.keys) + 1, dtype=np.bool_)
    is_base[positions[present]] = True
    best_prior = _prior_of(best_items, keys, best_positions, pool, others)
    gone = (best_items < 0) | is_base[best_positions] | others.unavailable[best_items]
    best_prior[gone] = -np.inf

    items = np.concatenate((base_items, best_items), axis=1)
    prior = np.concatenate((base_prior, best_prior), axis=1)
    log_probs = np.concatenate((base_log_probs, best_log_probs), axis=1)
    blended = prior + weight * log_probs
    start = np.arange(len(rows) + 1) * items.shape[1]
    size = places.items.shape[1]
    top = _select_top(blended.ravel(), start, items.ravel(), others.tie_keys, size)
    found = top >= 0

    def pick(values: NDArray[Any], missing: float) -> NDArray[Any]:
        return np.where(found, values.ravel()[top], missing)

    lift = weight * (log_probs - floor[:, None])
    all_positions = np.concatenate((positions, best_positions), axis=1)
    places.items[rows] = pick(items, -1)
    places.scores[rows] = pick(blended, -np.inf)
    places.positions[rows] = pick(all_positions, -1)
    places.sequence[rows] = _share(pick(lift, 0.0), pick(prior, 0.0))


def _select_top(
    scores: Floats, start: Integers, items: Integers, tie_keys: NDArray[np.uint64], n: int
) -> Integers:
    """The positions of `choose_top`."""
    users = len(start) - 1
    chosen = np.full((users, n), -1, dtype=np.int64)
    sizes = np.diff(start)
    width = int(sizes.max(initial=0))
    if not width or not n:
        return chosen
    table = np.full((users, width), -np.inf)
    table[np.arange(width) < sizes[:, None]] = scores
    keep = table > -np.inf
    if width > n:
        table[~keep] = -np.inf
        threshold = np.partition(table, width - n, axis=1)[:, width - n]
        keep &= table >= threshold[:, None]
    row, column = np.nonzero(keep)
    kept = start[row] + column
    order = _order(row, scores[kept], tie_keys[items[kept]])
    kept = kept[order]
    row = row[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    within = rank < n
    chosen[row[within], rank[within]] = kept[within]
    return chosen


def _order(rows: Integers, scores: Floats, ties: NDArray[np.uint64]) -> Integers:
    """Order by (row, falling score, tie key).

    Ties are few, so scores are sorted alone and only runs of equals are looked at again.
    """
    order = np.argsort(-scores)
    narrow = rows.astype(np.uint16) if rows[-1:].max(initial=0) < 1 << 16 else rows
    order = order[np.argsort(narrow[order], kind="stable")]
    row, score = rows[order], scores[order]
    same = (row[1:] == row[:-1]) & (score[1:] == score[:-1])
    if same.any():
        run = np.concatenate(([0], np.cumsum(~same)))
        tied = np.zeros(len(order), dtype=np.bool_)
        tied[1:] = same
        tied[:-1] |= same
        among = order[tied]
        order[tied] = among[np.lexsort((ties[among], run[tied]))]
    return order


def _lowest_finite(log_probs: Logs) -> Floats:
    """`[rows]`: the lowest finite value of each row; 0 where there is none."""
    # From here on in 64 bits: products of 32 would be rounded sooner.
    lowest = np.where(np.isfinite(log_probs), log_probs, np.inf).min(axis=1, initial=np.inf)
    return np.where(np.isfinite(lowest), lowest, 0.0).astype(np.float64)


def _at(values: NDArray[Any], positions: Integers, missing: float) -> NDArray[Any]:
    """Values at positions; `missing` where the position is -1."""
    found = np.full(positions.shape, missing, dtype=values.dtype)
    present = positions >= 0
    found[present] = values[positions[present]]
    return found


def _prior_of(
    items: Integers, keys: Integers, positions: Integers, pool: Pool, others: Others
) -> Floats:
    """Scores without the encoder, of items that need not be candidates."""
    popular = others.popular_score
    prior = np.zeros(items.shape)
    within = (items >= 0) & (items < len(popular))
    prior[within] = popular[items[within]]
    prior[find_sorted(others.repeated_keys, keys) >= 0] -= others.repeat_penalty
    prior[find_sorted(others.excluded_keys, keys) >= 0] = -np.inf
    among = positions >= 0
    prior[among] = pool.prior[positions[among]]
    return prior


def _share(lift: Floats, prior: Floats) -> Floats:
    """The encoder's part of a score, counted from an unknown item without any prior."""
    lift = np.maximum(lift, 0.0)
    whole = lift + np.maximum(prior, 0.0)
    return np.divide(lift, whole, out=np.zeros(lift.shape), where=whole > 0.0)
