"""Blend: encoder and priors become one score per candidate, and the best are picked.

What a score is made of stands in `model.blend`, which training fits; here the same is computed for
the candidates of a batch. Without an encoder its terms are absent and the rest is the whole score.

Every element is computed on its own, so a user's scores do not depend on who else is in the
batch. A candidate that must not be picked has the score -inf.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from model.blend import INDICATORS, OWN_TERMS, Blend

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class BlendWeights(Blend, frozen=True, kw_only=True):
    """A blend that is fit to serve; the defaults are those of a worker without an artefact."""

    graph: float = 0.5
    popularity: float = 0.05

    def __post_init__(self) -> None:
        if faults := self.faults():
            raise ValueError(f"the blend has {', '.join(faults)}")

    @property
    def own_terms(self) -> frozenset[str]:
        """Terms of the own history that a list needs: `own` explains what any other brings."""
        weighted = {name for name in (*OWN_TERMS, *INDICATORS) if getattr(self, name)}
        return frozenset(weighted | {"own"} if weighted else weighted)


def log_prior(share: Floats, floor: float) -> Floats:
    """log(1 + share / floor): 0 for a share of 0."""
    scaled = share / floor
    return np.log1p(scaled, out=scaled)


def popularity_score(shares: Floats, recent_shares: Floats, weights: BlendWeights) -> Floats:
    """What popularity, long and short, adds to the score of each item: the same for everybody."""
    score = np.zeros(len(shares))
    for weight, share in ((weights.popularity, shares), (weights.trending, recent_shares)):
        if weight:
            score += weight * log_prior(share, weights.popularity_floor)
    return score


def prior_score(
    graph: Floats, terms: Mapping[str, Floats], popularity: Floats, weights: BlendWeights
) -> Floats:
    """Score without the encoder's terms.

    `graph`: shares. `terms`: shares and indicators by the name of their weight; what is not there
    is 0 for everybody. `popularity`: of each candidate, from `popularity_score`.
    """
    score = popularity.copy()
    for name, values in {"graph": graph, **terms}.items():
        weight = getattr(weights, name)
        if weight:
            is_share = name not in INDICATORS
            score += weight * (log_prior(values, weights.floor(name)) if is_share else values)
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
