"""Exact scores against an index: both find the same items, and a winner must find nearly all."""

import numpy as np
import pytest

from model.catalogue_bench import CatalogueBench, CatalogueFigures, TwoStages, item_vectors, run


@pytest.fixture(scope="module")
def figures() -> CatalogueFigures:
    bench = CatalogueBench(
        sizes=(250,), expansions=(1, 500), most_chance_items=0, batch=8, events=10, queries=16,
        rounds=1,
    )  # fmt: skip
    (measured,) = run(bench)
    return measured


def test_an_index_that_looks_at_everything_finds_what_exact_scores_find(
    figures: CatalogueFigures,
) -> None:
    few, all_of_them = figures.two_stages
    assert all_of_them.recall >= 0.99
    assert few.recall <= all_of_them.recall
    assert figures.index_seconds is not None
    assert figures.exact_milliseconds > 0


def test_a_winner_is_quicker_than_exact_scores_and_finds_nearly_all_of_them() -> None:
    stages = [TwoStages(16, 0.9, 0.1, 0.1), TwoStages(64, 0.99, 0.3, 0.1), TwoStages(99, 1, 0.4, 1)]
    figures = CatalogueFigures(10, "chance", 0.05, 0.35, 0.1, 1.0, 1, stages)
    assert figures.winner(0.99) is stages[1]
    figures.exact_milliseconds = 0.3
    assert figures.winner(0.99) is None
    assert figures.winner(0.8) is stages[0]


def test_items_of_one_cluster_are_alike_and_those_of_chance_are_not() -> None:
    chance = np.random.default_rng(1)
    for vectors, alike in (("clustered", True), ("chance", False)):
        places = item_vectors(200, 64, vectors, chance)
        lengths = np.linalg.norm(places, axis=1)
        cosine = float(places[0] @ places[1:100].mean(axis=0) / lengths[0] / lengths.mean())
        assert (cosine > 0.4) is alike
