"""Ranks, lists and metrics, also against trec_eval's own (by ir-measures)."""

import numpy as np
import pytest
from ir_measures import RR, R, Success, calc_aggregate, nDCG

from model.ranking import (
    CUTOFFS,
    MISSED,
    example_metrics,
    listed_items,
    ranking_metrics,
    target_ranks,
)

ITEMS = 40


def by_trec_eval(scores: np.ndarray, targets: np.ndarray) -> dict[str, dict[str, float]]:
    """Of lists whose ties are broken against the target: judges break ties in ways of their own."""
    run, qrels = {}, {}
    for row, (of_row, target) in enumerate(zip(scores, targets.tolist(), strict=True)):
        places = np.lexsort((np.arange(len(of_row)) == target, -of_row))
        listed = places[np.isfinite(of_row[places])].tolist()
        run[str(row)] = {f"i{item}": float(-place) for place, item in enumerate(listed)}
        qrels[str(row)] = {f"i{target}": 1}
    measures = [m @ k for k in CUTOFFS for m in (Success, nDCG, RR, R)]
    found = {str(name): value for name, value in calc_aggregate(measures, qrels, run).items()}
    return {
        ours: {str(k): found[f"{theirs}@{k}"] for k in CUTOFFS}
        for ours, theirs in (("hit_rate", "Success"), ("ndcg", "nDCG"), ("mrr", "RR"),
                             ("recall", "R"))
    }  # fmt: skip


@pytest.mark.parametrize("distinct", [10_000, 12, 2], ids=["no ties", "some ties", "most tie"])
@pytest.mark.parametrize("filtered", [0.0, 0.3])
def test_metrics_equal_those_of_trec_eval_with_ties_against_the_target(
    distinct: int, filtered: float
):
    random = np.random.default_rng(distinct)
    scores = random.integers(0, distinct, (150, ITEMS)).astype(np.float32)
    scores[random.random(scores.shape) < filtered] = -np.inf
    targets = random.integers(0, ITEMS, 150)
    expected = by_trec_eval(scores, targets)
    recall = expected.pop("recall")
    assert recall == expected["hit_rate"]
    metrics = ranking_metrics(target_ranks(scores, targets))
    for name, by_cutoff in expected.items():
        assert metrics[name] == pytest.approx(by_cutoff), name


@pytest.mark.parametrize("k", [1, 10, ITEMS, ITEMS + 5])
def test_a_list_has_exactly_the_items_whose_rank_is_good_enough(k: int):
    random = np.random.default_rng(k)
    scores = random.integers(0, 15, (50, ITEMS)).astype(np.float32)
    scores[random.random(scores.shape) < 0.2] = -np.inf
    every = np.stack([target_ranks(scores, np.full(50, item)) for item in range(ITEMS)], 1)
    assert (listed_items(scores, k) == (every <= k)).all()


def test_a_method_that_scores_everything_alike_lists_and_finds_nothing():
    scores = np.zeros((3, ITEMS), np.float32)
    assert not listed_items(scores, 10).any()
    assert ranking_metrics(target_ranks(scores, np.array([0, 1, 2])))["hit_rate"]["20"] == 0.0


def test_what_each_example_contributes_adds_up_to_the_metric():
    ranks = np.array([1, 3, 11, MISSED])
    by_example = example_metrics(ranks)
    assert by_example["mrr"]["20"].tolist() == pytest.approx([1, 1 / 3, 1 / 11, 0])
    for name, by_cutoff in ranking_metrics(ranks).items():
        for k, value in by_cutoff.items():
            assert value == pytest.approx(by_example[name][k].mean())


def test_scores_that_are_not_numbers_never_put_a_target_first():
    scores = np.array([[np.nan, np.nan, np.nan], [np.nan, 1.0, 0.5]], np.float32)
    assert target_ranks(scores, np.array([0, 1])).tolist() == [3, 2]
