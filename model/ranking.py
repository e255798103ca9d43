"""Ranks and ranking metrics over the full catalogue, one relevant item a list."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

CUTOFFS = (5, 10, 20)
MISSED = 1 << 40


def target_ranks(scores: FloatArray, targets: IntArray) -> IntArray:
    """(n,) rank of each row's target, 1 = best; ties are counted against it.

    A target at -inf (filtered, or unknown to the method) is on no list: rank MISSED.
    """
    of_target = np.take_along_axis(scores, targets[:, None], 1)
    ranks = (scores >= of_target).sum(1)
    return np.where(np.isneginf(of_target[:, 0]), MISSED, ranks).astype(np.int64)


def ranking_metrics(ranks: IntArray) -> dict[str, Mapping[str, float]]:
    """Hit rate, NDCG and MRR at each cutoff, for one relevant item a list."""
    ranks = np.asarray(ranks, np.float64)
    count = max(len(ranks), 1)
    metrics: dict[str, dict[str, float]] = {"hit_rate": {}, "ndcg": {}, "mrr": {}}
    for k in CUTOFFS:
        hit = ranks <= k
        metrics["hit_rate"][str(k)] = float(hit.sum() / count)
        metrics["ndcg"][str(k)] = float((hit / np.log2(ranks + 1)).sum() / count)
        metrics["mrr"][str(k)] = float((hit / ranks).sum() / count)
    return dict(metrics)
