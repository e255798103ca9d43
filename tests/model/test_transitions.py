import numpy as np
import pytest

from model import transitions
from model.baselines import PriorConfig, last_distinct, prior_chunks
from model.data import Event, sequences
from model.transitions import NONE, Predecessors, TransitionMatrix

HOUR_MS = 3_600_000


def random_log(seed: int, items: int):
    random = np.random.default_rng(seed)
    times = np.cumsum(random.integers(0, 40 * HOUR_MS, 240))
    return sequences(
        Event(f"u{random.integers(8)}", f"i{random.integers(items)}", int(time)) for time in times
    )


@pytest.mark.parametrize("items", [2, 5, 200], ids=["repeats", "some repeats", "hardly any"])
def test_predecessors_are_the_last_distinct_items_before_each_event(items: int):
    log = random_log(items, items)
    found = Predecessors(log).of(np.arange(log.events), 4)
    for event in range(log.events):
        past = log.item[log.starts[log.user[event]] : event]
        expected = last_distinct(past, 4)
        assert found[event].tolist() == expected + [NONE] * (4 - len(expected))


@pytest.mark.parametrize(("predecessors", "window"), [(1, 1), (3, 3), (5, 2)])
@pytest.mark.parametrize("half_life_days", [0.5, 7.0])
def test_the_matrix_is_the_live_graph_with_room_for_every_neighbour(
    monkeypatch: pytest.MonkeyPatch, predecessors: int, window: int, half_life_days: float
):
    monkeypatch.setattr(transitions, "EVENTS_AT_ONCE", 100)
    log = random_log(1, 12)
    events = log.starts[1:] - 1
    fold = np.ones(log.events, np.bool_)
    fold[events] = False
    config = PriorConfig(
        predecessors=predecessors,
        window=window,
        max_neighbours=1000,
        graph_half_life_seconds=half_life_days * 86_400,
    )
    (chunk,) = prior_chunks(log, events, fold, config, online=False)
    scores = TransitionMatrix.of(Predecessors(log), fold, config).scores(events)
    np.testing.assert_allclose(scores, chunk.graph, rtol=1e-4, atol=1e-7)
    assert scores.sum(1) == pytest.approx(np.ones(len(events)))


def test_a_user_without_a_past_or_with_unknown_items_has_no_scores():
    log = sequences([Event("u", "a", 1), Event("v", "b", 2), Event("v", "c", 3)])
    fold = np.array([True, False, False])
    scores = TransitionMatrix.of(Predecessors(log), fold, PriorConfig()).scores(np.array([0, 2]))
    assert not scores.any()
