import numpy as np
import pytest

from streams.rules import RulesConfig, arrange, draw


def test_by_default_the_ranking_is_the_list():
    assert arrange([3.0, 2.0, 1.0], [["a"], ["a"], ["a"]], RulesConfig(), 2) == [0, 1]
    assert arrange([], [], RulesConfig(), 5) == []


def test_a_category_cap_skips_the_item_that_would_exceed_it():
    config = RulesConfig(category_cap=1)
    categories = [["shoes"], ["shoes"], ["hats"], []]
    assert arrange([4.0, 3.0, 2.0, 1.0], categories, config, 3) == [0, 2, 3]


def test_a_cap_counts_every_category_of_an_item():
    config = RulesConfig(category_cap=1)
    categories = [["shoes", "sale"], ["hats", "sale"], ["hats"]]
    assert arrange([3.0, 2.0, 1.0], categories, config, 3) == [0, 2]


def test_a_cap_may_leave_a_list_short():
    config = RulesConfig(category_cap=2)
    assert arrange([3.0, 2.0, 1.0], [["a"]] * 3, config, 3) == [0, 1]


def test_diversity_lifts_an_unlike_item_over_a_like_one():
    categories = [["shoes"], ["shoes"], ["hats"]]
    scores = [10.0, 9.0, 8.0]
    assert arrange(scores, categories, RulesConfig(diversity=0.5), 3) == [0, 2, 1]
    assert arrange(scores, categories, RulesConfig(diversity=0.01), 3) == [0, 1, 2]


def test_diversity_among_equal_scores_keeps_rank_order_where_nothing_is_alike():
    assert arrange([1.0, 1.0, 1.0], [["a"], ["b"], []], RulesConfig(diversity=0.9), 3) == [0, 1, 2]


def test_reordering_rules_ask_for_a_longer_ranking():
    assert RulesConfig().ranking_size(10) == 10
    assert RulesConfig(category_cap=1).ranking_size(10) == 50
    assert RulesConfig(diversity=0.1, pool_size=5).ranking_size(10) == 10


def test_exploration_takes_its_share_of_the_places():
    assert RulesConfig().exploration_places(10) == 0
    assert RulesConfig(exploration_share=0.2).exploration_places(10) == 2


@pytest.mark.parametrize(
    "fault",
    [
        {"category_cap": -1},
        {"diversity": 1.5},
        {"exploration_share": -0.1},
        {"exploration_share": float("nan")},
        {"pool_size": 0},
    ],
)
def test_a_rule_out_of_range_is_refused_by_name(fault):
    with pytest.raises(ValueError, match=next(iter(fault))):
        RulesConfig(**fault)


def test_a_draw_depends_on_the_seed_and_the_keys_only():
    keys = np.arange(100, 200, dtype=np.uint64) * np.uint64(2**50 + 7)
    first = draw(keys, 1, 5)
    assert first.tolist() == draw(keys, 1, 5).tolist()
    assert first.tolist() != draw(keys, 2, 5).tolist()
    reversed_keys = keys[::-1].copy()
    assert set(reversed_keys[draw(reversed_keys, 1, 5)]) == set(keys[first])


def test_draws_of_many_seeds_spread_over_all_keys():
    keys = np.random.default_rng(3).integers(0, 2**63, 20).astype(np.uint64)
    drawn = [int(draw(keys, seed * 7919, 1)[0]) for seed in range(2000)]
    assert min(np.bincount(drawn, minlength=20)) > 50


def test_fewer_keys_than_asked_for_are_all_drawn():
    assert sorted(draw(np.array([5, 9], dtype=np.uint64), 3, 10).tolist()) == [0, 1]
