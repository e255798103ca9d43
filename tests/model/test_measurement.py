import numpy as np
import pytest

from model.measurement import Comparison, Measurement, figures
from model.ranking import ranking_metrics, target_ranks

ITEMS = 25


def measured(scores: np.ndarray, targets: np.ndarray, order: np.ndarray) -> Measurement:
    measurement = Measurement(ITEMS)
    for part in np.array_split(order, 4):
        measurement.add(100 + part, scores[part], targets[part])
    return measurement


def test_figures_are_the_same_in_whatever_order_the_examples_came():
    random = np.random.default_rng(1)
    scores = random.random((60, ITEMS)).astype(np.float32)
    targets = np.minimum(random.geometric(0.3, 60), ITEMS - 1)
    users = np.sort(random.integers(0, 20, 60))
    methods = {
        "in_order": measured(scores, targets, np.arange(60)),
        "shuffled": measured(scores, targets, random.permutation(60)),
    }
    found, _ = figures(methods, targets, users)
    assert found["in_order"] == found["shuffled"]
    expected = ranking_metrics(target_ranks(scores, targets))
    assert {name: found["shuffled"][name] for name in expected} == expected
    assert found["shuffled"]["recall"] == expected["hit_rate"]
    for metric, by_cutoff in found["shuffled"]["interval_95"].items():
        for k, (low, high) in by_cutoff.items():
            assert low <= expected[metric][k] <= high


def test_coverage_is_the_share_of_items_on_any_list_of_ten():
    scores = np.zeros((2, ITEMS), np.float32)
    scores[0, :3], scores[1, 2:12] = 1.0, 1.0
    measurement = Measurement(ITEMS)
    measurement.add(np.array([0, 1]), scores, np.array([0, 0]))
    assert measurement.coverage == pytest.approx(12 / ITEMS)


def test_a_difference_is_surer_than_its_parts_where_methods_agree():
    """Two methods that differ on one example in twenty only."""
    random = np.random.default_rng(2)
    targets = np.zeros(400, np.int64)
    good = random.random((400, ITEMS)).astype(np.float32)
    good[:, 0] += 0.6
    worse = good.copy()
    worse[::20, 0] -= 0.6
    order = np.arange(400)
    methods = {"good": measured(good, targets, order), "worse": measured(worse, targets, order)}
    found, (difference,) = figures(methods, targets, order, compared=[Comparison("good", "worse")])
    low, high = difference["interval_95"]
    assert 0 < low < difference["ndcg@10"] < high
    intervals = [found[name]["interval_95"]["ndcg"]["10"] for name in ("good", "worse")]
    assert intervals[1][1] > intervals[0][0]
    assert high - low < 0.6 * (intervals[0][1] - intervals[0][0])


def test_popular_targets_weigh_less_in_the_debiased_hit_rate():
    targets = np.array([0] * 50 + [1, 2, 3, 4, 5])
    scores = np.zeros((55, ITEMS), np.float32)
    scores[:, 0] = 1.0
    found, _ = figures({"popular": measured(scores, targets, np.arange(55))}, targets, targets)
    assert found["popular"]["hit_rate"]["10"] == pytest.approx(50 / 55)
    assert found["popular"]["debiased_hit_rate"]["10"] == pytest.approx(1 / 6)


def test_methods_must_be_measured_on_the_same_examples():
    half = Measurement(ITEMS)
    half.add(np.arange(2), np.zeros((2, ITEMS), np.float32), np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="half was measured on 2 examples, not on 3"):
        figures({"half": half}, np.zeros(3, np.int64), np.arange(3))


def test_two_seeds_on_the_same_examples_count_as_an_example_each():
    random = np.random.default_rng(4)
    targets, users = random.integers(0, ITEMS, 30), np.arange(30)
    seeds = [random.random((30, ITEMS)).astype(np.float32) for _ in range(2)]
    each = [measured(scores, targets, np.arange(30)) for scores in seeds]
    alone = [figures({"m": one}, targets, users)[0]["m"] for one in each]
    each[0].extend(each[1])
    found, _ = figures({"m": each[0]}, np.repeat(targets, 2), np.repeat(users, 2))
    for metric in ("hit_rate", "ndcg", "mrr"):
        mean = np.mean([figure[metric]["10"] for figure in alone])
        assert found["m"][metric]["10"] == pytest.approx(mean)
    assert found["m"]["coverage"]["10"] >= max(figure["coverage"]["10"] for figure in alone)
