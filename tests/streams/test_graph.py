"""The item graph's folds against the decay they stand for, and their bounds."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.event_types import EventType, EventTypes
from streams.graph import (
    GraphConfig,
    ItemState,
    decode_item_state,
    degree,
    encode_item,
    new_item_state,
)
from streams.instant import MAX_INSTANT_MS
from streams.popularity import Popularity, popularity_at
from streams.transitions import ToldClick
from tests.streams.item_folds import REPLAYED, fold_edge, fold_popularity, fold_told
from tests.streams.item_world import (
    CONFIG,
    DAY_MS,
    ROUNDED,
    T0,
    Transition,
    apply,
    state_of,
    transitions,
    value,
)


@given(transitions())
def test_an_edge_is_worth_the_sum_of_its_decayed_transitions(steps: list[Transition]) -> None:
    state = state_of(steps)
    at_ms = max([step.time_ms for step in steps], default=T0) + 3_600_000
    expected: dict[tuple[str, str], float] = {}
    counts: dict[tuple[str, str], int] = {}
    for step in steps:
        weight = CONFIG.event_types.weight(step.event_type) / step.distance
        if step.dst is None or not weight:
            continue
        half_life_ms = CONFIG.event_types.half_life_ms(step.event_type)
        key = (step.event_type, step.dst)
        decayed = weight * 2 ** ((step.time_ms - at_ms) / half_life_ms)
        expected[key] = expected.get(key, 0.0) + decayed
        counts[key] = counts.get(key, 0) + 1
    found = {
        (event_type, dst): value(state, event_type, dst, at_ms)
        for event_type, group in state.edges.items()
        for dst in group
    }
    assert found == pytest.approx(expected, rel=len(steps) * ROUNDED)
    assert counts == {
        (event_type, dst): edge.count
        for event_type, group in state.edges.items()
        for dst, edge in group.items()
    }


def test_a_distant_transition_weighs_less_and_half_a_half_life_ago_less_still() -> None:
    state = state_of(
        [
            Transition(0, 0, "near", "click", 1, T0),
            Transition(0, 1, "far", "click", 4, T0),
        ]
    )
    assert value(state, "click", "near", T0) == pytest.approx(1.0)
    assert value(state, "click", "far", T0) == pytest.approx(0.25)
    assert value(state, "click", "near", T0 + 7 * DAY_MS) == pytest.approx(0.5)


def test_each_event_type_has_its_own_edge_weight_and_half_life() -> None:
    state = state_of(
        [
            Transition(0, 0, "x", "view", 1, T0),
            Transition(0, 1, "x", "purchase", 1, T0),
        ]
    )
    later_ms = T0 + 30 * DAY_MS
    assert value(state, "view", "x", later_ms) == pytest.approx(0.5 * 2**-10)
    assert value(state, "purchase", "x", later_ms) == pytest.approx(2.5)
    assert degree(state) == 2


@given(transitions(), st.data())
def test_replaying_any_prefix_changes_no_byte(steps: list[Transition], data: st.DataObject) -> None:
    config = GraphConfig(max_neighbours=4)
    state = state_of(steps, config)
    stored = encode_item(state)
    for step in steps[: data.draw(st.integers(0, len(steps)))]:
        assert apply(state, step, config) == REPLAYED
    assert encode_item(state) == stored


@given(transitions(max_size=60), st.integers(1, 12))
def test_the_degree_never_exceeds_its_bound_and_every_eviction_is_counted(
    steps: list[Transition], max_neighbours: int
) -> None:
    config = GraphConfig(max_neighbours=max_neighbours)
    state = new_item_state()
    for step in steps:
        before = {(name, dst) for name, group in state.edges.items() for dst in group}
        evicted = apply(state, step, config)
        after = {(name, dst) for name, group in state.edges.items() for dst in group}
        assert degree(state) == len(after) <= max_neighbours
        assert all(len(group) for group in state.edges.values())
        added = {(step.event_type, step.dst)} if step.dst else set()
        if evicted:
            assert len(before | added) - len(after) == evicted
            assert len(after) == max(1, max_neighbours * 3 // 5)
        else:
            assert before <= after


def test_the_weakest_edges_go_first_whatever_their_type() -> None:
    config = GraphConfig(max_neighbours=5)
    state = state_of(
        [
            Transition(0, 0, "strong old", "purchase", 1, T0),
            Transition(0, 1, "weak old", "click", 1, T0),
            Transition(0, 2, "weaker old", "click", 2, T0),
            Transition(0, 3, "weak new", "view", 5, T0 + 40 * DAY_MS),
            Transition(0, 4, "fresh", "click", 1, T0 + 40 * DAY_MS),
            Transition(0, 5, "fresher", "click", 1, T0 + 41 * DAY_MS),
        ],
        config,
    )
    kept = {dst for group in state.edges.values() for dst in group}
    assert kept == {"strong old", "fresh", "fresher"}


def test_ties_are_broken_by_age_then_type_then_item() -> None:
    config = GraphConfig(max_neighbours=5)
    for order in ("abcdef", "fedcba", "bdface"):
        state = state_of(
            [Transition(0, n, dst, "click", 1, T0) for n, dst in enumerate(order)], config
        )
        assert set(state.edges["click"]) == {"d", "e", "f"}


@pytest.mark.parametrize("event_type", ["impression", "dislike", "no longer configured"])
def test_a_type_without_weight_only_advances_the_watermark(event_type: str) -> None:
    state = state_of(
        [Transition(0, 7, "x", event_type, 1, T0), Transition(2, 8, None, event_type, 1, T0)]
    )
    assert state == ItemState(Popularity(), {0: 7, 2: 8}, {})


def test_edges_and_popularity_share_a_watermark_per_source() -> None:
    state = state_of([Transition(0, 7, "x", "click", 1, T0)])
    assert not fold_popularity(state, 0, 7, "click", T0, CONFIG)
    assert fold_popularity(state, 1, 7, "click", T0, CONFIG)
    assert fold_edge(state, 1, 7, "y", "click", 1, T0, CONFIG) == REPLAYED
    assert state.popularity.count == 1
    assert popularity_at(state.popularity, T0) == pytest.approx(1.0)


def test_an_edge_remembers_the_newest_of_its_times() -> None:
    state = state_of(
        [Transition(0, 0, "x", "click", 1, T0), Transition(0, 1, "x", "click", 1, T0 - DAY_MS)]
    )
    assert state.edges["click"]["x"].last_ms == T0


@pytest.mark.parametrize("time_ms", [-MAX_INSTANT_MS, -1, 0, T0 + 999, MAX_INSTANT_MS])
def test_edges_know_their_times_to_the_second_however_far_apart(time_ms: int) -> None:
    state = state_of(
        [Transition(0, 0, "x", "click", 1, T0), Transition(0, 1, "y", "click", 1, time_ms)]
    )
    for read in (state, decode_item_state(encode_item(state))):
        edges = read.edges["click"]
        assert (edges["x"].last_ms, edges["y"].last_ms) == (T0, time_ms // 1000 * 1000)


def test_a_weight_that_is_too_large_for_what_comes_stays_what_it_is() -> None:
    state = state_of([Transition(0, 0, "x", "click", 1, T0)])
    state.edges["click"].weights[0] *= 2.0**25
    before = state.edges["click"].weights[0]
    assert apply(state, Transition(0, 1, "x", "click", 1, T0)) == 0
    assert state.edges["click"].weights[0] == before
    assert state.edges["click"]["x"].count == 2


def test_years_of_transitions_stay_finite() -> None:
    state = state_of([Transition(0, n, "x", "view", 1, T0 + n * DAY_MS) for n in range(3_650)])
    edge = state.edges["view"]["x"]
    assert edge.weight < 2.0**70
    assert value(state, "view", "x", T0 + 3_649 * DAY_MS) == pytest.approx(
        0.5 / (1 - 2 ** (-1 / 3)), rel=10 * ROUNDED
    )


def test_a_forgotten_edge_of_long_ago_is_the_first_to_go() -> None:
    config = GraphConfig(max_neighbours=2)
    state = state_of(
        [
            Transition(0, 0, "ancient", "view", 1, T0),
            Transition(0, 1, "x", "view", 1, T0 + 9_000 * DAY_MS),
        ],
        config,
    )
    assert state.edges["view"]["ancient"].weight == 0.0
    fold_edge(state, 0, 2, "y", "view", 5, T0 + 9_000 * DAY_MS, config)
    assert set(state.edges["view"]) == {"x"}


@pytest.mark.parametrize("factor", [0.01, 0.5, 2.0, 100.0])
def test_a_changed_half_life_takes_over_without_a_jump(factor: float) -> None:
    state = state_of([Transition(0, 0, "x", "click", 1, T0), Transition(0, 1, "y", "click", 2, T0)])
    half_life_seconds = 7 * 86_400 * factor
    changed = GraphConfig(event_types=EventTypes([EventType("click", 1.0, half_life_seconds, 1)]))
    fold_edge(state, 0, 2, "x", "click", 1, T0 + DAY_MS, changed)
    before = 2 ** (-1 / 7)
    assert value(state, "click", "x", T0 + DAY_MS) == pytest.approx(1 + before)
    assert value(state, "click", "y", T0 + DAY_MS) == pytest.approx(before / 2)
    halved_ms = T0 + DAY_MS + half_life_seconds * 1000
    assert value(state, "click", "x", halved_ms) == pytest.approx((1 + before) / 2)


def test_edge_values_are_finite_at_any_instant() -> None:
    state = state_of([Transition(0, 0, "x", "view", 1, T0)])
    assert all(math.isfinite(value(state, "view", "x", at_ms)) for at_ms in (0, T0, 10 * T0))


def test_under_a_lowered_bound_only_a_new_edge_makes_others_forgotten() -> None:
    state = state_of([Transition(0, n, f"i{n}", "click", 1, T0) for n in range(8)])
    lower = GraphConfig(max_neighbours=5)

    def follow(offset: int, *items: str) -> tuple[int, int, int]:
        told = [
            ToldClick(offset + n, T0, item, "click", owned=False, before=[("this", 1)])
            for n, item in enumerate(items)
        ]
        return fold_told(state, 0, told, lower)

    assert follow(10, "i0", "i7") == (2, 0, 0)
    assert degree(state) == 8
    assert follow(12, "another") == (1, 0, 6)
    assert degree(state) == 3
    assert follow(11, "i7", "again", "i8") == (1, 2, 0)
