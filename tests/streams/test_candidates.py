import random

import numpy as np
import pytest

from streams.candidates import (
    UserEvidence,
    find_sorted,
    gather,
    make_keys,
)
from streams.event_types import EventType, EventTypes
from streams.explain import strongest_paths
from streams.graph import edge_value
from streams.kernels import group_keys
from streams.kernels.pure_candidates import group_keys as pure_group_keys
from tests.streams.list_world import NOW_MS, World, random_world

DECAY = 0.7


def evidence(*sources, own=(), fill=(), now_ms=NOW_MS):
    return UserEvidence(now_ms, list(sources), list(own), list(fill))


def gathered(world, *users, own_decay=0.9):
    return gather(world.replica, users, window_decay=DECAY, own_decay=own_decay)


def shares(world, candidates, user, column="graph"):
    """Shares of one user's candidates by item id."""
    values = getattr(candidates, column)
    rows = range(candidates.start[user], candidates.start[user + 1])
    return {world.replica.item_id(candidates.items[row]): values[row] for row in rows}


def expected_shares(world, user):
    """The definition, one edge at a time."""
    found = {}
    whole = 0.0
    for position, source in enumerate(user.sources):
        state = world.states.get(source)
        values = {}
        for group in state.edges.values() if state else ():
            for destination, edge in group.items():
                value = edge_value(edge.weight, group.base, group.half_life_ms, user.now_ms)
                values[destination] = values.get(destination, 0.0) + value
        if not values:
            continue
        whole += DECAY**position
        for destination, value in values.items():
            share = value / sum(values.values())
            found[destination] = found.get(destination, 0.0) + DECAY**position * share
    return {destination: share / whole for destination, share in found.items()}


@pytest.mark.parametrize("seed", range(5))
def test_graph_shares_are_the_definition_of_decayed_transitions(seed):
    world = random_world(seed)
    drawn = random.Random(seed)
    users = [
        evidence(
            *drawn.sample([f"i{n}" for n in range(33)], drawn.randrange(6)),
            now_ms=NOW_MS + drawn.randrange(10**9),
        )
        for _ in range(20)
    ]
    candidates = gathered(world, *users)
    for number, user in enumerate(users):
        found = shares(world, candidates, number)
        assert found == pytest.approx(expected_shares(world, user))
        assert sum(found.values()) == pytest.approx(1.0 if found else 0.0)


def test_a_users_candidates_are_bit_for_bit_the_same_alone_and_in_a_batch():
    world = random_world(1)
    users = [evidence(f"i{n}", f"i{n + 1}", own=[f"i{n}", "i3"], fill=[1, 2]) for n in range(25)]
    together = gathered(world, *users)
    for number, user in enumerate(users):
        alone = gathered(world, user)
        assert shares(world, alone, 0) == shares(world, together, number)
        assert shares(world, alone, 0, "own") == shares(world, together, number, "own")


def test_of_two_event_types_the_one_with_the_shorter_half_life_fades():
    types = EventTypes([EventType("view", 1.0, 60.0, 1), EventType("buy", 1.0, 3_600.0, 1)])
    world = World(event_types=types)
    world.click("u", "a", "view")
    world.click("u", "viewed", "view")
    world.click("v", "a", "view")
    world.click("v", "bought", "buy")
    now = shares(world, gathered(world, evidence("a")), 0)
    assert now == pytest.approx({"viewed": 0.5, "bought": 0.5})
    later = evidence("a", now_ms=NOW_MS + 120_000)
    faded = shares(world, gathered(world, later), 0)
    assert faded["viewed"] == pytest.approx(0.25 / (0.25 + 2 ** (-1 / 30)))


def test_edges_however_old_still_share_out_to_one():
    types = EventTypes([EventType("click", 1.0, 1.0, 1), EventType("view", 1.0, 2.0, 1)])
    world = World(event_types=types)
    world.click("u", "a", "click")
    world.click("u", "b", "click")
    world.click("u", "c", "view")
    for now_ms in (NOW_MS, NOW_MS + 10**8, NOW_MS - 10**8):
        found = shares(world, gathered(world, evidence("a", now_ms=now_ms)), 0)
        assert sum(found.values()) == pytest.approx(1.0)
        assert all(np.isfinite(share) for share in found.values())


def test_own_history_counts_recent_events_more_and_repeats_again():
    world = World()
    world.clicks("u", "a", "b")
    candidates = gathered(world, evidence(own=["b", "a", "b"]), evidence(own=["a"]), own_decay=0.5)
    assert shares(world, candidates, 0, "own") == pytest.approx({"b": 1.25 / 1.75, "a": 0.5 / 1.75})
    assert shares(world, candidates, 1, "own") == {"a": 1.0}


def test_own_shares_are_absent_where_nobody_asked_for_them():
    world = World()
    world.clicks("u", "a", "b")
    assert gathered(world, evidence("a")).own is None


def test_fill_items_are_candidates_without_any_share():
    world = World()
    world.clicks("u", "a", "b", "c")
    fill = [world.replica.index(item) for item in ("b", "z")]
    assert shares(world, gathered(world, evidence("b", fill=fill)), 0) == {"c": 1.0, "b": 0, "z": 0}


def test_candidates_are_found_by_user_and_item():
    world = World()
    world.clicks("u", "a", "b", "c")
    candidates = gathered(world, evidence("a"), evidence("b"))
    b, c = world.replica.index("b"), world.replica.index("c")
    keys = make_keys(np.array([0, 1, 1, 7]), np.array([b, b, c, b]))
    positions = candidates.find(keys)
    assert (positions >= 0).tolist() == [True, False, True, False]
    assert candidates.items[positions[[0, 2]]].tolist() == [b, c]
    assert find_sorted(np.empty(0, dtype=np.int64), keys).tolist() == [-1] * 4


def test_nobody_and_users_who_lead_nowhere_have_no_candidates():
    world = World()
    assert gathered(world).start.tolist() == [0]
    candidates = gathered(world, evidence(), evidence("unknown"))
    assert candidates.start.tolist() == [0, 0, 0]
    paths = strongest_paths(candidates, np.array([-1, -1]))
    assert paths.source.tolist() == [-1, -1]


def test_too_many_users_to_pack_are_sorted_the_slower_way_with_the_same_result():
    keys = np.random.default_rng(3).integers(0, 50, 500) << 32
    packed, *_ = group_keys(keys.copy(), 50, [])
    indirect, *_ = pure_group_keys(keys.copy(), 1 << 23, [])
    for found in (packed, indirect):
        assert found.entries.tolist() == np.argsort(keys, kind="stable").tolist()
        assert found.keys.tolist() == sorted(set(keys.tolist()))


def test_the_strongest_path_is_the_source_that_contributed_most():
    world = World()
    # Of what followed a, half was x; all that followed b was x, but b is one click further back.
    world.clicks("1", "a", "x")
    world.clicks("2", "a", "y")
    world.click("3", "b", at_ms=NOW_MS - 60_000)
    world.click("3", "x", at_ms=NOW_MS - 60_000)
    candidates = gathered(world, evidence("a", "b", fill=[world.replica.index("z")]))
    wanted = [world.replica.index(item) for item in ("x", "y", "z")]
    positions = candidates.find(make_keys(np.zeros(3, dtype=np.int64), np.array(wanted)))
    paths = strongest_paths(candidates, np.append(positions, -1))
    assert paths.source.tolist() == [1, 0, -1, -1]
    assert paths.share.tolist() == [1.0, 0.5, 0.0, 0.0]
    assert paths.last_ms.tolist() == [NOW_MS - 60_000, NOW_MS, 0, 0]


def test_event_types_of_one_pair_count_together_in_a_path():
    world = World()
    world.click("1", "a", at_ms=NOW_MS - 5_000)
    world.click("1", "x", "click", at_ms=NOW_MS - 5_000)
    world.click("1", "x", "purchase", at_ms=NOW_MS)
    candidates = gathered(world, evidence("a"))
    position = candidates.find(np.array([world.replica.index("x")]))
    paths = strongest_paths(candidates, position)
    assert paths.share.tolist() == [1.0]
    assert paths.last_ms.tolist() == [NOW_MS]
