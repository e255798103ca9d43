"""Blend: encoder and priors become one score per candidate, and the best are picked.

score = encoder * log p_encoder + sum over priors of weight * log(1 + p / PRIOR_FLOOR)

The priors are shares (0..1): transitions from the user's last items, the user's own history,
popularity. Without an encoder the first term is absent and the rest is the whole score.

Every element is computed on its own, so a user's scores do not depend on who else is in the
batch. A candidate that must not be picked has the score -inf.
"""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

PRIOR_FLOOR = 1e-5
"""Share at which a prior starts to count: an absent candidate scores 0, not minus infinity."""


class BlendWeights(msgspec.Struct, frozen=True):
    """Weight of each term, fitted on validation data; 0 switches a term off."""

    encoder: float = 1.0
    graph: float = 0.5
    own: float = 0.0
    popularity: float = 0.05

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            weight = getattr(self, name)
            if not math.isfinite(weight) or weight < 0:
                raise ValueError(
                    f"blend weight {name} must be a finite number of at least 0, not {weight}"
                )


def log_prior(share: Floats) -> Floats:
    """log(1 + share / PRIOR_FLOOR): 0 for a share of 0, 11.5 for a share of 1."""
    scaled = share / PRIOR_FLOOR
    return np.log1p(scaled, out=scaled)


def prior_score(
    graph: Floats, own: Floats | None, log_popularity: Floats, weights: BlendWeights
) -> Floats:
    """Score without the encoder's term.

    `graph` and `own` are shares (`own` None: no user has any), `log_popularity` is already
    `log_prior` of the popularity shares, because those are the same for everybody.
    """
    score = weights.popularity * log_popularity
    if weights.graph:
        term = log_prior(graph)
        term *= weights.graph
        score += term
    if own is not None and weights.own:
        term = log_prior(own)
        term *= weights.own
        score += term
    return score


def lowest_log_prob(top_log_probs: NDArray[np.float32]) -> Floats:
    """Per row `[users]`: the lowest finite log-probability among the encoder's own best.

    It stands in for items that the encoder does not know. A row without a finite value gives 0.
    """
    finite = np.isfinite(top_log_probs)
    lowest = np.where(finite, top_log_probs, np.inf).min(axis=1, initial=np.inf)
    return np.where(np.isfinite(lowest), lowest, 0.0)


def known_or(log_probs: NDArray[np.float32], floor: Floats) -> Floats:
    """Log-probabilities `[users, columns]`, with the row's floor where the encoder has none.

    Not-a-number counts as none: a broken score must not lift an item.
    """
    return np.where(np.isfinite(log_probs), log_probs, floor[:, None])


def select_top(
    scores: Floats, start: Integers, items: Integers, tie_keys: NDArray[np.uint64], n: int
) -> Integers:
    """Positions of the `n` best scores of every user, best first, `[users, n]`; -1 = no more.

    `scores` and `items` (numbers, the index into `tie_keys`) are flat, the users one after the
    other; those of user `u` are `start[u]` up to `start[u + 1]`. Equal scores are ordered by tie
    key, so the choice depends on the items alone and never on their order in the array.
    """
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
