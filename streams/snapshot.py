"""Snapshots: the temporal graph at an instant as a NetworkX graph, to look at and to export.

Weights are decayed to that instant, so a snapshot is what lists were made from then (for a graph
whose later events are not in it yet).
"""

import re
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import TYPE_CHECKING

import networkx as nx

from streams.graph import GraphConfig, ItemState, edge_value
from streams.popularity import popularity_at
from streams.window import HistoryView

if TYPE_CHECKING:
    Graph = nx.MultiDiGraph[str]

# What XML 1.0 cannot carry, escaped or not.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def graph_snapshot(
    items: Iterable[tuple[str, ItemState]], at_ms: int, config: GraphConfig
) -> "Graph":
    """All transitions between items, decayed to `at_ms`.

    Nodes are item ids with `kind` "item" and `popularity`, the decayed count (absent where only
    edges tell of the item). An edge's key is its event type; `weight` is decayed, `count` is the
    transitions it is made of, `last_ms` the newest of them. Edges of types that no longer express
    interest as configured now are left out.
    """
    graph: Graph = nx.MultiDiGraph(at_ms=at_ms)
    for item_id, state in items:
        graph.add_node(item_id, kind="item", popularity=popularity_at(state.popularity, at_ms))
        for event_type, destination, weight, last_ms, count in _edges(state, at_ms, config):
            graph.add_node(destination, kind="item")
            graph.add_edge(
                item_id, destination, key=event_type, weight=weight, count=count, last_ms=last_ms
            )
    return graph


def ego_snapshot(
    user_id: str,
    view: HistoryView,
    lookup: Callable[[str], ItemState | None],
    at_ms: int,
    config: GraphConfig,
    neighbours: int = 10,
) -> "Graph":
    """A user, the items of their window's positive events (`view`), and where the graph leads from
    those.

    The user's node is "user:" and the id, with `kind` "user". An edge from it to an item sums the
    window's events of one type: `weight` decayed by the type's half-life, `count`, `last_ms`.
    From every item of the window go its edges to the `neighbours` strongest destinations.
    """
    graph: Graph = nx.MultiDiGraph(at_ms=at_ms)
    user = f"user:{user_id}"
    graph.add_node(user, kind="user")
    types = config.event_types
    for item_id, event_type, time_ms in zip(
        view.items, view.event_types, view.times_ms, strict=True
    ):
        graph.add_node(item_id, kind="item")
        age = (at_ms - time_ms) / types.half_life_ms(event_type)
        weight = types.weight(event_type) * 2.0**-age
        if not graph.has_edge(user, item_id, key=event_type):
            graph.add_edge(user, item_id, key=event_type, weight=0.0, count=0, last_ms=time_ms)
        edge = graph.edges[user, item_id, event_type]
        edge["weight"] += weight
        edge["count"] += 1
        edge["last_ms"] = max(edge["last_ms"], time_ms)
    for item_id in dict.fromkeys(view.items):
        state = lookup(item_id)
        if state is not None:
            _add_strongest(graph, item_id, _edges(state, at_ms, config), neighbours)
    return graph


def graphml(graph: "Graph") -> bytes:
    """GraphML of a snapshot, UTF-8. The event type is an attribute of every edge as well.

    Characters that XML cannot carry are replaced in node names, which stay different.
    """
    names: dict[str, str] = {}
    taken = {node for node in graph if not _NOT_XML.search(node)}
    for node in graph:
        name = _NOT_XML.sub("\ufffd", node)
        while name != node and name in taken:
            name += "\ufffd"
        taken.add(name)
        names[node] = name
    plain: Graph = nx.MultiDiGraph(**graph.graph)
    for node, attributes in graph.nodes(data=True):
        plain.add_node(names[node], **attributes)
    for number, (source, destination, event_type, attributes) in enumerate(
        graph.edges(keys=True, data=True)
    ):
        # GraphML takes the key for the edge's identity, which must be unique in the document.
        plain.add_edge(
            names[source], names[destination], key=str(number), event_type=event_type, **attributes
        )
    buffer = BytesIO()
    nx.write_graphml_xml(plain, buffer)
    return buffer.getvalue()


_Edge = tuple[str, str, float, int, int]


def _edges(state: ItemState, at_ms: int, config: GraphConfig) -> list[_Edge]:
    """(event type, destination, weight at `at_ms`, last_ms, count) of an item's out-edges."""
    return [
        (
            event_type,
            destination,
            edge_value(edge.weight, group.base, group.half_life_ms, at_ms),
            edge.last_ms,
            edge.count,
        )
        for event_type, group in state.edges.items()
        if config.event_types.is_positive(event_type)
        for destination, edge in group.items()
    ]


def _add_strongest(graph: "Graph", item_id: str, edges: list[_Edge], neighbours: int) -> None:
    """Add an item's edges to the destinations that get most of its weight."""
    totals: dict[str, float] = {}
    for _, destination, weight, _, _ in edges:
        totals[destination] = totals.get(destination, 0.0) + weight
    strongest = set(sorted(totals, key=lambda name: (-totals[name], name))[:neighbours])
    for event_type, destination, weight, last_ms, count in edges:
        if destination in strongest:
            graph.add_node(destination, kind="item")
            graph.add_edge(
                item_id, destination, key=event_type, weight=weight, count=count, last_ms=last_ms
            )
