"""What training fits is what serving computes: every term, on the same log, in both."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.baselines import PriorConfig, prior_chunks
from model.blend import OWN_TERMS, PRIOR_TERMS, SIGNED_TERMS, Blend
from model.blending import FLOORS, Terms
from streams.core import Core
from streams.event_log import EventLog
from streams.events import Trigger
from streams.lists import ListRequest, RecommenderConfig
from streams.recommender import Recommender
from tests.streams.log_samples import DAY_SECONDS, pipeline, random_log

SHARES_IN_CANDIDATES = ("graph_last", *OWN_TERMS, "seen", "last")
PRIORS = PriorConfig(
    predecessors=5,
    window=4,
    window_decay=0.6,
    max_neighbours=5,
    graph_half_life_seconds=3.0 * DAY_SECONDS,
    popularity_half_life_seconds=5.0 * DAY_SECONDS,
    own_decay=0.8,
    window_events=9,
    window_seconds=6 * DAY_SECONDS,
    by_arrival=True,
)


def trained(log, examples):
    """Training's priors of each example."""
    fold = np.ones(log.events, np.bool_)
    (chunk,) = prior_chunks(log, examples, fold, PRIORS, online=True, chunk=len(examples))
    return chunk


def served(log, examples, config):
    """A prepared list for each example, from the state before it."""
    state = pipeline(
        PRIORS.graph_half_life_seconds,
        PRIORS.window_events,
        PRIORS.window_seconds // DAY_SECONDS,
        max_neighbours=PRIORS.max_neighbours,
        popularity_half_life_seconds=PRIORS.popularity_half_life_seconds,
        trending_half_life_seconds=PRIORS.trending_half_life_seconds,
    )
    core, events = Core(state), EventLog(log)
    recommender = Recommender(core.replica, core.catalogue, config(state))
    wanted = set(log.rank[examples].tolist())
    for position in range(len(events)):
        click = events.click(position)
        if position in wanted:
            window = core.windows[click.user_id]
            trigger = Trigger(None, "clicks", 0, 0, "")
            request = ListRequest(click.user_id, window, trigger, 0, click.time_ms, 0.0)
            yield core, recommender, recommender.prepare([request], None)
        core.fold([click.record])


def returning(log, count=25):
    """The last events, in time order, of users that were there before."""
    first = np.isin(np.arange(log.events), log.starts[:-1])
    in_order = np.argsort(log.rank)
    return in_order[~first[in_order]][-count:]


def blend_of(weights, policy="allow"):
    blend = Blend(
        **{"encoder": 0.0, **weights},
        graph_window=PRIORS.window,
        window_decay=PRIORS.window_decay,
        own_decay=PRIORS.own_decay,
        **FLOORS,
    )
    return blend, lambda state: RecommenderConfig.fitted(blend, policy)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_share_is_the_same_in_training_and_in_serving(seed):
    log = random_log(seed)
    examples = returning(log)
    chunk = trained(log, examples)
    _, config = blend_of(dict.fromkeys(PRIOR_TERMS, 0.5))
    evictions = 0
    for row, (core, _, prepared) in enumerate(served(log, examples, config)):
        candidates = prepared.candidates
        numbers = candidates.items.tolist()
        columns = [log.items.index(name) for name in core.replica.ids.item_ids(numbers)]

        def assert_same(name, found, columns=columns, row=row):
            expected = np.zeros(len(log.items))
            expected[columns] = found
            np.testing.assert_allclose(
                chunk.term(name)[row], expected, rtol=1e-5, atol=1e-7, err_msg=name
            )

        assert_same("graph", candidates.graph)
        for name in SHARES_IN_CANDIDATES:
            assert_same(name, candidates.terms.get(name, 0.0))
        snapshot = prepared.popularity
        everything = core.replica.ids.index_all(log.items)
        known = [number for number in everything if number < len(snapshot)]
        for name, shares in (("popularity", snapshot.shares), ("trending", snapshot.recent_shares)):
            np.testing.assert_allclose(
                chunk.term(name)[row][: len(known)], shares[known], rtol=1e-4, atol=1e-7
            )
        evictions += any(
            core.replica.neighbours(item) is not None
            and len(core.replica.neighbours(item).destinations) >= 3
            for item in log.items
        )
    assert evictions  # the bound on neighbours was reached, or the log is too small a test


weights_of_terms = st.fixed_dictionaries(
    {
        name: st.floats(-2.0 if name in SIGNED_TERMS else 0.0, 2.0).map(lambda w: round(w, 3))
        for name in PRIOR_TERMS
    }
)


@settings(max_examples=12, deadline=None)
@given(
    weights=weights_of_terms, policy=st.sampled_from(["allow", "exclude"]), seed=st.integers(4, 9)
)
def test_any_blend_gives_an_item_the_same_score_in_training_and_in_serving(weights, policy, seed):
    log = random_log(seed, events=70)
    examples = returning(log, 8)
    chunk = trained(log, examples)
    blend, config = blend_of(weights, policy)
    log_probs = np.full((len(examples), len(log.items)), -np.inf, np.float32)
    scores = Terms.of(log, chunk, log_probs).scores(blend, "allow")
    for row, (core, recommender, prepared) in enumerate(served(log, examples, config)):
        ranking = recommender.rank(prepared, None)
        listed = ranking.items[0][ranking.items[0] >= 0].tolist()
        columns = [log.items.index(name) for name in core.replica.ids.item_ids(listed)]
        found = ranking.scores[0][: len(listed)]
        np.testing.assert_allclose(scores[row, columns], found, rtol=1e-4, atol=1e-4)
