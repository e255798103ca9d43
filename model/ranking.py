"""Ranks and ranking metrics over the full catalogue, one relevant item a list.

Ties count against whoever is ranked: an item's rank is the number of items that score no less than
it, itself included. So no figure depends on the order in which a method happens to list equals, and
a method that scores everything alike has no hits.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

CUTOFFS = (5, 10, 20)
METRICS = ("hit_rate", "ndcg", "mrr")
MISSED = 1 << 40


def target_ranks(scores: FloatArray, targets: IntArray) -> IntArray:
    """(n,) rank of each row's target, 1 = best; ties are counted against it.

    A target at -inf (filtered, or unknown to the method) is on no list: rank MISSED. What is not a
    number is no less than anything: a target with such a score is the last.
    """
    of_target = np.take_along_axis(scores, targets[:, None], 1)
    ranks = scores.shape[1] - (scores < of_target).sum(1)
    return np.where(np.isneginf(of_target[:, 0]), MISSED, ranks).astype(np.int64)


def listed_items(scores: FloatArray, k: int) -> BoolArray:
    """(n, items) which items are on each row's list of k: those of rank k or better.

    Fewer than k where a tie straddles the end of the list, or where the rest is at -inf.
    """
    if scores.shape[1] <= k:
        return np.isfinite(scores)
    # Rank k or better is the same as scoring above the row's (k + 1)-th best.
    first_left_out = -np.partition(-scores, k, axis=1)[:, k]
    on_list: BoolArray = scores > first_left_out[:, None]
    return on_list


def example_metrics(ranks: IntArray) -> dict[str, dict[str, NDArray[np.float64]]]:
    """METRICS at each cutoff, every one (n,): what each example contributes to the mean.

    With one relevant item a list, recall is the hit rate and the ideal DCG is 1.
    """
    ranks = np.asarray(ranks, np.float64)
    found: dict[str, dict[str, NDArray[np.float64]]] = {name: {} for name in METRICS}
    for k in CUTOFFS:
        hit = ranks <= k
        found["hit_rate"][str(k)] = hit.astype(np.float64)
        found["ndcg"][str(k)] = hit / np.log2(ranks + 1)
        found["mrr"][str(k)] = hit / ranks
    return found


def ranking_metrics(ranks: IntArray) -> dict[str, Mapping[str, float]]:
    """Hit rate, NDCG and MRR at each cutoff, for one relevant item a list; 0 without examples."""
    count = max(len(ranks), 1)
    return {
        name: {k: float(values.sum() / count) for k, values in by_cutoff.items()}
        for name, by_cutoff in example_metrics(ranks).items()
    }
