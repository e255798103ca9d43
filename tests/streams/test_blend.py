import numpy as np
import pytest

from streams.blend import (
    BlendWeights,
    known_or,
    log_prior,
    lowest_log_prob,
    popularity_score,
    prior_score,
    select_top,
)


def pick(rows, ties, n):
    """Columns picked in each row of a rectangular or ragged table of scores."""
    start = np.cumsum([0, *map(len, rows)])
    scores = np.array([score for row in rows for score in row], dtype=float)
    tie_keys = np.array(ties, dtype=np.uint64)
    chosen = select_top(scores, start, np.arange(len(scores)), tie_keys, n)
    assert chosen.shape == (len(rows), n)
    return [[c - start[r] for c in row if c >= 0] for r, row in enumerate(chosen)]


def test_an_absent_share_scores_zero_and_a_whole_share_about_eleven_and_a_half():
    assert log_prior(np.array([0.0]), 1e-5)[0] == 0.0
    assert log_prior(np.array([1.0]), 1e-5)[0] == pytest.approx(11.5129, abs=1e-3)
    assert log_prior(np.array([1e-4]), 1e-4)[0] == pytest.approx(np.log(2))


def test_each_prior_counts_by_its_own_weight():
    weights = BlendWeights(graph=2.0, own=3.0, popularity=5.0)
    graph, own = np.array([0.1]), np.array([0.01])
    popularity = popularity_score(np.array([0.5]), np.array([0.2]), weights)
    expected = 2 * np.log1p(0.1 / 1e-5) + 3 * np.log1p(0.01 / 1e-5) + 5 * np.log1p(0.5 / 1e-5)
    assert prior_score(graph, {"own": own}, popularity, weights) == pytest.approx(expected)
    without_own = 2 * np.log1p(0.1 / 1e-5) + 5 * np.log1p(0.5 / 1e-5)
    assert prior_score(graph, {}, popularity, weights) == pytest.approx(without_own)


def test_floors_and_indicators_count_as_the_blend_says():
    weights = BlendWeights(
        graph=0.0, popularity=0.0, graph_last=1.5, own_frequency=2.0, seen=-3.0, trending=0.5,
        graph_floor=1e-3, own_floor=1e-2, popularity_floor=1e-4,
    )  # fmt: skip
    popularity = popularity_score(np.array([0.9]), np.array([0.02]), weights)
    terms = {
        "graph_last": np.array([0.3]),
        "own_frequency": np.array([0.05]),
        "seen": np.array([1.0]),
        "own": np.array([0.7]),
    }
    expected = 1.5 * np.log1p(300) + 2 * np.log1p(5) - 3 + 0.5 * np.log1p(200)
    assert prior_score(np.array([0.4]), terms, popularity, weights) == pytest.approx(expected)


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_a_weight_that_is_negative_or_not_a_number_is_refused_by_name(weight):
    with pytest.raises(ValueError, match=f"the blend has weight graph {weight}"):
        BlendWeights(graph=weight)


@pytest.mark.parametrize(
    "shape", [{"graph_window": 0}, {"window_decay": 0.0}, {"own_decay": 1.5}, {"own_floor": 0.0}]
)
def test_a_shape_out_of_range_is_refused_by_name(shape):
    with pytest.raises(ValueError, match=next(iter(shape))):
        BlendWeights(**shape)


def test_an_item_unknown_to_the_encoder_gets_the_lowest_of_the_users_best():
    top = np.array([[-1.0, -3.0, -np.inf], [-2.0, -2.5, -9.0]], dtype=np.float32)
    floor = lowest_log_prob(top)
    assert floor.tolist() == [-3.0, -9.0]
    given = np.array([[-0.5, -np.inf], [np.nan, -4.0]], dtype=np.float32)
    assert known_or(given, floor).tolist() == [[-0.5, -3.0], [-9.0, -4.0]]


def test_a_row_without_any_finite_log_probability_gets_the_floor_zero():
    assert lowest_log_prob(np.full((1, 2), -np.inf, dtype=np.float32)).tolist() == [0.0]
    assert lowest_log_prob(np.zeros((1, 0), dtype=np.float32)).tolist() == [0.0]


def test_the_best_come_best_first():
    assert pick([[0.1, 0.9, 0.5], [3.0, 1.0, 2.0]], range(6), 2) == [[1, 2], [0, 2]]


def test_users_may_have_different_numbers_of_candidates():
    assert pick([[1.0], [], [1.0, 5.0, 3.0]], range(4), 2) == [[0], [], [1, 2]]


def test_equal_scores_are_ordered_by_tie_key_even_at_the_cut():
    assert pick([[1.0, 1.0, 1.0, 0.0]], [9, 3, 5, 0], 2) == [[1, 2]]


def test_a_candidate_with_the_score_minus_infinity_is_never_picked():
    low = -np.inf
    assert pick([[low, 2.0, low], [low, low, low]], range(6), 2) == [[1], []]
    assert pick([[low, 2.0, low]], range(3), 9) == [[1]]


def test_empty_batches_give_empty_choices():
    assert pick([], [], 3) == []
    assert pick([[], []], [], 3) == [[], []]


def test_selection_agrees_with_sorting_each_row():
    random = np.random.default_rng(7)
    rows = [random.integers(0, 5, size=size).astype(float) for size in random.integers(0, 40, 50)]
    for row in rows:
        row[random.random(len(row)) < 0.2] = -np.inf
    ties = random.permutation(sum(map(len, rows)))
    start = np.cumsum([0, *map(len, rows)])
    for r, chosen in enumerate(pick(rows, ties, 10)):
        present = [c for c, score in enumerate(rows[r]) if score > -np.inf]
        expected = sorted(present, key=lambda c: (-rows[r][c], ties[start[r] + c]))[:10]
        assert chosen == expected
