import gc
import weakref

import msgspec
import numpy as np
import pytest

from streams.blend import BlendWeights
from streams.events import DegradedReason, ModelInfo, ServedBy, WindowInfo, iso_utc
from streams.lists import RecommenderConfig
from streams.rules import RulesConfig
from tests.streams.list_world import NOW_MS, FakeScorer, World, ids, reasons
from tests.streams.test_candidates import random_world

MODEL = ModelInfo("bert", "7")
GRAPH_ONLY = BlendWeights(popularity=0.0)


def crowd_world():
    """a is followed by b three times and by c once; z is popular and follows nothing."""
    world = World()
    world.crowd("a", "b", users=3)
    world.crowd("a", "c", users=1)
    world.crowd("z", users=9)
    world.clicks("u", "a")
    return world


def test_what_others_clicked_next_comes_first_and_popular_items_fill_up():
    (ranked,) = crowd_world().lists("u")
    assert ids(ranked) == ["b", "c", "z", "a"]
    assert [item.rank for item in ranked.items] == [1, 2, 3, 4]
    scores = [item.score for item in ranked.items]
    assert scores == sorted(scores, reverse=True)
    assert ranked.served_by is ServedBy.GRAPH


def test_the_score_without_an_encoder_is_the_weighted_sum_of_the_priors():
    world = crowd_world()
    (ranked,) = world.lists("u", weights=BlendWeights(graph=2.0, popularity=0.5))
    popularity = dict(zip(*map(list, world.replica.top_popular(9, NOW_MS)), strict=True))
    share = popularity[world.replica.index("b")]
    expected = 2.0 * np.log1p(0.75e5) + 0.5 * np.log1p(share * 1e5)
    assert ranked.items[0].score == pytest.approx(expected, abs=1e-4)


def test_items_name_their_source_its_share_and_the_age_of_the_edge():
    world = World()
    world.crowd("a", "b", at_ms=NOW_MS - 34_000)
    world.clicks("u", "a")
    (ranked,) = world.lists("u")
    assert msgspec.to_builtins(ranked.items[0].reasons) == [
        {"code": "CO_CLICKED", "item_id": "a", "weight": 1.0, "age_seconds": 34.0}
    ]
    assert [reason.code.value for reason in ranked.items[1].reasons] == ["POPULAR"]


def test_titles_come_from_the_catalogue():
    world = crowd_world()
    world.item("b", title="Blue")
    (ranked,) = world.lists("u")
    assert [item.title for item in ranked.items][:2] == ["Blue", ""]


def test_a_cold_user_gets_popular_items_and_is_told_why():
    (ranked,) = crowd_world().lists("stranger", degraded_reason=DegradedReason.MODEL_MISSING)
    assert ranked.served_by is ServedBy.POPULAR
    assert ranked.degraded_reason is DegradedReason.COLD_USER
    assert ids(ranked)[0] == "z"
    assert all("POPULAR" in reasons(ranked, item) for item in ids(ranked))


def test_a_user_whose_items_lead_nowhere_gets_popular_items_for_the_reason_given():
    world = crowd_world()
    world.clicks("v", "c")
    (ranked,) = world.lists("v", degraded_reason=DegradedReason.DEADLINE)
    assert ranked.served_by is ServedBy.POPULAR
    assert ranked.degraded_reason is DegradedReason.DEADLINE


def test_without_a_model_lists_are_served_by_the_graph_for_the_reason_given():
    (ranked,) = crowd_world().lists("u", degraded_reason=DegradedReason.MODEL_MISSING, model=MODEL)
    assert ranked.served_by is ServedBy.GRAPH
    assert ranked.degraded_reason is DegradedReason.MODEL_MISSING
    assert ranked.model is None


def test_nothing_is_known_of_anything():
    world = World()
    (ranked,) = world.lists("u")
    assert ranked.items == []
    assert ranked.served_by is ServedBy.POPULAR
    assert ranked.graph_ids == ranked.popularity_ids == []
    assert world.lists() == []


def test_lists_have_the_size_asked_for_and_no_more():
    world = crowd_world()
    for size in (1, 3, 4):
        (ranked,) = world.lists("u", list_size=size)
        assert len(ranked.items) == size
    assert len(world.lists("u", list_size=50)[0].items) == 4


class TestRepeats:
    def test_allowed_repeats_stay(self):
        assert "a" in ids(crowd_world().lists("u", repeat_policy="allow")[0])

    def test_excluded_repeats_go_and_so_they_do_from_the_yardsticks(self):
        world = crowd_world()
        world.clicks("u", "z", "a")
        (ranked,) = world.lists("u", repeat_policy="exclude")
        assert ids(ranked) == ["b", "c"]
        assert ranked.graph_ids == ranked.popularity_ids == ["b", "c"]

    def test_a_discount_moves_repeats_down_by_the_penalty(self):
        world = crowd_world()
        world.clicks("u", "b", "a")
        (plain,) = world.lists("u", repeat_policy="allow")
        (lower,) = world.lists("u", repeat_policy="discount", repeat_penalty=3.0)
        assert ids(plain)[0] == "b"
        assert ids(lower)[0] == "c"
        score = {item.item_id: item.score for item in lower.items}
        before = {item.item_id: item.score for item in plain.items}
        assert score["b"] == pytest.approx(before["b"] - 3.0, abs=1e-3)
        assert score["c"] == before["c"]

    def test_popular_items_fill_up_however_many_are_excluded(self):
        world = World()
        names = [f"i{number:03d}" for number in range(150)]
        for item in names:
            world.crowd(item, users=2 if item < "i100" else 1)
        world.clicks("u", *names[:100])
        (ranked,) = world.lists("u", repeat_policy="exclude")
        assert len(ranked.items) == 10
        assert set(ids(ranked)) <= set(names[100:])
        assert len(ranked.popularity_ids) == 10

    def test_an_impression_is_no_repeat(self):
        world = crowd_world()
        world.click("u", "b", "impression")
        assert ids(world.lists("u", repeat_policy="exclude")[0])[0] == "b"


class TestFilters:
    def test_a_disliked_item_is_never_listed(self):
        world = crowd_world()
        world.click("u", "b", "dislike")
        for policy in ("allow", "discount", "exclude"):
            (ranked,) = world.lists("u", repeat_policy=policy)
            assert "b" not in ids(ranked) + ranked.graph_ids + ranked.popularity_ids

    def test_an_unavailable_or_withdrawn_item_is_never_listed(self):
        world = crowd_world()
        world.item("b", available=False)
        world.catalogue.withdraw("z")
        (ranked,) = world.lists("u")
        assert ids(ranked) == ranked.graph_ids == ["c", "a"]
        assert ranked.popularity_ids == ["a", "c"]

    def test_many_unavailable_popular_items_do_not_empty_the_list(self):
        world = World()
        for number in range(300):
            world.crowd(f"i{number}", users=2 if number < 280 else 1)
        for number in range(280):
            world.catalogue.withdraw(f"i{number}")
        assert len(world.lists("stranger")[0].items) == 10

    def test_hidden_items_of_a_request_are_not_listed(self):
        world = crowd_world()
        request = world.request("u", hidden_items=frozenset({"b", "unheard of"}))
        recommender = world.recommender()
        prepared = recommender.prepare([request], None)
        (ranked,) = recommender.finish(prepared, None, degraded_reason=None, model=None)
        assert ids(ranked)[0] == "c"

    def test_filters_hold_for_what_the_encoder_brings(self):
        world = crowd_world()
        world.click("u", "hated", "dislike")
        world.item("gone", available=False)
        log_probs = {"hated": -0.1, "gone": -0.2, "a": -0.3, "kept": -0.4}
        scorer = FakeScorer(log_probs, top=4)
        (ranked,) = world.lists("u", scorer=scorer, repeat_policy="exclude")
        assert {"hated", "gone", "a"}.isdisjoint(ids(ranked))
        assert "kept" in ids(ranked)


class TestEncoder:
    def test_the_score_is_the_encoders_log_probability_plus_the_priors(self):
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

    def test_an_item_unknown_to_the_encoder_counts_as_the_worst_of_its_best(self):
        world = crowd_world()
        scorer = FakeScorer({"a": -0.5, "e": -1.0, "f": -2.5}, top=3)
        (ranked,) = world.lists("u", scorer=scorer, weights=GRAPH_ONLY)
        score = {item.item_id: item.score for item in ranked.items}
        assert score["b"] == pytest.approx(-2.5 + 0.5 * np.log1p(0.75e5), abs=1e-4)
        assert "SEQUENCE" not in reasons(ranked, "b")

    def test_the_encoders_own_best_are_listed_though_the_graph_does_not_know_them(self):
        world = crowd_world()
        scorer = FakeScorer({"a": -9.0, "new": 0.0}, top=2)
        (ranked,) = world.lists("u", scorer=scorer, weights=BlendWeights(graph=0.0))
        assert ids(ranked)[0] == "new"
        assert [reason.code.value for reason in ranked.items[0].reasons] == ["SEQUENCE"]

    def test_an_item_of_both_is_listed_once_with_both_reasons(self):
        world = crowd_world()
        scorer = FakeScorer({"a": -3.0, "b": -0.5, "e": -4.0}, top=3)
        (ranked,) = world.lists("u", scorer=scorer, weights=GRAPH_ONLY)
        assert len(ids(ranked)) == len(set(ids(ranked)))
        found = reasons(ranked, "b")
        assert {"CO_CLICKED", "SEQUENCE"} <= set(found)
        assert found["SEQUENCE"].item_id == "a"
        lift, prior = -0.5 - -4.0, 0.5 * np.log1p(0.75e5)
        assert found["SEQUENCE"].delta == pytest.approx(lift / (lift + prior), abs=1e-4)

    def test_a_graph_candidate_beyond_the_ones_asked_about_keeps_its_prior(self):
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

    def test_a_user_without_history_is_not_sent_to_the_encoder(self):
        world = crowd_world()
        scorer = FakeScorer({"a": -1.0, "b": -2.0})
        cold, warm = world.lists("stranger", "u", scorer=scorer, model=MODEL)
        assert len(scorer.histories) == 1
        assert list(scorer.histories[0].items) == ["a"]
        assert cold.served_by is ServedBy.POPULAR
        assert cold.degraded_reason is DegradedReason.COLD_USER
        assert cold.model is None
        assert warm.served_by is ServedBy.BERT_GRAPH

    def test_a_batch_of_cold_users_has_nothing_to_score(self):
        world = crowd_world()
        scorer = FakeScorer({"a": -1.0})
        assert world.recommender().prepare([world.request("stranger")], scorer).batch is None

    def test_a_user_whose_items_the_encoder_does_not_know_gets_a_graph_list(self):
        world = crowd_world()
        (ranked,) = world.lists("u", scorer=FakeScorer({"e": -1.0, "f": -2.0}), model=MODEL)
        assert ids(ranked)[0] == "b"
        assert ranked.served_by is ServedBy.GRAPH
        assert ranked.degraded_reason is DegradedReason.COLD_USER
        assert ranked.model is None

    def test_a_failed_run_degrades_to_the_graphs_list(self):
        world = crowd_world()
        recommender = world.recommender()
        request = world.request("u")
        prepared = recommender.prepare([request], FakeScorer({"a": -1.0}))
        failed = DegradedReason.MODEL_FAILED
        (ranked,) = recommender.finish(prepared, None, degraded_reason=failed, model=MODEL)
        (graph,) = world.lists("u", degraded_reason=failed)
        assert ranked.items == graph.items
        assert ranked.degraded_reason is failed

    def test_graph_ids_are_what_the_graph_alone_would_have_served(self):
        world = crowd_world()
        scorer = FakeScorer({"a": -9.0, "c": -0.1, "z": -0.2}, top=3)
        (blended,) = world.lists("u", scorer=scorer)
        (graph,) = world.lists("u")
        assert blended.graph_ids == ids(graph) == graph.graph_ids
        assert blended.graph_ids != ids(blended)

    def test_scorers_that_take_turns_are_each_read_with_their_own_items(self):
        world = crowd_world()
        recommender = world.recommender(weights=GRAPH_ONLY)
        for log_probs in ({"a": -1.0, "x": -2.0}, {"y": -2.0, "a": -1.0}) * 2:
            scorer = FakeScorer(log_probs, top=2)
            prepared = recommender.prepare([world.request("u")], scorer)
            scores = scorer.run(prepared.batch)
            (ranked,) = recommender.finish(prepared, scores, degraded_reason=None, model=None)
            assert {"x", "y"}.intersection(ids(ranked)) == {"x", "y"}.intersection(log_probs)

    def test_a_replaced_scorer_is_not_kept_alive(self):
        world = crowd_world()
        recommender = world.recommender()
        scorer = FakeScorer({"a": -1.0})
        recommender.prepare([world.request("u")], scorer)
        replaced = weakref.ref(scorer)
        del scorer
        gc.collect()
        assert replaced() is None

    def test_items_that_become_known_between_the_steps_are_not_confused(self):
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


class TestState:
    def test_a_window_that_changes_after_prepare_changes_nothing(self):
        world = crowd_world()
        recommender = world.recommender(repeat_policy="exclude")
        (expected,) = world.lists("u", repeat_policy="exclude")
        prepared = recommender.prepare([world.request("u")], None)
        world.clicks("u", "b", "c")
        (ranked,) = recommender.finish(prepared, None, degraded_reason=None, model=None)
        assert ranked.items == expected.items
        assert ranked.window == WindowInfo(1, iso_utc(NOW_MS), iso_utc(NOW_MS))

    def test_a_batch_is_finished_with_the_configuration_it_was_prepared_with(self):
        world = crowd_world()
        recommender = world.recommender(list_size=3)
        prepared = recommender.prepare([world.request("u")], None)
        recommender.config = RecommenderConfig(list_size=1)
        (ranked,) = recommender.finish(prepared, None, degraded_reason=None, model=None)
        assert len(ranked.items) == 3

    def test_the_last_five_different_items_lead_into_the_graph_newest_first(self):
        world = World()
        for item in "abcdefg":
            world.crowd(item, f"after-{item}")
        world.clicks("u", *"abcdefg", *["g"] * 30)
        (ranked,) = world.lists("u", weights=GRAPH_ONLY, repeat_policy="exclude")
        assert ids(ranked)[:5] == ["after-g", "after-f", "after-e", "after-d", "after-c"]
        assert all("CO_CLICKED" not in reasons(ranked, item) for item in ids(ranked)[5:])

    def test_neutral_events_are_no_way_into_the_graph(self):
        world = crowd_world()
        world.click("v", "a", "impression")
        (ranked,) = world.lists("v")
        assert ranked.served_by is ServedBy.POPULAR
        assert ranked.window.events == 1

    @pytest.mark.parametrize("policy", ["allow", "discount", "exclude"])
    @pytest.mark.parametrize("encoder", [False, True])
    def test_a_list_is_the_same_alone_and_in_a_batch(self, policy, encoder):
        world = random_world(3)
        drawn = np.random.default_rng(5)
        log_probs = dict.fromkeys([f"i{n}" for n in range(25)], 0.0)
        log_probs.update({item: -float(drawn.random() * 8) for item in log_probs})
        scorer = FakeScorer(log_probs, top=8) if encoder else None
        config = {"repeat_policy": policy, "weights": BlendWeights(own=0.2), "max_candidates": 12}
        users = [*sorted(world.windows), "stranger"]
        together = world.lists(*users, scorer=scorer, **config)
        backwards = world.lists(*users[::-1], scorer=scorer, **config)[::-1]
        for user, in_batch, reversed_batch in zip(users, together, backwards, strict=True):
            (alone,) = world.lists(user, scorer=scorer, **config)
            for one in (in_batch, reversed_batch):
                assert one.items == alone.items
                assert one.served_by is alone.served_by
                assert one.graph_ids == alone.graph_ids
                assert one.popularity_ids == alone.popularity_ids

    def test_equal_scores_are_ordered_alike_on_workers_that_learned_items_in_another_order(self):
        names = [f"i{number}" for number in range(40)]
        lists = []
        for order in (names, names[::-1]):
            world = World()
            for item in order:
                world.crowd("a", item)
            world.clicks("u", "a")
            lists.append(ids(world.lists("u")[0]))
        assert lists[0] == lists[1]


class TestReasons:
    def test_every_listed_item_has_a_reason(self):
        world = random_world(4)
        for ranked in world.lists(*world.windows, weights=BlendWeights(own=0.3)):
            assert len(ranked.items) == 10
            assert all(item.reasons for item in ranked.items)

    def test_own_history_is_told_with_its_age(self):
        world = World()
        world.clicks("u", "a", "b", at_ms=NOW_MS - 10_000)
        (ranked,) = world.lists("u", weights=BlendWeights(own=0.5))
        reason = reasons(ranked, "a")["OWN_HISTORY"]
        assert reason.age_seconds == 11.0
        assert reason.weight == pytest.approx(0.9 / 1.9, abs=1e-4)
        assert ranked.served_by is ServedBy.GRAPH

    def test_a_burst_is_told_as_a_trend(self):
        world = World()
        world.crowd("burst", users=8)
        (ranked,) = world.lists("stranger")
        assert "TRENDING" in reasons(ranked, "burst")

    def test_a_recently_announced_item_is_told_as_new(self):
        world = crowd_world()
        world.item("b", timestamp_ms=NOW_MS - 60_000)
        world.item("c", timestamp_ms=NOW_MS - 60 * 86_400_000)
        (ranked,) = world.lists("u")
        assert reasons(ranked, "b")["NEW_ITEM"].age_seconds == 60.0
        assert "NEW_ITEM" not in reasons(ranked, "c")


class TestRules:
    def test_a_category_cap_thins_the_list(self):
        world = crowd_world()
        world.item("b", categories=["shoes"])
        world.item("c", categories=["shoes"])
        (ranked,) = world.lists("u", rules=RulesConfig(category_cap=1))
        assert ids(ranked) == ["b", "z", "a"]
        assert [item.rank for item in ranked.items] == [1, 2, 3]
        assert ranked.graph_ids == ["b", "c", "z", "a"]

    def test_exploration_gives_the_last_places_to_new_items(self):
        world = World()
        for number in range(20):
            world.crowd(f"i{number}", users=2)
        for number in range(6):
            world.item(f"new{number}", timestamp_ms=NOW_MS)
        world.clicks("u", "new0", "i1")
        config = {"rules": RulesConfig(exploration_share=0.2), "repeat_policy": "exclude"}
        (ranked,) = world.lists("u", **config)
        assert len(ranked.items) == 10
        explored = ids(ranked)[8:]
        assert len(set(explored)) == 2
        assert set(explored) <= {f"new{number}" for number in range(1, 6)}
        for item in explored:
            assert {"EXPLORATION", "NEW_ITEM"} <= set(reasons(ranked, item))
        assert ids(world.lists("u", **config)[0]) == ids(ranked)
        others = {tuple(ids(world.lists(f"user-{n}", **config)[0])[8:]) for n in range(20)}
        assert len(others) > 5

    def test_exploration_without_new_items_changes_nothing(self):
        world = crowd_world()
        (plain,) = world.lists("u")
        (explored,) = world.lists("u", rules=RulesConfig(exploration_share=0.5))
        assert ids(explored) == ids(plain)


@pytest.mark.parametrize(
    "fault",
    [
        {"list_size": 0},
        {"graph_window": 0},
        {"max_candidates": 0},
        {"window_decay": 0.0},
        {"own_decay": 1.5},
        {"repeat_policy": "never"},
        {"repeat_penalty": -1.0},
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(fault):
    with pytest.raises(ValueError, match=next(iter(fault))):
        RecommenderConfig(**fault)
