import numpy as np
import pytest

from streams.blend import (
    PRIOR_FLOOR,
    BlendWeights,
    known_or,
    log_prior,
    lowest_log_prob,
    prior_score,
    select_top,
)


def keys(*rows):
    return np.array(rows, dtype=np.uint64)


def test_an_absent_share_scores_zero_and_a_whole_share_about_eleven_and_a_half():
    assert log_prior(np.array([0.0]))[0] == 0.0
    assert log_prior(np.array([1.0]))[0] == pytest.approx(11.5129, abs=1e-3)
    assert log_prior(np.array([PRIOR_FLOOR]))[0] == pytest.approx(np.log(2))


def test_each_prior_counts_by_its_own_weight():
    weights = BlendWeights(graph=2.0, own=3.0, popularity=5.0)
    graph, own, popularity = np.array([[0.1]]), np.array([[0.01]]), np.array([[0.5]])
    expected = 2 * log_prior(graph) + 3 * log_prior(own) + 5 * 0.5
    assert prior_score(graph, own, popularity, weights) == pytest.approx(expected)
    without_own = expected - 3 * log_prior(own)
    assert prior_score(graph, None, popularity, weights) == pytest.approx(without_own)


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_a_weight_that_is_negative_or_not_a_number_is_refused_by_name(weight):
    with pytest.raises(ValueError, match="blend weight graph must be a finite number"):
        BlendWeights(graph=weight)


def test_an_item_unknown_to_the_encoder_gets_the_lowest_of_the_users_best():
    top = np.array([[-1.0, -3.0, -np.inf], [-2.0, -2.5, -9.0]], dtype=np.float32)
    floor = lowest_log_prob(top)
    assert floor.tolist() == [-3.0, -9.0]
    given = np.array([[-0.5, -np.inf], [np.nan, -4.0]], dtype=np.float32)
    assert known_or(given, floor).tolist() == [[-0.5, -3.0], [-9.0, -4.0]]


def test_a_row_without_any_finite_log_probability_gets_the_floor_zero():
    assert lowest_log_prob(np.full((1, 2), -np.inf, dtype=np.float32)).tolist() == [0.0]
    assert lowest_log_prob(np.zeros((1, 0), dtype=np.float32)).tolist() == [0.0]


def test_the_best_columns_come_best_first():
    scores = np.array([[0.1, 0.9, 0.5], [3.0, 1.0, 2.0]])
    assert select_top(scores, keys([0, 1, 2], [0, 1, 2]), 2).tolist() == [[1, 2], [0, 2]]


def test_equal_scores_are_ordered_by_tie_key_even_at_the_cut():
    scores = np.array([[1.0, 1.0, 1.0, 0.0]])
    assert select_top(scores, keys([9, 3, 5, 0]), 2).tolist() == [[1, 2]]


def test_a_short_row_is_padded_and_an_absent_candidate_is_never_picked():
    scores = np.array([[-np.inf, 2.0, -np.inf], [-np.inf] * 3])
    assert select_top(scores, keys([1, 2, 3], [1, 2, 3]), 3).tolist() == [[1, -1, -1], [-1] * 3]
    assert select_top(scores, keys([1, 2, 3], [1, 2, 3]), 5).tolist()[0] == [1, -1, -1, -1, -1]


def test_empty_batches_and_empty_rows_give_empty_choices():
    assert select_top(np.zeros((0, 4)), np.zeros((0, 4), dtype=np.uint64), 3).shape == (0, 3)
    assert select_top(np.zeros((2, 0)), np.zeros((2, 0), dtype=np.uint64), 1).tolist() == [
        [-1],
        [-1],
    ]


def test_selection_agrees_with_sorting_each_row():
    random = np.random.default_rng(7)
    scores = random.integers(0, 5, size=(40, 30)).astype(float)
    scores[random.random(scores.shape) < 0.2] = -np.inf
    ties = random.permutation(scores.size).reshape(scores.shape).astype(np.uint64)
    for row, chosen in enumerate(select_top(scores, ties, 10)):
        present = [column for column in range(30) if scores[row, column] > -np.inf]
        expected = sorted(present, key=lambda c: (-scores[row, c], ties[row, c]))[:10]
        assert [c for c in chosen if c >= 0] == expected
