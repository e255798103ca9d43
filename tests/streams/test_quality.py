import pytest

from streams.quality import NextClick


def shown(judge, user="u", items=("a", "b", "c"), graph=(), popular=(), served_by="graph"):
    judge.on_list(user, list(items), list(graph), list(popular), served_by)


def test_a_click_on_the_second_item_is_a_hit_at_five_and_ten_but_not_at_one():
    judge = NextClick()
    shown(judge)
    assert judge.on_click("u", "b").rank == 2
    assert judge.hits == {1: 0, 5: 1, 10: 1}
    assert judge.as_dict()["mrr_at_10"] == 0.5


def test_a_list_is_judged_by_the_first_click_only():
    judge = NextClick()
    shown(judge)
    assert judge.on_click("u", "z").rank == 0
    assert judge.on_click("u", "a") is None
    assert judge.trials == 1
    assert judge.hits[10] == 0


def test_a_newer_list_replaces_the_unjudged_one():
    judge = NextClick()
    shown(judge, items=["a"])
    shown(judge, items=["b"])
    assert judge.on_click("u", "a").rank == 0
    assert judge.trials == 1


def test_a_click_of_a_user_without_a_list_is_no_trial():
    judge = NextClick()
    assert judge.on_click("u", "a") is None
    assert judge.as_dict() == {
        "trials": 0,
        "hit_rate_at_10": 0.0,
        "mrr_at_10": 0.0,
        "popularity_hit_rate_at_10": 0.0,
        "graph_hit_rate_at_10": 0.0,
    }


def test_clicks_judged_together_are_judged_one_after_the_other():
    judge = NextClick()
    shown(judge, "u")
    shown(judge, "v")
    verdicts = judge.judged([("w", "a"), ("v", "b"), ("u", "z"), ("v", "a")])
    assert [verdict.rank for verdict in verdicts] == [2, 0]
    assert (judge.trials, len(judge)) == (2, 0)


def test_the_yardsticks_are_judged_on_the_same_click():
    judge = NextClick()
    shown(judge, "u", items=["a"], graph=["b"], popular=["c"])
    shown(judge, "v", items=["a"], graph=["b"], popular=["c"])
    assert judge.on_click("u", "b") == (0, "graph", True, False)
    assert judge.on_click("v", "c") == (0, "graph", False, True)
    assert judge.as_dict() == {
        "trials": 2,
        "hit_rate_at_10": 0.0,
        "mrr_at_10": 0.0,
        "popularity_hit_rate_at_10": 0.5,
        "graph_hit_rate_at_10": 0.5,
    }


def test_positions_beyond_ten_are_misses():
    judge = NextClick()
    items = [f"i{n}" for n in range(20)]
    shown(judge, items=items, graph=items, popular=items)
    assert judge.on_click("u", "i10") == (0, "graph", False, False)
    shown(judge, items=items)
    assert judge.on_click("u", "i9").rank == 10


def test_the_user_served_longest_ago_is_forgotten_first():
    judge = NextClick(max_users=2)
    shown(judge, "u")
    shown(judge, "v")
    shown(judge, "u")
    shown(judge, "w")
    assert len(judge) == 2
    assert judge.on_click("v", "a") is None
    assert judge.on_click("u", "a") is not None


def test_an_erased_user_is_not_judged():
    judge = NextClick()
    shown(judge)
    judge.forget("u")
    judge.forget("never seen")
    assert judge.on_click("u", "a") is None


def test_distinct_items_counts_each_recommended_item_once():
    judge = NextClick()
    shown(judge, "u", items=["a", "b"])
    shown(judge, "v", items=["b", "c"])
    assert judge.distinct_items() == 3


def test_a_judge_of_no_users_is_refused():
    with pytest.raises(ValueError, match="max_users must be at least 1"):
        NextClick(max_users=0)
