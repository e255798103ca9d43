"""Pictures of what a worker looked up: the graph around a user, and how a user evolved."""

from __future__ import annotations

import io
import math
from datetime import datetime
from typing import Any

import networkx as nx
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from streams.api import Ego, EvolutionAnswer, NodeLinkGraph

_DOTS_PER_INCH = 140
_MOST_NODES = 60
_MOST_LABELS = 8
_LABEL_LETTERS = 24
_USER, _SEEN, _NEIGHBOUR, _CHANCE = "#c44e52", "#4c72b0", "#b8c4d9", "#8c8c8c"
_COLOURS = (
    "#4c72b0", "#dd8452", "#55a868", "#c44e52", "#8172b3", "#937860", "#da8bc3", "#ccb974",
)  # fmt: skip


def ego_png(ego: Ego) -> bytes:
    """The user, around them the items of the window, and around those what followed them.

    The strongest edges are the boldest. Of more than sixty nodes the strongest are drawn, and the
    title says so.
    """
    graph = _strongest(ego.graph)
    figure = _figure(9.0, 8.0)
    axes = figure.subplots()
    shown: nx.DiGraph[str] = nx.DiGraph()
    for edge in graph.edges:
        shown.add_edge(edge.source, edge.target)
        shown.edges[edge.source, edge.target].setdefault("weight", 0.0)
        shown.edges[edge.source, edge.target]["weight"] += edge.weight
    shown.add_nodes_from(node.id for node in graph.nodes)
    seen = {event.item_id for event in ego.window}
    user = f"user:{ego.user_id}"
    places = _rings(shown, user, seen)
    weights = [shown.edges[edge]["weight"] for edge in shown.edges]
    most = max(weights, default=0.0) or 1.0
    nx.draw_networkx_edges(
        shown, places, ax=axes, edge_color="#9a9a9a", arrowsize=8, node_size=160,
        width=[0.4 + 2.6 * weight / most for weight in weights],
    )  # fmt: skip
    nx.draw_networkx_nodes(
        shown, places, ax=axes, node_size=160,
        node_color=[
            _USER if node == user else _SEEN if node in seen else _NEIGHBOUR for node in shown
        ],
    )  # fmt: skip
    for node in graph.nodes:
        x, y = places[node.id]
        axes.annotate(
            _short(node.title or node.id), (x, y), xytext=(0, 8), textcoords="offset points",
            ha="center", fontsize=7, parse_math=False,
        )  # fmt: skip
    axes.set_axis_off()
    left_out = len(ego.graph.nodes) - len(graph.nodes)
    more = f"; {left_out} of {len(ego.graph.nodes)} nodes left out" if left_out else ""
    _title(figure, f"{ego.user_id}: {len(seen)} items, and what followed them{more}")
    return _png(figure)


def evolution_png(evolution: EvolutionAnswer) -> bytes:
    """Events and shares of categories by session, drift beside chance, interest now and before."""
    figure = _figure(9.0, 10.0)
    events, shares, drift, interest = figure.subplots(4, 1)
    _draw_events(events, evolution)
    _draw_shares(shares, evolution)
    _draw_drift(drift, evolution)
    _draw_interest(interest, evolution)
    _title(
        figure,
        f"{evolution.user_id}: {evolution.events} events in {len(evolution.sessions)} sessions",
    )
    return _png(figure)


def _draw_events(axes: Axes, evolution: EvolutionAnswer) -> None:
    kinds = sorted({kind for session in evolution.sessions for kind in session.event_types})
    bottoms = [0] * len(evolution.sessions)
    for number, kind in enumerate(kinds):
        counts = [session.event_types.get(kind, 0) for session in evolution.sessions]
        colour = _COLOURS[number % len(_COLOURS)]
        axes.bar(range(len(counts)), counts, bottom=bottoms, color=colour, label=_short(kind))
        bottoms = [below + count for below, count in zip(bottoms, counts, strict=True)]
    axes.set_ylabel("events")
    _legend(axes, evolution)


def _draw_shares(axes: Axes, evolution: EvolutionAnswer) -> None:
    totals: dict[str, float] = {}
    for session in evolution.sessions:
        for row in session.categories:
            totals[row.category] = totals.get(row.category, 0.0) + row.share
    shown = sorted(totals, key=lambda name: (-totals[name], name))[:_MOST_LABELS]
    bottoms = [0.0] * len(evolution.sessions)
    for number, name in enumerate(shown):
        shares = [
            next((row.share for row in session.categories if row.category == name), 0.0)
            for session in evolution.sessions
        ]
        axes.bar(
            range(len(shares)), shares, bottom=bottoms, color=_COLOURS[number], label=_short(name)
        )
        bottoms = [below + share for below, share in zip(bottoms, shares, strict=True)]
    axes.set_ylabel("categories (share)")
    axes.set_ylim(0.0, 1.0)
    _legend(axes, evolution)


def _draw_drift(axes: Axes, evolution: EvolutionAnswer) -> None:
    at = [step.to_session for step in evolution.drift]
    # Where there is nothing to compare, the lines have a gap.
    measured = [_or_nan(step.distance) for step in evolution.drift]
    by_chance = [_or_nan(step.expected) for step in evolution.drift]
    axes.plot(at, measured, color=_SEEN, marker="o", label="measured")
    axes.plot(at, by_chance, color=_CHANCE, linestyle="--", marker=".", label="by chance")
    axes.set_ylabel(f"drift of {evolution.measured_on}")
    axes.set_ylim(0.0, 1.05)
    _legend(axes, evolution)


def _draw_interest(axes: Axes, evolution: EvolutionAnswer) -> None:
    rows = evolution.interest[:_MOST_LABELS][::-1]
    at = range(len(rows))
    axes.barh([y + 0.2 for y in at], [row.now for row in rows], 0.4, color=_SEEN, label="now")
    axes.barh(
        [y - 0.2 for y in at], [row.before for row in rows], 0.4, color=_CHANCE,
        label="before the last session",
    )  # fmt: skip
    axes.set_yticks(list(at), [_short(row.title or row.label) for row in rows], parse_math=False)
    axes.set_xlabel("share of interest")
    if rows:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7)


def _legend(axes: Axes, evolution: EvolutionAnswer) -> None:
    """Names of the series, and the sessions' starts below."""
    starts = [datetime.fromisoformat(session.start) for session in evolution.sessions]
    every = max(1, len(starts) // 10)
    axes.set_xticks(
        list(range(0, len(starts), every)),
        [f"{start:%d %b %H:%M}" for start in starts[::every]], fontsize=7,
    )  # fmt: skip
    axes.set_xlim(-0.6, max(1, len(starts)) - 0.4)
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        legend = axes.legend(
            handles, labels, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7
        )
        for text in legend.get_texts():
            text.set_parse_math(False)


def _rings(graph: nx.DiGraph[str], user: str, seen: set[str]) -> dict[str, Any]:
    """Places of the nodes: springs would pull a user's items, which are all linked, into one."""
    inner = [node for node in graph if node in seen]
    order = {node: number for number, node in enumerate(inner)}

    def towards(node: str) -> float:
        """Mean number of the items that a node follows, so that edges cross little."""
        before = [order[source] for source in graph.predecessors(node) if source in order]
        return sum(before) / len(before) if before else 0.0

    outer = sorted((node for node in graph if node not in seen and node != user), key=towards)
    rings = [[user], inner, outer]
    places: dict[str, Any] = nx.shell_layout(graph, nlist=[ring for ring in rings if ring])
    return places


def _strongest(graph: NodeLinkGraph) -> NodeLinkGraph:
    """The part that can be drawn: the user and the items with most weight on their edges."""
    if len(graph.nodes) <= _MOST_NODES:
        return graph
    weights = dict.fromkeys((node.id for node in graph.nodes), 0.0)
    for edge in graph.edges:
        weights[edge.source] += edge.weight
        weights[edge.target] += edge.weight
    ranked = sorted(graph.nodes, key=lambda n: (n.kind != "user", -weights[n.id], n.id))
    kept = ranked[:_MOST_NODES]
    names = {node.id for node in kept}
    edges = [edge for edge in graph.edges if edge.source in names and edge.target in names]
    return NodeLinkGraph(graph.directed, graph.multigraph, graph.graph, kept, edges)


def _figure(width_inches: float, height_inches: float) -> Figure:
    size = (width_inches, height_inches)
    return Figure(figsize=size, dpi=_DOTS_PER_INCH, layout="constrained")


def _title(figure: Figure, words: str) -> None:
    figure.suptitle(words, fontsize=11, parse_math=False)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _short(name: str) -> str:
    return name if len(name) <= _LABEL_LETTERS else name[: _LABEL_LETTERS - 1] + "…"


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
