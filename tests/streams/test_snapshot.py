from io import BytesIO

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.event_types import EventType, EventTypes
from streams.popularity import popularity_at
from streams.snapshot import ego_snapshot, graph_snapshot, graphml
from streams.window import history
from tests.streams.list_world import NOW_MS, World

DAY_MS = 86_400_000

streams_of_clicks = st.lists(
    st.tuples(
        st.sampled_from("uvw"),
        st.sampled_from("abcde"),
        st.sampled_from(["click", "view", "purchase", "dislike", "impression"]),
        st.integers(-20 * DAY_MS, 0),
    ),
    max_size=40,
)


def folded(clicks):
    world = World()
    for user, item, event_type, age_ms in clicks:
        world.click(user, item, event_type, NOW_MS + age_ms)
    return world


def from_scratch(clicks, world, at_ms):
    """The graph by its definition: every pair of clicks up to five clicks apart, no state."""
    types = world.graph.event_types
    graph = nx.MultiDiGraph()
    for position, (user, item, event_type, age_ms) in enumerate(clicks):
        time_ms = NOW_MS + age_ms
        if types.weight(event_type) == 0.0:
            continue
        # A window holds thirty days before its newest record; ages here stay within that.
        before = [c for c in clicks[:position] if c[0] == user and types.is_positive(c[2])]
        nearest = {}
        for distance, (_, source, _, _) in enumerate(reversed(before[-5:]), 1):
            nearest.setdefault(source, distance)
        nearest.pop(item, None)
        for source, distance in nearest.items():
            value = types.weight(event_type) / distance
            value *= 2.0 ** ((time_ms - at_ms) / types.half_life_ms(event_type))
            if not graph.has_edge(source, item, key=event_type):
                graph.add_edge(source, item, key=event_type, weight=0.0, count=0, last_ms=time_ms)
            edge = graph.edges[source, item, event_type]
            edge["weight"] += value
            edge["count"] += 1
            edge["last_ms"] = max(edge["last_ms"], time_ms)
    return graph


@given(streams_of_clicks, st.integers(0, 20 * DAY_MS))
def test_a_snapshot_is_the_graph_computed_from_scratch(clicks, later_ms):
    world = folded(clicks)
    at_ms = NOW_MS + later_ms
    found = graph_snapshot(world.states.items(), at_ms, world.graph)
    expected = from_scratch(clicks, world, at_ms)
    assert set(found.edges(keys=True)) == set(expected.edges(keys=True))
    for edge in expected.edges(keys=True):
        # Rounded to 24 bits with each transition.
        rounded = expected.edges[edge]["count"] * 2.0**-24
        weight = pytest.approx(expected.edges[edge]["weight"], rel=max(rounded, 1e-9))
        assert found.edges[edge]["weight"] == weight
        assert found.edges[edge]["count"] == expected.edges[edge]["count"]
        assert found.edges[edge]["last_ms"] == expected.edges[edge]["last_ms"] // 1000 * 1000
    for item, state in world.states.items():
        assert found.nodes[item]["kind"] == "item"
        assert found.nodes[item]["popularity"] == popularity_at(state.popularity, at_ms)


def test_edges_of_types_that_no_longer_express_interest_are_left_out():
    world = World()
    world.clicks("u", "a", "b")
    neutral = EventTypes([EventType("click", 0.0, 60.0, 0)])
    config = type(world.graph)(event_types=neutral)
    assert graph_snapshot(world.states.items(), NOW_MS, config).number_of_edges() == 0


def seen(world, user):
    return history(world.windows[user], world.window)


def test_an_ego_graph_sums_a_users_events_by_item_and_type_and_decays_them():
    world = World()
    half_life_ms = int(world.graph.event_types.half_life_ms("click"))
    world.click("u", "a", at_ms=NOW_MS - half_life_ms)
    world.click("u", "a", at_ms=NOW_MS)
    world.click("u", "a", "like", at_ms=NOW_MS)
    graph = ego_snapshot("u", seen(world, "u"), world.states.get, NOW_MS, world.graph)
    clicks = graph.edges["user:u", "a", "click"]
    assert clicks == {"weight": pytest.approx(1.5), "count": 2, "last_ms": NOW_MS}
    assert graph.edges["user:u", "a", "like"]["weight"] == pytest.approx(2.0)
    assert graph.nodes["user:u"] == {"kind": "user"}


def test_an_ego_graph_shows_where_the_users_items_lead_and_nothing_else():
    world = World()
    world.crowd("a", "b", users=3)
    world.crowd("a", "c", users=2)
    world.crowd("a", "d")
    world.crowd("x", "y")
    world.clicks("u", "a", "new")
    graph = ego_snapshot("u", seen(world, "u"), world.states.get, NOW_MS, world.graph, neighbours=2)
    assert set(graph) == {"user:u", "a", "new", "b", "c"}
    assert set(graph.successors("a")) == {"b", "c"}
    whole = graph_snapshot(world.states.items(), NOW_MS, world.graph)
    assert graph.edges["a", "b", "click"] == whole.edges["a", "b", "click"]


def test_a_user_with_the_id_of_an_item_is_another_node():
    world = World()
    world.clicks("a", "a", "b")
    graph = ego_snapshot("a", seen(world, "a"), world.states.get, NOW_MS, world.graph)
    assert set(graph) == {"user:a", "a", "b"}


def test_graphml_is_read_back_with_all_weights():
    world = World()
    world.clicks("u", "a", "b", "ü & <c>")
    world.click("u", "a", "purchase")
    graph = graph_snapshot(world.states.items(), NOW_MS, world.graph)
    read = nx.read_graphml(BytesIO(graphml(graph)), force_multigraph=True)
    assert set(read) == set(graph)
    assert read.graph["at_ms"] == NOW_MS
    by_type = {(s, d, data["event_type"]): data for s, d, data in read.edges(data=True)}
    assert len(by_type) == read.number_of_edges() == graph.number_of_edges()
    for source, destination, event_type, data in graph.edges(keys=True, data=True):
        found = by_type[source, destination, event_type]
        assert found["weight"] == data["weight"]
        assert found["count"] == data["count"]
        assert found["last_ms"] == data["last_ms"]


def test_graphml_of_ids_that_xml_cannot_carry_keeps_the_items_apart():
    world = World()
    world.clicks("u", "a\x01", "a\x02", "a\ufffd")
    graph = graph_snapshot(world.states.items(), NOW_MS, world.graph)
    read = nx.read_graphml(BytesIO(graphml(graph)), force_multigraph=True)
    assert read.number_of_nodes() == 3
    assert read.number_of_edges() == graph.number_of_edges()


def test_an_empty_graph_is_an_empty_document():
    graph = graph_snapshot([], NOW_MS, World().graph)
    assert nx.read_graphml(BytesIO(graphml(graph))).number_of_nodes() == 0
