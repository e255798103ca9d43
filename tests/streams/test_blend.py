import numpy as np
import pytest

from streams.blend import BlendWeights, log_prior, popularity_score, prior_score


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
