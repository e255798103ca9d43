import math

import numpy as np
import pytest

from model.baselines import (
    Popularity,
    PriorConfig,
    TransitionGraph,
    last_distinct,
    own_history_scores,
    prior_chunks,
)
from model.data import Event, sequences
from model.ranking import MISSED, ranking_metrics, target_ranks

DAY_MS = 86_400_000


def random_log(seed: int, users: int = 6, events: int = 25, items: int = 9):
    random = np.random.default_rng(seed)
    return sequences(
        Event(f"u{random.integers(users)}", f"i{random.integers(items)}", int(time))
        for time in np.cumsum(random.integers(0, DAY_MS, users * events))
    )


def naive_graph(data, until_rank: int, config: PriorConfig):
    """Weights from first principles, decayed at the end and not as they come."""
    order = np.argsort(data.rank)[:until_rank]
    now = data.time_ms[order[-1]]
    weights = np.zeros((len(data.items), len(data.items)))
    windows: dict[int, list[int]] = {}
    for event in order:
        past = windows.setdefault(int(data.user[event]), [])
        item = int(data.item[event])
        distinct = list(dict.fromkeys(reversed(past)))[: config.predecessors]
        age_half_lives = (now - data.time_ms[event]) / 1000 / config.graph_half_life_seconds
        for distance, source in enumerate(distinct, 1):
            if source != item:
                weights[source, item] += 2.0**-age_half_lives / distance
        past.append(item)
    return weights


@pytest.mark.parametrize("half_life_days", [0.05, 3.0, 1000.0])
def test_the_graph_equals_a_computation_from_first_principles(half_life_days: float):
    config = PriorConfig(predecessors=3, window=3, graph_half_life_seconds=half_life_days * 86_400)
    data = random_log(1)
    example = np.array([np.argsort(data.rank)[-1]])
    fold = np.ones(data.events, np.bool_)
    (chunk,) = prior_chunks(data, example, fold, config, online=True)
    weights = naive_graph(data, data.events - 1, config)
    event = int(example[0])
    past = data.item[data.starts[data.user[event]] : event].tolist()
    expected = np.zeros(len(data.items))
    for position, source in enumerate(list(dict.fromkeys(reversed(past)))[:3]):
        if weights[source].sum() > 0:
            expected += 0.7**position * weights[source] / weights[source].sum()
    np.testing.assert_allclose(chunk.graph[0], expected / expected.sum(), rtol=1e-5, atol=1e-9)


def test_online_priors_know_nothing_of_the_future():
    data = random_log(2)
    fold = np.ones(data.events, np.bool_)
    early = np.flatnonzero((data.rank > 30) & (data.rank < 60))
    examples = early[np.isin(early, data.starts[:-1], invert=True)]
    future = data.rank >= 60
    changed = data._replace(item=np.where(future, 0, data.item))
    for one, other in zip(
        prior_chunks(data, examples, fold, PriorConfig(), online=True),
        prior_chunks(changed, examples, fold, PriorConfig(), online=True),
        strict=True,
    ):
        assert all((a == b).all() for a, b in zip(one, other, strict=True))


def test_static_priors_learn_only_from_the_folded_events():
    data = random_log(3)
    examples = data.starts[1:] - 1
    fold = np.ones(data.events, np.bool_)
    fold[examples] = False
    other_last = data.item.copy()
    other_last[examples] = (other_last[examples] + 1) % len(data.items)
    for one, other in zip(
        prior_chunks(data, examples, fold, PriorConfig(), online=False),
        prior_chunks(data._replace(item=other_last), examples, fold, PriorConfig(), online=False),
        strict=True,
    ):
        assert all((a == b).all() for a, b in zip(one, other, strict=True))
    (chunk,) = prior_chunks(data, examples, fold, PriorConfig(), online=False)
    counts = np.bincount(data.item[fold], minlength=len(data.items))
    assert (chunk.seen[0] == np.isin(np.arange(9), data.item[: examples[0]])).all()
    assert chunk.popularity.shape == (len(examples), len(counts))


def test_neighbours_are_bounded_and_the_weakest_go():
    graph = TransitionGraph(50, PriorConfig(max_neighbours=10))
    for item in range(1, 50):
        for _ in range(item):
            graph.add(item, [0], 0)
    assert np.flatnonzero(graph.scores([0])).tolist() == list(range(40, 50))[-10:] or (
        9 <= (graph.scores([0]) > 0).sum() <= 10
    )
    assert graph.scores([0]).argmax() == 49


def test_an_item_without_neighbours_gives_no_scores():
    assert not TransitionGraph(3, PriorConfig()).scores([1, 2]).any()
    assert not Popularity(3, 86_400.0).scores().any()


def test_popularity_halves_with_its_half_life():
    popularity = Popularity(2, 86_400)
    popularity.add(0, 0)
    popularity.add(1, DAY_MS)
    assert popularity.scores().tolist() == pytest.approx([1 / 3, 2 / 3])
    popularity.add(0, 5000 * DAY_MS)  # far beyond the range of a float's exponent
    assert popularity.scores().tolist() == pytest.approx([1, 0])


def test_own_history_weighs_recent_and_repeated_items():
    scores = own_history_scores(np.array([2, 0, 2]), 4)
    total = 0.81 + 0.9 + 1
    assert scores.tolist() == pytest.approx([0.9 / total, 0, 1.81 / total, 0])


def test_the_last_distinct_items_come_nearest_first():
    assert last_distinct(np.array([4, 1, 2, 1, 1]), 2) == [1, 2]
    assert last_distinct(np.array([4, 1, 2, 1, 1]), 9) == [1, 2, 4]


def test_ranks_count_ties_against_the_target_and_a_filtered_target_is_missed():
    scores = np.array([[3, 1, 2, 2], [0, 0, 0, 0], [5, -np.inf, 1, 2]], np.float32)
    assert target_ranks(scores, np.array([2, 1, 1])).tolist() == [3, 4, MISSED]


def test_metrics_equal_a_naive_computation():
    random = np.random.default_rng(4)
    scores = random.normal(size=(200, 40)).astype(np.float32)
    targets = random.integers(0, 40, 200)
    metrics = ranking_metrics(target_ranks(scores, targets))
    for k in (5, 10, 20):
        hits, gains, reciprocals = 0, 0.0, 0.0
        for row, target in zip(scores, targets, strict=True):
            ranked = sorted(range(40), key=lambda item: -row[item])[:k]
            if target in ranked:
                place = ranked.index(target) + 1
                hits += 1
                gains += 1 / math.log2(place + 1)
                reciprocals += 1 / place
        assert metrics["hit_rate"][str(k)] == pytest.approx(hits / 200)
        assert metrics["ndcg"][str(k)] == pytest.approx(gains / 200)
        assert metrics["mrr"][str(k)] == pytest.approx(reciprocals / 200)


def test_no_examples_give_metrics_of_zero():
    assert ranking_metrics(np.zeros(0, np.int64))["hit_rate"]["10"] == 0.0
