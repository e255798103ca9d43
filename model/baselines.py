"""Training-free scores that an encoder has to beat, and the priors that it is blended with.

They follow the live graph's rules (transitions from the last distinct items with weight
1/distance, forward decay, a bound on neighbours), on dense item indexes and in one process.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.data import Sequences

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

PRIOR_FLOOR = 1e-5  # a prior p counts as log(1 + p / PRIOR_FLOOR)
OWN_DECAY = 0.9  # weight of one's own item, per event since
_RESCALE_EXPONENT = 500.0


class PriorConfig(NamedTuple):
    """How the graph, own history and popularity are computed."""

    predecessors: int = 5  # distinct preceding items that a transition starts from
    window: int = 5  # distinct last items whose neighbours are scored
    window_decay: float = 0.7
    max_neighbours: int = 100
    graph_half_life_seconds: float = 7 * 86_400.0  # the live graph's default for clicks
    popularity_half_life_seconds: float = 7 * 86_400.0


class ForwardDecay:
    """Weights that halve every half-life, as numbers that only ever grow.

    A contribution at time t weighs 2^(t / half-life - base); ratios need no clock. `shift` is the
    power of two by which what is stored must be multiplied when the base moves.
    """

    def __init__(self, half_life_seconds: float) -> None:
        self._half_life_ms = half_life_seconds * 1000
        self._base: float | None = None

    def weight(self, time_ms: int) -> tuple[float, int]:
        """(weight of 1 at this time, exponent to rescale all stored weights by first)."""
        exponent = time_ms / self._half_life_ms
        shift = 0
        if self._base is None:
            self._base = float(np.floor(exponent))
        if exponent - self._base > _RESCALE_EXPONENT:
            base = float(np.floor(exponent))
            shift, self._base = int(self._base - base), base
        return 2.0 ** (exponent - self._base), shift


class TransitionGraph:
    """Item-to-item transitions, updated event by event."""

    def __init__(self, items: int, config: PriorConfig) -> None:
        self._items = items
        self._config = config
        self._decay = ForwardDecay(config.graph_half_life_seconds)
        self._edges: list[dict[int, float]] = [{} for _ in range(items)]
        self._arrays: dict[int, tuple[IntArray, NDArray[np.float64]]] = {}

    def add(self, item: int, recent: Sequence[int], time_ms: int) -> None:
        """A click on `item` after the distinct items `recent`, nearest first."""
        weight, shift = self._decay.weight(time_ms)
        if shift:
            for edges in self._edges:
                for destination in edges:
                    edges[destination] = float(np.ldexp(edges[destination], shift))
            self._arrays.clear()
        for distance, source in enumerate(recent[: self._config.predecessors], 1):
            if source == item:
                continue
            edges = self._edges[source]
            edges[item] = edges.get(item, 0.0) + weight / distance
            if len(edges) > self._config.max_neighbours:
                kept = sorted(edges, key=edges.__getitem__, reverse=True)
                limit = int(self._config.max_neighbours * 0.9)
                self._edges[source] = {other: edges[other] for other in kept[:limit]}
            self._arrays.pop(source, None)

    def scores(self, recent: Sequence[int]) -> FloatArray:
        """(items,) probabilities after the distinct items `recent`, nearest first; 0 if none."""
        scores = np.zeros(self._items, np.float64)
        factor = 1.0
        for source in recent[: self._config.window]:
            destinations, shares = self._neighbours(source)
            if len(destinations):
                scores[destinations] += factor * shares
            factor *= self._config.window_decay
        total = scores.sum()
        return (scores / total if total else scores).astype(np.float32)

    def _neighbours(self, source: int) -> tuple[IntArray, NDArray[np.float64]]:
        found = self._arrays.get(source)
        if found is None:
            edges = self._edges[source]
            weights = np.fromiter(edges.values(), np.float64, len(edges))
            total = weights.sum()
            found = (
                np.fromiter(edges, np.int64, len(edges)),
                weights / total if total else weights,
            )
            self._arrays[source] = found
        return found


class Popularity:
    """Decayed share of all events."""

    def __init__(self, items: int, config: PriorConfig) -> None:
        self._weights = np.zeros(items, np.float64)
        self._decay = ForwardDecay(config.popularity_half_life_seconds)

    def add(self, item: int, time_ms: int) -> None:
        """One event."""
        weight, shift = self._decay.weight(time_ms)
        if shift:
            self._weights = np.ldexp(self._weights, shift)
        self._weights[item] += weight

    def scores(self) -> FloatArray:
        """(items,) shares; all 0 before the first event."""
        total = self._weights.sum()
        return (self._weights / total if total else self._weights).astype(np.float32)


def own_history_scores(history: IntArray, items: int) -> FloatArray:
    """(items,) recency-weighted share of a user's own events, oldest first in `history`."""
    scores = np.zeros(items, np.float64)
    weights = OWN_DECAY ** np.arange(len(history) - 1, -1, -1.0)
    np.add.at(scores, history, weights)
    total = scores.sum()
    return (scores / total if total else scores).astype(np.float32)


def last_distinct(history: IntArray, count: int) -> list[int]:
    """The last `count` distinct items, nearest first."""
    recent: list[int] = []
    for item in history[::-1].tolist():
        if item not in recent:
            recent.append(item)
            if len(recent) == count:
                break
    return recent


class PriorChunk(NamedTuple):
    """Priors of some examples, each (n, items)."""

    examples: IntArray  # event indexes
    graph: FloatArray
    own: FloatArray
    popularity: FloatArray
    seen: NDArray[np.bool_]

    def logs(self) -> dict[str, FloatArray]:
        """Each prior as it enters the blend: log(1 + p / PRIOR_FLOOR)."""
        priors = {"graph": self.graph, "own": self.own, "popularity": self.popularity}
        return {name: np.log1p(prior / PRIOR_FLOOR) for name, prior in priors.items()}


def prior_chunks(
    data: Sequences,
    examples: IntArray,
    fold: NDArray[np.bool_],
    config: PriorConfig,
    *,
    online: bool,
    chunk: int = 256,
) -> Iterator[PriorChunk]:
    """Priors of each example event from the user's earlier events and the folded events.

    fold: [N] events that enter the graph and popularity. online: examples see the events before
    them in the log's order (test, then learn); otherwise all the folded ones at once.
    """
    items = len(data.items)
    graph, popularity = TransitionGraph(items, config), Popularity(items, config)
    wanted = np.zeros(data.events, np.bool_)
    wanted[examples] = True
    step = max(config.predecessors, config.window)

    def history(event: int) -> IntArray:
        return data.item[data.starts[data.user[event]] : event]

    def recent_of(event: int) -> list[int]:
        # Repeats are few in 4 windows; the whole history only where they are many.
        start = int(data.starts[data.user[event]])
        near = data.item[max(start, event - 4 * step) : event]
        recent = last_distinct(near, step)
        return recent if len(recent) == step else last_distinct(data.item[start:event], step)

    order = np.argsort(data.rank, kind="stable").tolist()
    if not online:
        for event in order:
            if fold[event]:
                graph.add(int(data.item[event]), recent_of(event), int(data.time_ms[event]))
                popularity.add(int(data.item[event]), int(data.time_ms[event]))
        order = examples.tolist()
    pending: list[tuple[int, FloatArray, FloatArray, FloatArray, NDArray[np.bool_]]] = []
    for event in order:
        if wanted[event]:
            past = history(event)
            seen = np.zeros(items, np.bool_)
            seen[past] = True
            scores = graph.scores(recent_of(event))
            own = own_history_scores(past, items)
            pending.append((event, scores, own, popularity.scores(), seen))
            if len(pending) == chunk:
                yield _stack(pending)
                pending = []
        if online and fold[event]:
            graph.add(int(data.item[event]), recent_of(event), int(data.time_ms[event]))
            popularity.add(int(data.item[event]), int(data.time_ms[event]))
    if pending:
        yield _stack(pending)


def _stack(
    rows: list[tuple[int, FloatArray, FloatArray, FloatArray, NDArray[np.bool_]]],
) -> PriorChunk:
    examples, graph, own, popularity, seen = zip(*rows, strict=True)
    return PriorChunk(
        np.array(examples, np.int64),
        np.stack(graph),
        np.stack(own),
        np.stack(popularity),
        np.stack(seen),
    )
