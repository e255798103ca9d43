"""What a list may not hold, and what rules do to it: repeats, dislikes, unavailable items, caps."""

import pytest

from streams.rules import RulesConfig
from tests.streams.list_world import NOW_MS, FakeScorer, World, crowd_world, ids, reasons


def test_allowed_repeats_stay():
    assert "a" in ids(crowd_world().lists("u", repeat_policy="allow")[0])


def test_excluded_repeats_go_and_so_they_do_from_the_yardsticks():
    world = crowd_world()
    world.clicks("u", "z", "a")
    (ranked,) = world.lists("u", repeat_policy="exclude")
    assert ids(ranked) == ["b", "c"]
    assert ranked.graph_ids == ranked.popularity_ids == ["b", "c"]


def test_a_discount_moves_repeats_down_by_the_penalty():
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


def test_popular_items_fill_up_however_many_are_excluded():
    world = World()
    names = [f"i{number:03d}" for number in range(150)]
    for item in names:
        world.crowd(item, users=2 if item < "i100" else 1)
    world.clicks("u", *names[:100])
    (ranked,) = world.lists("u", repeat_policy="exclude")
    assert len(ranked.items) == 10
    assert set(ids(ranked)) <= set(names[100:])
    assert len(ranked.popularity_ids) == 10


def test_an_impression_is_no_repeat():
    world = crowd_world()
    world.click("u", "b", "impression")
    assert ids(world.lists("u", repeat_policy="exclude")[0])[0] == "b"


def test_a_disliked_item_is_never_listed():
    world = crowd_world()
    world.click("u", "b", "dislike")
    for policy in ("allow", "discount", "exclude"):
        (ranked,) = world.lists("u", repeat_policy=policy)
        assert "b" not in ids(ranked) + ranked.graph_ids + ranked.popularity_ids


def test_an_unavailable_or_withdrawn_item_is_never_listed():
    world = crowd_world()
    world.item("b", available=False)
    world.catalogue.withdraw("z")
    (ranked,) = world.lists("u")
    assert ids(ranked) == ranked.graph_ids == ["c", "a"]
    assert ranked.popularity_ids == ["a", "c"]


def test_many_unavailable_popular_items_do_not_empty_the_list():
    world = World()
    for number in range(300):
        world.crowd(f"i{number}", users=2 if number < 280 else 1)
    for number in range(280):
        world.catalogue.withdraw(f"i{number}")
    assert len(world.lists("stranger")[0].items) == 10


def test_hidden_items_of_a_request_are_not_listed():
    world = crowd_world()
    request = world.request("u", hidden_items=frozenset({"b", "unheard of"}))
    recommender = world.recommender()
    prepared = recommender.prepare([request], None)
    (ranked,) = recommender.finish(prepared, None, degraded_reason=None, model=None)
    assert ids(ranked)[0] == "c"


def test_filters_hold_for_what_the_encoder_brings():
    world = crowd_world()
    world.click("u", "hated", "dislike")
    world.item("gone", available=False)
    log_probs = {"hated": -0.1, "gone": -0.2, "a": -0.3, "kept": -0.4}
    scorer = FakeScorer(log_probs, top=4)
    (ranked,) = world.lists("u", scorer=scorer, repeat_policy="exclude")
    assert {"hated", "gone", "a"}.isdisjoint(ids(ranked))
    assert "kept" in ids(ranked)


def test_a_category_cap_thins_the_list():
    world = crowd_world()
    world.item("b", categories=["shoes"])
    world.item("c", categories=["shoes"])
    (ranked,) = world.lists("u", rules=RulesConfig(category_cap=1))
    assert ids(ranked) == ["b", "z", "a"]
    assert [item.rank for item in ranked.items] == [1, 2, 3]
    assert ranked.graph_ids == ["b", "c", "z", "a"]


def test_exploration_gives_the_last_places_to_new_items():
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


def test_exploration_without_new_items_changes_nothing():
    world = crowd_world()
    (plain,) = world.lists("u")
    (explored,) = world.lists("u", rules=RulesConfig(exploration_share=0.5))
    assert ids(explored) == ids(plain)
