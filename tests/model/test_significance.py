import numpy as np
import pytest

from model.significance import interval, resampled_means, sums_by_user


def test_sums_are_of_each_user_and_column():
    values = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    assert sums_by_user(values, np.array([1, 0, 1]), 3).tolist() == [[2, 20], [5, 50], [0, 0]]


def test_the_interval_is_that_of_the_normal_approximation_where_that_holds():
    random = np.random.default_rng(1)
    hits = (random.random(4000) < 0.25).astype(np.float64)[:, None]
    means = resampled_means(hits, np.ones(4000), seed=0, resamples=2000)
    low, high = interval(means[:, 0])
    error = np.sqrt(hits.mean() * (1 - hits.mean()) / 4000)
    assert low == pytest.approx(hits.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(hits.mean() + 1.96 * error, abs=0.15 * error)


def test_users_are_drawn_and_not_their_examples():
    """Ten examples of a user that all say the same are worth one, not ten."""
    random = np.random.default_rng(2)
    hits = (random.random(300) < 0.5).astype(np.float64)[:, None]
    one_each = resampled_means(hits, np.ones(300), seed=0)
    ten_each = resampled_means(10 * hits, np.full(300, 10.0), seed=0)
    np.testing.assert_allclose(one_each, ten_each)


def test_means_weigh_users_by_their_examples():
    sums, examples = np.array([[9.0], [0.0]]), np.array([9.0, 1.0])
    means = resampled_means(sums, examples, seed=3, resamples=400)
    assert set(np.round(means[:, 0], 6)) == {0.0, 0.9, 1.0}


def test_the_same_seed_draws_the_same_users_in_any_number_of_blocks(
    monkeypatch: pytest.MonkeyPatch,
):
    sums = np.random.default_rng(4).random((50, 3))
    means = resampled_means(sums, np.ones(50), seed=5, resamples=30)
    assert (means == resampled_means(sums, np.ones(50), seed=5, resamples=30)).all()
    assert (means != resampled_means(sums, np.ones(50), seed=6, resamples=30)).any()
    monkeypatch.setattr("model.significance._CELLS", 60)
    np.testing.assert_allclose(means, resampled_means(sums, np.ones(50), seed=5, resamples=30))


def test_nobody_cannot_be_drawn():
    with pytest.raises(ValueError, match="at least one example"):
        resampled_means(np.zeros((0, 1)), np.zeros(0), seed=0)
