"""Look-ups: what the HTTP server may read of a running worker.

The server's threads must not touch the event loop's state, so every look-up reads on the loop and
the thread waits for its result. What takes long is done by the thread, from a copy.
"""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import networkx as nx
import numpy as np

from streams.api import (
    EvolutionAnswer,
    LastPublished,
    PopularityFigures,
    Trending,
    TrendingItem,
)
from streams.codec import CodecError
from streams.evolution import evolution, timeline
from streams.evolution_answer import evolution_answer
from streams.graph import ItemState, decode_item_state
from streams.instant import iso_utc
from streams.list_answer import last_published
from streams.popularity import Popularity, popularity_at, trending_at
from streams.snapshot import ego_snapshot, graph_snapshot, graphml
from streams.window import HistoryView, Window, history

if TYPE_CHECKING:
    from streams.worker import Worker

Result = TypeVar("Result")

_WAIT_SECONDS = 8.0
_CHANCE_SEED = 7


class Lookups:
    """`StateReader` of a worker."""

    def __init__(self, worker: "Worker", loop: asyncio.AbstractEventLoop) -> None:
        self._worker = worker
        self._loop = loop
        self._reckoning = threading.Lock()
        """One evolution at a time: each takes the interpreter's lock from the event loop."""

    def item_json(self, item_id: str) -> Mapping[str, Any] | None:
        """Neighbours, popularity and catalogue entry of an item."""
        return self._on_loop(lambda: self._item(item_id))

    def ego_json(self, user_id: str) -> Mapping[str, Any] | None:
        """A user's window and the graph around it, as node-link data; made off the loop."""
        worker = self._worker
        user_id = worker.settings.known_as(user_id)
        copied = self._on_loop(lambda: self._copied_ego(user_id))
        if copied is None:
            return None
        seen, blobs = copied
        graph = ego_snapshot(
            user_id,
            seen,
            lambda item_id: _readable(blobs[item_id]),
            worker.batcher.now_ms(),
            worker.settings.graph_config(),
        )
        items = [node for node, of in graph.nodes(data=True) if of["kind"] == "item"]
        title = worker.catalogue.title
        titles = self._on_loop(lambda: {item_id: title(item_id) for item_id in items})
        nx.set_node_attributes(graph, titles, "title")
        return {
            "user_id": user_id,
            "window": [
                {"item_id": item, "title": titles[item], "event_type": kind,
                 "timestamp": iso_utc(time_ms)}
                for item, kind, time_ms in zip(
                    seen.items, seen.event_types, seen.times_ms, strict=True
                )
            ],
            "graph": nx.node_link_data(graph, edges="edges"),
        }  # fmt: skip

    def recommendations_json(self, user_id: str) -> LastPublished | None:
        """What was last published for a user."""
        return self._on_loop(lambda: self._last_list(user_id))

    def trending_json(self, limit: int) -> Trending:
        """The items that exceed their usual rate most."""
        return self._on_loop(lambda: self._trending(limit))

    def evolution_json(self, user_id: str, gap_seconds: int) -> EvolutionAnswer | None:
        """Sessions, drift and interest of a user; reckoned off the loop, from a copy of the window.

        Chance is drawn with one seed, so that the same window gives the same answer.
        """
        worker = self._worker
        user_id = worker.settings.known_as(user_id)
        copied = self._on_loop(lambda: self._copied_timeline(user_id))
        if copied is None:
            return None
        events, titles, categories = copied
        at_ms = worker.batcher.now_ms()
        with self._reckoning:
            found = evolution(
                events,
                lambda item_id: categories[item_id],
                worker.settings.event_type_registry(),
                gap_ms=gap_seconds * 1000,
                at_ms=at_ms,
                rng=np.random.default_rng(_CHANCE_SEED),
            )
        return evolution_answer(found, user_id, titles, at_ms=at_ms, gap_seconds=gap_seconds)

    def graphml(self) -> bytes:
        """The whole graph as GraphML, without items that cannot be read; decoded off the loop from
        a copy of its blobs.
        """
        worker = self._worker
        blobs = self._on_loop(lambda: list(worker.replica.blobs()))
        now_ms = worker.batcher.now_ms()
        states = ((item_id, _readable(blob)) for item_id, blob in blobs)
        items = [(item_id, state) for item_id, state in states if state is not None]
        return graphml(graph_snapshot(items, now_ms, worker.settings.graph_config()))

    def status(self) -> Mapping[str, Any]:
        """Partitions, model, counts."""
        return self._on_loop(self._status)

    def _on_loop(self, read: Callable[[], Result]) -> Result:
        future: concurrent.futures.Future[Result] = concurrent.futures.Future()

        def run() -> None:
            try:
                future.set_result(read())
            except Exception as error:  # noqa: BLE001  (raised again where it is awaited)
                future.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return future.result(_WAIT_SECONDS)

    def _item(self, item_id: str) -> Mapping[str, Any] | None:
        worker = self._worker
        state = worker.replica.state(item_id)
        known = worker.catalogue.get(item_id)
        if state is None and known is None:
            return None
        now_ms = worker.batcher.now_ms()
        edges: list[dict[str, Any]] = []
        if state is not None:
            graph = graph_snapshot([(item_id, state)], now_ms, worker.settings.graph_config())
            edges = [
                {
                    "item_id": destination,
                    "title": worker.catalogue.title(destination),
                    "event_type": event_type,
                    "weight": data["weight"],
                    "count": data["count"],
                    "last": iso_utc(data["last_ms"]),
                }
                for _, destination, event_type, data in graph.out_edges(
                    item_id, keys=True, data=True
                )
            ]
            edges.sort(key=lambda edge: (-edge["weight"], edge["item_id"]))
        return {
            "item_id": item_id,
            "title": worker.catalogue.title(item_id),
            "available": worker.catalogue.available(item_id),
            "categories": list(worker.catalogue.categories(item_id)),
            "popularity": _figures(None if state is None else state.popularity, now_ms),
            "neighbours": edges,
        }

    def _trending(self, limit: int) -> Trending:
        worker = self._worker
        replica, catalogue = worker.replica, worker.catalogue
        config = worker.settings.graph_config()
        snapshot = replica.popularity_to_look_at(worker.batcher.now_ms())
        items = []
        for number in snapshot.top_trending(limit):
            trend = round(float(snapshot.trends[number]), 4)
            if trend <= 1.0:
                break
            item_id = replica.item_id(int(number))
            items.append(
                TrendingItem(
                    item_id,
                    title=catalogue.title(item_id),
                    categories=list(catalogue.categories(item_id)),
                    available=catalogue.available(item_id),
                    trend=trend,
                    popularity=_figures(replica.counts(item_id), snapshot.at_ms),
                )
            )
        return Trending(
            iso_utc(snapshot.at_ms),
            config.popularity_half_life_seconds,
            config.trending_half_life_seconds,
            items,
        )

    def _copied_timeline(
        self, user_id: str
    ) -> tuple[HistoryView, dict[str, str], dict[str, Sequence[str]]] | None:
        """A user's events, and titles and categories of their items.

        Entries of the catalogue are replaced and never changed: their categories need no copy.
        """
        window = self._window(user_id)
        if window is None:
            return None
        catalogue = self._worker.catalogue
        events = timeline(window)
        items = set(events.items)
        return (
            events,
            {item: catalogue.title(item) for item in items},
            {item: catalogue.categories(item) for item in items},
        )

    def _window(self, user_id: str) -> Window | None:
        for partition in self._worker.owned.values():
            window = partition.windows.get(user_id)
            if window is not None:
                return window
        return None

    def _copied_ego(self, user_id: str) -> tuple[HistoryView, dict[str, bytes | None]] | None:
        """A user's positive events, and the packed states of their items."""
        worker = self._worker
        window = self._window(user_id)
        if window is None:
            return None
        seen = history(window, worker.settings.window_config())
        return seen, {item_id: worker.replica.blob(item_id) for item_id in seen.items}

    def _last_list(self, user_id: str) -> LastPublished | None:
        worker = self._worker
        user_id = worker.settings.known_as(user_id)
        for partition in worker.owned.values():
            last = partition.lists.get(user_id)
            if last is not None:
                # Both are put and deleted together; a recovered list has no message.
                message = partition.recent_lists.get(user_id)
                return last_published(user_id, last, message, worker.catalogue.title)
        return None

    def _status(self) -> Mapping[str, Any]:
        worker = self._worker
        scorer = worker.batcher.scorer
        return {
            "ready": not worker.health.reasons,
            "not_ready": worker.health.reasons,
            "group": worker.settings.group,
            "partitions": sorted(worker.owned),
            "partitions_total": worker.partitions,
            "model": None
            if scorer is None
            else {"name": scorer.name, "version": scorer.version, "engine": scorer.provider},
            "model_refusal": worker.model.refusal,
            "graph_items": len(worker.replica),
            "graph_edges": worker.replica.edges,
            "catalogue_items": len(worker.catalogue),
            "queue": len(worker.batcher),
            "next_click": worker.quality.as_dict(),
        }


def _readable(blob: bytes | None) -> ItemState | None:
    if blob is None:
        return None
    try:
        return decode_item_state(blob)
    except CodecError:
        return None


def _figures(popularity: Popularity | None, now_ms: int) -> PopularityFigures:
    if popularity is None:
        return PopularityFigures(0, 0.0, 0.0)
    return PopularityFigures(
        popularity.count,
        round(popularity_at(popularity, now_ms), 4),
        round(trending_at(popularity, now_ms), 4),
    )
