import numpy as np
import pytest

from model.baselines import LIVE_PRIORS, prior_chunks
from model.blend import TERMS, Blend
from model.blending import Alternatives, Terms, choose_blend
from model.data import Event, Split, sequences
from model.ranking import MISSED, ranking_metrics


def habits(seed=0, users=40, steps=14, items=30):
    """Users that walk through the items in order, half of the time back to one of their two."""
    random = np.random.default_rng(seed)
    events = []
    for user in range(users):
        own = random.integers(0, items, 2)
        item = int(random.integers(items))
        for step in range(steps):
            item = int(own[random.integers(2)]) if random.random() < 0.5 else (item + 1) % items
            events.append(Event(f"u{user}", f"i{item}", 60_000 * (step * users + user) + 1))
    return sequences(events)


def split_of(log, validation=0.4):
    late = log.rank >= (1 - validation) * log.events
    first = np.isin(np.arange(log.events), log.starts[:-1])
    return Split(~late, np.flatnonzero(late & ~first), np.zeros(0, np.int64))


def no_opinion(log):
    return lambda events: np.full((len(events), len(log.items)), -np.inf, np.float32)


def terms_of(log, events, log_probs):
    fold = np.ones(log.events, np.bool_)
    (chunk,) = prior_chunks(log, events, fold, LIVE_PRIORS, online=True, chunk=len(events))
    return Terms.of(log, chunk, log_probs)


def test_the_fitted_blend_ranks_better_than_each_of_its_terms_alone():
    log = habits()
    choice = choose_blend(log, split_of(log), no_opinion(log), online=True, seed=0)
    assert choice.repeat_policy == "allow"
    blend = choice.metrics.pop("blend")["ndcg"]["10"]
    assert all(blend > alone["ndcg"]["10"] for alone in choice.metrics.values())
    assert not choice.blend.faults()
    assert choice.blend.graph_window == choice.priors.window


def test_an_encoder_that_knows_what_comes_gets_the_weight_and_one_that_guesses_does_not():
    log = habits()
    random = np.random.default_rng(1)

    def knows(events):
        scores = random.normal(size=(len(events), len(log.items)))
        scores[np.arange(len(events)), log.item[events]] += 6
        return (scores - np.log(np.exp(scores).sum(1, keepdims=True))).astype(np.float32)

    def guesses(events):
        return random.normal(size=(len(events), len(log.items))).astype(np.float32) - 3

    sure = choose_blend(log, split_of(log), knows, online=True, seed=0)
    lost = choose_blend(log, split_of(log), guesses, online=True, seed=0)
    assert sure.blend.encoder > 0.5 > 0.3 > lost.blend.encoder
    assert sure.metrics["blend"]["hit_rate"]["5"] > lost.metrics["blend"]["hit_rate"]["5"]


def test_what_nobody_comes_back_to_is_excluded_and_never_forgotten():
    log = sequences(
        Event(f"u{user}", f"i{(user + step) % 40}", 1000 * (step * 30 + user) + 1)
        for user in range(30)
        for step in range(12)
    )
    choice = choose_blend(log, split_of(log), no_opinion(log), online=True, seed=0)
    assert choice.repeat_policy == "exclude"
    assert choice.priors.window_events == 1000
    assert choice.blend.own == choice.blend.own_frequency == choice.blend.seen == 0.0


def braided(strands, seed=0, users=20, items=35):
    """Users that walk through the items on several strands in turn: what was long ago says more."""
    random = np.random.default_rng(seed)
    events = []
    for user in range(users):
        places = random.integers(0, items, strands)
        for step in range(4 * strands):
            item = int(places[step % strands] + step // strands) % items
            events.append(Event(f"u{user}", f"i{item}", 1000 * (step * users + user) + 1))
    return sequences(events)


def test_how_far_back_a_click_is_linked_is_chosen_among_what_is_offered():
    log = braided(7)
    near, far = (
        choose_blend(log, split_of(log), no_opinion(log), online=True, seed=0, predecessors=offered)
        for offered in ((5,), (5, 10))
    )
    assert (near.priors.predecessors, far.priors.predecessors) == (5, 10)
    assert far.blend.graph_window > 5  # what came seven items ago is asked, too


def test_a_wider_window_that_is_hardly_better_is_not_worth_what_lists_pay_for_it():
    log = habits()
    choice = choose_blend(
        log, split_of(log), no_opinion(log), online=True, seed=0, predecessors=(20,)
    )
    assert choice.blend.graph_window == choice.priors.window == 5


def test_the_fit_is_the_same_for_the_same_seed():
    log = habits(2)
    first, second = (
        choose_blend(log, split_of(log), no_opinion(log), online=True, seed=3) for _ in range(2)
    )
    assert first == second


def test_alternatives_rank_as_the_whole_catalogue_does_where_it_is_small():
    log = habits(3)
    events = split_of(log).validation[:20]
    random = np.random.default_rng(0)
    log_probs = random.normal(size=(len(events), len(log.items))).astype(np.float32) - 3
    terms = terms_of(log, events, log_probs)
    blend = Blend(encoder=0.6, graph=0.4, own=0.3, own_recency=-0.5, seen=1.0, popularity=0.1)
    alternatives = Alternatives.of(terms, blend)
    for policy in ("allow", "exclude"):
        assert alternatives.ranks(blend, policy).tolist() == terms.ranks(blend, policy).tolist()
    assert (
        terms.ranks(blend, "exclude")[terms.priors.seen[range(20), terms.targets]] == MISSED
    ).all()


def test_an_alternative_stands_once_and_what_came_stands_first():
    log = habits(4)
    events = split_of(log).validation[:12]
    log_probs = np.zeros((len(events), len(log.items)), np.float32)
    alternatives = Alternatives.of(terms_of(log, events, log_probs), Blend())
    assert alternatives.present[:, 0].all()
    assert (alternatives.present.sum(1) == len(log.items)).all()
    assert alternatives.terms.shape[2] == len(TERMS)


def test_an_unknown_item_has_its_own_term_unless_nothing_is_known():
    log = habits(5)
    events = split_of(log).validation[:2]
    log_probs = np.full((2, len(log.items)), -np.inf, np.float32)
    log_probs[0, :3] = (-1.0, -2.0, -3.0)
    terms = terms_of(log, events, log_probs)
    assert terms.unknown[0].tolist() == [False] * 3 + [True] * (len(log.items) - 3)
    assert not terms.unknown[1].any()
    with_offset = terms.scores(Blend(unknown=2.5), "allow")
    assert with_offset[0, :4] == pytest.approx([-1.0, -2.0, -3.0, -0.5])


def test_refining_never_ranks_worse_and_keeps_every_weight_usable():
    log = habits(6)
    events = split_of(log).validation[:150]
    log_probs = np.random.default_rng(0).normal(size=(len(events), len(log.items)))
    fold = np.ones(log.events, np.bool_)
    (chunk,) = prior_chunks(log, events, fold, LIVE_PRIORS, online=True, chunk=len(events))
    alternatives = Alternatives.of(Terms.of(log, chunk, log_probs.astype(np.float32)), Blend())
    fitted = alternatives.fit("allow", TERMS, Blend())
    refined = alternatives.refined(fitted, "allow", TERMS)

    def ndcg(blend):
        return ranking_metrics(alternatives.ranks(blend, "allow"))["ndcg"]["10"]

    assert ndcg(refined) > ndcg(fitted)
    assert not refined.faults()
