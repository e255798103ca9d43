import numpy as np
import pytest

from model.debiasing import debiasing_weights


def test_only_targets_far_above_the_others_weigh_less():
    # counts 1, 2, 3, 4 and 40: quartiles 2 and 4, so at most int(4 + 1.5 * 2) = 7 are kept
    targets = np.repeat([5, 6, 7, 8, 9], [1, 2, 3, 4, 40])
    weights = debiasing_weights(targets)
    assert weights[:10].tolist() == [1.0] * 10
    assert weights[10:] == pytest.approx(np.full(40, 7 / 40))


def test_the_weighted_mean_is_what_random_draws_give_on_average():
    """Down-sampling as RecTools does it, many times over."""
    random = np.random.default_rng(3)
    targets = np.minimum(random.zipf(1.6, 400), 60)
    hits = random.random(400) < np.where(targets < 3, 0.6, 0.1)
    counts = np.unique(targets, return_counts=True)[1]
    first, third = np.quantile(counts, [0.25, 0.75])
    most = int(third + 1.5 * (third - first))
    drawn = []
    for _ in range(2000):
        order = random.permutation(400)
        kept = [
            chosen
            for item in np.unique(targets)
            for chosen in order[targets[order] == item][:most].tolist()
        ]
        drawn.append(hits[kept].mean())
    weights = debiasing_weights(targets)
    assert weights.min() < 0.5
    expected = weights @ hits / weights.sum()
    assert np.mean(drawn) == pytest.approx(expected, abs=4 * np.std(drawn) / np.sqrt(2000))


def test_without_examples_there_are_no_weights():
    assert len(debiasing_weights(np.zeros(0, np.int64))) == 0
