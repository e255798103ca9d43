"""Everything that is said about a method on some examples, gathered chunk by chunk.

A method is measured without ever holding (examples x items): a chunk's scores leave ranks and the
set of items on any list behind.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.debiasing import debiasing_weights
from model.ranking import (
    CUTOFFS,
    METRICS,
    example_metrics,
    listed_items,
    ranking_metrics,
    target_ranks,
)
from model.significance import RESAMPLES, interval, resampled_means, sums_by_user

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

COVERAGE_CUTOFF = 10
COLUMNS = [(metric, str(k)) for metric in METRICS for k in CUTOFFS]


class Measurement:
    """Ranks of a method's targets, and which items its lists of COVERAGE_CUTOFF ever had."""

    def __init__(self, items: int) -> None:
        self._events: list[IntArray] = []
        self._ranks: list[IntArray] = []
        self._listed = np.zeros(items, np.bool_)

    def add(self, events: IntArray, scores: FloatArray, targets: IntArray) -> None:
        """Scores (n, items) of what some events (n,) could have been; -inf is not on any list."""
        self._events.append(events)
        self._ranks.append(target_ranks(scores, targets))
        self._listed |= listed_items(scores, COVERAGE_CUTOFF).any(0)

    def extend(self, other: "Measurement") -> None:
        """Take in what was measured elsewhere: other examples, or the same with another seed."""
        self._events += other._events
        self._ranks += other._ranks
        self._listed |= other._listed

    def ranks(self) -> IntArray:
        """(n,) in the order of the events' indexes, whatever order they came in."""
        events = np.concatenate([np.zeros(0, np.int64), *self._events])
        ranks = np.concatenate([np.zeros(0, np.int64), *self._ranks])
        return ranks[np.argsort(events, kind="stable")]

    @property
    def coverage(self) -> float:
        """Share of the catalogue that is on at least one list (aggregate diversity)."""
        return float(self._listed.mean()) if len(self._listed) else 0.0


class Comparison(NamedTuple):
    """One method's NDCG@10 less another's."""

    method: str
    over: str


def figures(
    measured: Mapping[str, Measurement],
    targets: IntArray,
    users: IntArray,
    *,
    compared: Iterable[Comparison] = (),
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> tuple[dict[str, dict[str, object]], list[dict[str, object]]]:
    """Figures of each method on the same examples, and paired differences.

    targets, users: (n,) of the examples in the order of their event indexes.

    Of each method: `hit_rate`, `ndcg`, `mrr` by cutoff; `recall`, the hit rate under its other
    name; `interval_95` of the first three; `debiased_hit_rate`; `coverage`.
    """
    _, user = np.unique(users, return_inverse=True)
    examples = np.bincount(user)
    weights = debiasing_weights(targets)
    means: dict[str, NDArray[np.float64]] = {}
    of_method: dict[str, dict[str, object]] = {}
    for name, measurement in measured.items():
        ranks = measurement.ranks()
        if len(ranks) != len(targets):
            message = f"{name} was measured on {len(ranks)} examples, not on {len(targets)}"
            raise ValueError(message)
        by_example = example_metrics(ranks)
        columns = np.stack([by_example[metric][k] for metric, k in COLUMNS], 1)
        # The seed makes every method's resamples the same ones, so that they can be paired.
        means[name] = resampled_means(
            sums_by_user(columns, user, len(examples)), examples, seed=seed, resamples=resamples
        )
        metrics = ranking_metrics(ranks)
        debiased = {
            k: float(weights @ hits / weights.sum()) for k, hits in by_example["hit_rate"].items()
        }
        of_method[name] = {
            **metrics,
            "recall": metrics["hit_rate"],
            "debiased_hit_rate": debiased,
            "coverage": {str(COVERAGE_CUTOFF): measurement.coverage},
            "interval_95": _intervals(means[name]),
        }
    column = COLUMNS.index(("ndcg", "10"))
    differences: list[dict[str, object]] = []
    for method, over in compared:
        paired = means[method][:, column] - means[over][:, column]
        gained = _ndcg(of_method[method]) - _ndcg(of_method[over])
        differences.append(
            {
                "method": method,
                "over": over,
                "ndcg@10": gained,
                "interval_95": list(interval(paired)),
            }
        )
    return of_method, differences


def _intervals(means: NDArray[np.float64]) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {metric: {} for metric in METRICS}
    for column, (metric, k) in enumerate(COLUMNS):
        found[metric][k] = list(interval(means[:, column]))
    return found


def _ndcg(of_method: Mapping[str, object]) -> float:
    by_cutoff = of_method["ndcg"]
    assert isinstance(by_cutoff, dict)
    return float(by_cutoff["10"])
