import sys

import numpy as np
import pytest

from model import reference_baselines
from model.data import Event, sequences
from model.reference_baselines import EASE_L2, FITS, NotAvailable, fit_ease, fit_item_knn

ITEMS = 12


def random_log():
    """Users of two tastes, an item nobody but the last event has, and repeats."""
    random = np.random.default_rng(1)
    events = []
    for user in range(60):
        for step, item in enumerate(random.integers(0, ITEMS // 2, 7).tolist()):
            events.append(Event(f"u{user}", f"i{2 * item + user % 2}", 100 * user + step))
    events.append(Event("u0", "unseen", 10**6))
    return sequences(events)


def had_by_users(log, events: np.ndarray) -> np.ndarray:
    had = np.zeros((len(log.users), len(log.items)))
    had[log.user[events], log.item[events]] = 1.0
    return had


def fold_of(log) -> np.ndarray:
    fold = np.ones(log.events, np.bool_)
    fold[log.item == log.items.index("unseen")] = False
    return fold


def test_ease_solves_its_own_least_squares_problem():
    """At the minimum the gradient vanishes wherever a weight is free: off the diagonal."""
    pytest.importorskip("easey")
    log = random_log()
    fold = fold_of(log)
    weights = fit_ease(log, fold).weights
    had = had_by_users(log, fold)
    gradient = had.T @ (had @ weights - had) + EASE_L2 * weights
    np.fill_diagonal(gradient, 0.0)
    assert np.abs(gradient).max() < 1e-2
    assert np.abs(had.T @ had - np.diag(np.diag(had.T @ had))).max() > 5
    assert not np.diag(weights).any()


def test_item_knn_weighs_by_the_cosine_of_who_had_the_items():
    pytest.importorskip("implicit")
    log = random_log()
    fold = fold_of(log)
    weights = fit_item_knn(log, fold).weights.toarray()
    had = had_by_users(log, fold)
    norms = np.sqrt(had.sum(0))
    norms[norms == 0] = 1.0
    np.testing.assert_allclose(weights, had.T @ had / np.outer(norms, norms), atol=1e-6)


@pytest.mark.parametrize("name", FITS)
def test_scores_are_of_what_a_user_had_before_the_event_once_each(name: str):
    pytest.importorskip({"ease": "easey", "item_knn": "implicit"}[name])
    log = random_log()
    fitted = FITS[name](log, fold_of(log))
    event = int(log.starts[4]) + 5
    past = np.unique(log.item[log.starts[4] : event])
    weights = fitted.weights if name == "ease" else fitted.weights.toarray()
    unseen = log.items.index("unseen")
    (scores,) = fitted.scores(log, np.array([event]))
    expected = weights[past].sum(0)
    known = np.arange(len(log.items)) != unseen
    np.testing.assert_allclose(scores[known], expected[known], rtol=1e-5)
    assert scores[unseen] == -np.inf
    others_taste = [log.items.index(f"i{item}") for item in range(1, ITEMS, 2)]
    own_taste = [log.items.index(f"i{item}") for item in range(0, ITEMS, 2)]
    assert scores[own_taste].min() > scores[others_taste].max()


@pytest.mark.parametrize(("name", "library"), [("ease", "easey"), ("item_knn", "implicit")])
def test_a_missing_library_is_named_with_the_extra_that_has_it(
    monkeypatch: pytest.MonkeyPatch, name: str, library: str
):
    for module in [m for m in sys.modules if m.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(NotAvailable, match=rf"{library} is not installed.*freshrec\[bench\]"):
        FITS[name](random_log(), np.ones(421, np.bool_))


def test_ease_is_not_tried_where_its_matrix_would_not_fit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reference_baselines, "EASE_MAX_ITEMS", 5)
    log = random_log()
    with pytest.raises(NotAvailable, match="5 items at most"):
        fit_ease(log, fold_of(log))
