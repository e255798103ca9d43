"""Lists from the graph: order, size, how they degrade, and that nothing else moves them."""

import numpy as np
import pytest

from streams.blend import BlendWeights
from streams.events import DegradedReason, ModelInfo, ServedBy, WindowInfo, iso_utc
from streams.lists import RecommenderConfig
from tests.streams.list_world import (
    NOW_MS,
    FakeScorer,
    World,
    crowd_world,
    ids,
    random_world,
    reasons,
)


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


MODEL = ModelInfo("bert", "7")
GRAPH_ONLY = BlendWeights(popularity=0.0)


def test_a_window_that_changes_after_prepare_changes_nothing():
    world = crowd_world()
    recommender = world.recommender(repeat_policy="exclude")
    (expected,) = world.lists("u", repeat_policy="exclude")
    prepared = recommender.prepare([world.request("u")], None)
    world.clicks("u", "b", "c")
    (ranked,) = recommender.finish(prepared, None, degraded_reason=None, model=None)
    assert ranked.items == expected.items
    assert ranked.window == WindowInfo(1, iso_utc(NOW_MS), iso_utc(NOW_MS))


def test_a_batch_is_finished_with_the_configuration_it_was_prepared_with():
    world = crowd_world()
    recommender = world.recommender(list_size=3)
    prepared = recommender.prepare([world.request("u")], None)
    recommender.config = RecommenderConfig(list_size=1)
    (ranked,) = recommender.finish(prepared, None, degraded_reason=None, model=None)
    assert len(ranked.items) == 3


def test_the_last_five_different_items_lead_into_the_graph_newest_first():
    world = World()
    for item in "abcdefg":
        world.crowd(item, f"after-{item}")
    world.clicks("u", *"abcdefg", *["g"] * 30)
    (ranked,) = world.lists("u", weights=GRAPH_ONLY, repeat_policy="exclude")
    assert ids(ranked)[:5] == ["after-g", "after-f", "after-e", "after-d", "after-c"]
    assert all("CO_CLICKED" not in reasons(ranked, item) for item in ids(ranked)[5:])


def test_neutral_events_are_no_way_into_the_graph():
    world = crowd_world()
    world.click("v", "a", "impression")
    (ranked,) = world.lists("v")
    assert ranked.served_by is ServedBy.POPULAR
    assert ranked.window.events == 1


@pytest.mark.parametrize("policy", ["allow", "discount", "exclude"])
@pytest.mark.parametrize("encoder", [False, True])
def test_a_list_is_the_same_alone_and_in_a_batch(policy, encoder):
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


def test_equal_scores_are_ordered_alike_on_workers_that_learned_items_in_another_order():
    names = [f"i{number}" for number in range(40)]
    lists = []
    for order in (names, names[::-1]):
        world = World()
        for item in order:
            world.crowd("a", item)
        world.clicks("u", "a")
        lists.append(ids(world.lists("u")[0]))
    assert lists[0] == lists[1]


@pytest.mark.parametrize(
    "fault",
    [
        {"list_size": 0},
        {"max_candidates": 0},
        {"repeat_policy": "never"},
        {"repeat_penalty": -1.0},
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(fault):
    with pytest.raises(ValueError, match=next(iter(fault))):
        RecommenderConfig(**fault)
