"""Scores of histories, and new items among them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]

MAX_NEW_ITEMS = 50  # of a history's best that `Scores` names


class Scores(NamedTuple):
    """Log-probabilities over the artefact's whole catalogue, one row per history.

    With new items, whose ids follow the encoder's, k is larger: up to MAX_NEW_ITEMS of them stand
    behind the encoder's own best. One that is below all of those has no log-probability
    (-inf): as of an item that the encoder knows nothing of, no more is said than that.
    """

    top_ids: IntArray  # (B, k) encoder ids, the encoder's own best first; 0 = none
    top_log_probs: FloatArray  # (B, k); -inf where the id is 0
    candidate_log_probs: FloatArray  # (B, C); -inf where the candidate is 0


class States(NamedTuple):
    """Where histories stand in the item space: what scores items outside the graph."""

    hidden: FloatArray  # (B, dim)
    log_normalizers: FloatArray  # (B,)


def with_new_items(
    scores: Scores, log_probs: FloatArray, candidate_ids: IntArray, known_items: int
) -> Scores:
    """Scores with those of new items: log_probs (B, m), ids `known_items + 1` onwards."""
    size, m = log_probs.shape
    if not size or not m:
        return scores
    finite = np.isfinite(scores.top_log_probs)
    lowest = np.where(finite, scores.top_log_probs, np.inf).min(1, initial=np.inf, keepdims=True)
    reach = log_probs >= lowest
    k = min(m, MAX_NEW_ITEMS)
    # As a rule few reach it, and those few are sorted; where many do, the best are searched first.
    if np.count_nonzero(reach) > 2 * k * size:
        reach &= log_probs >= np.partition(log_probs, m - k, axis=1)[:, m - k : m - k + 1]
    rows, places = np.nonzero(reach)
    order = np.lexsort((places, -log_probs[rows, places], rows))
    rows, places = rows[order], places[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    best = rank < k
    rows, places, rank = rows[best], places[best], rank[best]
    best_ids = np.zeros((size, int(rank.max(initial=-1)) + 1), np.int64)
    best_log_probs = np.full(best_ids.shape, -np.inf, np.float32)
    best_ids[rows, rank] = places + known_items + 1
    best_log_probs[rows, rank] = log_probs[rows, places]
    candidate_log_probs = scores.candidate_log_probs
    if candidate_ids.shape[1]:
        is_new = candidate_ids > known_items
        places = np.where(is_new, candidate_ids - known_items - 1, 0)
        of_new = np.take_along_axis(log_probs, places, 1)
        of_new = np.where(of_new >= lowest, of_new, -np.inf)
        candidate_log_probs = np.where(is_new, of_new, candidate_log_probs).astype(np.float32)
    return Scores(
        np.concatenate([scores.top_ids, best_ids], 1),
        np.concatenate([scores.top_log_probs, best_log_probs], 1),
        candidate_log_probs,
    )
