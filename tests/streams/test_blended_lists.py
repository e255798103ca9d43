"""Lists with an encoder: its scores beside the priors, what it does not know, when it fails."""

import gc
import weakref

import numpy as np
import pytest

from streams.blend import BlendWeights
from streams.events import DegradedReason, ModelInfo, ServedBy
from tests.streams.list_world import FakeScorer, World, crowd_world, ids, reasons

MODEL = ModelInfo("bert", "7")
GRAPH_ONLY = BlendWeights(popularity=0.0)


def test_the_score_is_the_encoders_log_probability_plus_the_priors():
    world = crowd_world()
    scorer = FakeScorer({"a": -5.0, "b": -4.0, "c": -1.0}, top=1)
    weights = BlendWeights(encoder=2.0, graph=0.5, popularity=0.0)
    (ranked,) = world.lists("u", scorer=scorer, weights=weights, model=MODEL)
    score = {item.item_id: item.score for item in ranked.items}
    assert score["b"] == pytest.approx(2 * -4.0 + 0.5 * np.log1p(0.75e5), abs=1e-4)
    assert score["c"] == pytest.approx(2 * -1.0 + 0.5 * np.log1p(0.25e5), abs=1e-4)
    assert ids(ranked)[0] == "c"
    assert ranked.served_by is ServedBy.BERT_GRAPH
    assert ranked.degraded_reason is None
    assert ranked.model == MODEL


def test_an_item_unknown_to_the_encoder_counts_as_the_worst_of_its_best():
    world = crowd_world()
    scorer = FakeScorer({"a": -0.5, "e": -1.0, "f": -2.5}, top=3)
    (ranked,) = world.lists("u", scorer=scorer, weights=GRAPH_ONLY)
    score = {item.item_id: item.score for item in ranked.items}
    assert score["b"] == pytest.approx(-2.5 + 0.5 * np.log1p(0.75e5), abs=1e-4)
    assert "SEQUENCE" not in reasons(ranked, "b")


def test_the_encoders_own_best_are_listed_though_the_graph_does_not_know_them():
    world = crowd_world()
    scorer = FakeScorer({"a": -9.0, "new": 0.0}, top=2)
    (ranked,) = world.lists("u", scorer=scorer, weights=BlendWeights(graph=0.0))
    assert ids(ranked)[0] == "new"
    assert [reason.code.value for reason in ranked.items[0].reasons] == ["SEQUENCE"]


def test_an_item_of_both_is_listed_once_with_both_reasons():
    world = crowd_world()
    scorer = FakeScorer({"a": -3.0, "b": -0.5, "e": -4.0}, top=3)
    (ranked,) = world.lists("u", scorer=scorer, weights=GRAPH_ONLY)
    assert len(ids(ranked)) == len(set(ids(ranked)))
    found = reasons(ranked, "b")
    assert {"CO_CLICKED", "SEQUENCE"} <= set(found)
    assert found["SEQUENCE"].item_id == "a"
    lift, prior = -0.5 - -4.0, 0.5 * np.log1p(0.75e5)
    assert found["SEQUENCE"].delta == pytest.approx(lift / (lift + prior), abs=1e-4)


def test_a_graph_candidate_beyond_the_ones_asked_about_keeps_its_prior():
    world = World()
    for number in range(40):
        world.crowd("a", f"i{number:02d}", users=1 if number == 39 else 2)
    world.clicks("u", "a")
    scorer = FakeScorer({"a": -8.0, "i39": -0.1}, top=2)
    config = {"weights": GRAPH_ONLY, "max_candidates": 12, "list_size": 40}
    (few,) = world.lists("u", scorer=scorer, **config | {"list_size": 5})
    (all_of_them,) = world.lists("u", scorer=scorer, **config)
    assert ids(few)[0] == "i39"
    assert few.items[0] == all_of_them.items[0]


def test_a_user_without_history_is_not_sent_to_the_encoder():
    world = crowd_world()
    scorer = FakeScorer({"a": -1.0, "b": -2.0})
    cold, warm = world.lists("stranger", "u", scorer=scorer, model=MODEL)
    assert len(scorer.histories) == 1
    assert list(scorer.histories[0].items) == ["a"]
    assert cold.served_by is ServedBy.POPULAR
    assert cold.degraded_reason is DegradedReason.COLD_USER
    assert cold.model is None
    assert warm.served_by is ServedBy.BERT_GRAPH


def test_a_batch_of_cold_users_has_nothing_to_score():
    world = crowd_world()
    scorer = FakeScorer({"a": -1.0})
    assert world.recommender().prepare([world.request("stranger")], scorer).batch is None


def test_a_user_whose_items_the_encoder_does_not_know_gets_a_graph_list():
    world = crowd_world()
    (ranked,) = world.lists("u", scorer=FakeScorer({"e": -1.0, "f": -2.0}), model=MODEL)
    assert ids(ranked)[0] == "b"
    assert ranked.served_by is ServedBy.GRAPH
    assert ranked.degraded_reason is DegradedReason.COLD_USER
    assert ranked.model is None


def test_a_failed_run_degrades_to_the_graphs_list():
    world = crowd_world()
    recommender = world.recommender()
    request = world.request("u")
    prepared = recommender.prepare([request], FakeScorer({"a": -1.0}))
    failed = DegradedReason.MODEL_FAILED
    (ranked,) = recommender.finish(prepared, None, degraded_reason=failed, model=MODEL)
    (graph,) = world.lists("u", degraded_reason=failed)
    assert ranked.items == graph.items
    assert ranked.degraded_reason is failed


def test_graph_ids_are_what_the_graph_alone_would_have_served():
    world = crowd_world()
    scorer = FakeScorer({"a": -9.0, "c": -0.1, "z": -0.2}, top=3)
    (blended,) = world.lists("u", scorer=scorer)
    (graph,) = world.lists("u")
    assert blended.graph_ids == ids(graph) == graph.graph_ids
    assert blended.graph_ids != ids(blended)


def test_scorers_that_take_turns_are_each_read_with_their_own_items():
    world = crowd_world()
    recommender = world.recommender(weights=GRAPH_ONLY)
    for log_probs in ({"a": -1.0, "x": -2.0}, {"y": -2.0, "a": -1.0}) * 2:
        scorer = FakeScorer(log_probs, top=2)
        prepared = recommender.prepare([world.request("u")], scorer)
        scores = scorer.run(prepared.batch)
        (ranked,) = recommender.finish(prepared, scores, degraded_reason=None, model=None)
        assert {"x", "y"}.intersection(ids(ranked)) == {"x", "y"}.intersection(log_probs)


def test_a_replaced_scorer_is_not_kept_alive():
    world = crowd_world()
    recommender = world.recommender()
    scorer = FakeScorer({"a": -1.0})
    recommender.prepare([world.request("u")], scorer)
    replaced = weakref.ref(scorer)
    del scorer
    gc.collect()
    assert replaced() is None


def test_items_that_become_known_between_the_steps_are_not_confused():
    world = crowd_world()
    recommender = world.recommender()
    scorer = FakeScorer({"a": -1.0, "b": -2.0}, top=2)
    prepared = recommender.prepare([world.request("u")], scorer)
    for number in range(3_000):
        world.replica.index(f"later-{number}")
    world.item("later-2999", title="Late")
    scores = scorer.run(prepared.batch)
    (ranked,) = recommender.finish(prepared, scores, degraded_reason=None, model=None)
    assert ids(ranked) == ids(world.lists("u", scorer=scorer)[0])
