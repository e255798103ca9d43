"""Training-free scores that an encoder has to beat, and the priors that it is blended with.

They follow the live graph's rules (transitions from the last items with weight 1/distance,
forward decay, a bound on neighbours, a window), on dense item indexes and in one process. With
`LIVE_PRIORS` they are what a worker computes; `model.blend` says what each share means.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.data import Sequences

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

OWN_DECAY = 0.9  # weight of one's own item, per event since
_RESCALE_EXPONENT = 500.0


class PriorConfig(NamedTuple):
    """How the graph, own history and popularity are computed."""

    predecessors: int = 5  # preceding items that a transition starts from
    window: int = 5  # distinct last items whose neighbours are scored
    window_decay: float = 0.7
    max_neighbours: int = 100
    graph_half_life_seconds: float = 7 * 86_400.0  # the live graph's default for clicks
    popularity_half_life_seconds: float = 7 * 86_400.0
    trending_half_life_seconds: float = 6 * 3_600.0
    own_decay: float = OWN_DECAY
    window_events: int | None = None  # newest events of a user that count; None: all
    window_seconds: int | None = None  # and no older than this before the newest; None: all
    # True: the last `predecessors` events, distance in events, as a worker counts; an item that
    # stands nearer already adds nothing. False: the last distinct items, distance in items.
    by_arrival: bool = False

    @classmethod
    def of_training(cls, training: Mapping[str, object]) -> "PriorConfig":
        """The priors that an artefact's blend weights were fitted with, of `Manifest.training`."""
        stated = training.get("priors")
        known = stated if isinstance(stated, dict) else {}
        return cls(**{field: value for field, value in known.items() if field in cls._fields})

    def first_event(self, data: Sequences, event: int, *, at: int | None = None) -> int:
        """Where the window before an event begins, as of the event `at`, else of the one before."""
        start = int(data.starts[data.user[event]])
        if self.window_events is not None:
            start = max(start, event - self.window_events)
        if self.window_seconds is not None and event > start:
            newest_ms = int(data.time_ms[event - 1 if at is None else at])
            oldest_ms = newest_ms - self.window_seconds * 1000
            start += int(np.searchsorted(data.time_ms[start:event], oldest_ms))
        return start


LIVE_PRIORS = PriorConfig(window_events=200, window_seconds=30 * 86_400, by_arrival=True)


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
        self._last_ms: list[dict[int, int]] = [{} for _ in range(items)]
        self._arrays: dict[int, tuple[IntArray, NDArray[np.float64]]] = {}

    def add(self, item: int, recent: Sequence[int | None], time_ms: int) -> None:
        """A click on `item` after the different items `recent`, nearest first; None counts only as
        a step of distance.
        """
        weight, shift = self._decay.weight(time_ms)
        if shift:
            for edges in self._edges:
                for destination in edges:
                    edges[destination] = float(np.ldexp(edges[destination], shift))
            self._arrays.clear()
        for distance, source in enumerate(recent[: self._config.predecessors], 1):
            if source is None or source == item:
                continue
            edges, last_ms = self._edges[source], self._last_ms[source]
            edges[item] = edges.get(item, 0.0) + weight / distance
            last_ms[item] = max(time_ms, last_ms.get(item, time_ms))
            if len(edges) > self._config.max_neighbours:
                self._evict(source)
            self._arrays.pop(source, None)

    def _evict(self, source: int) -> None:
        """Forget the weakest, down to three fifths of the bound, as the live graph does."""
        edges, last_ms = self._edges[source], self._last_ms[source]
        limit = max(1, self._config.max_neighbours * 3 // 5)
        kept = sorted(edges, key=lambda other: (edges[other], last_ms[other]), reverse=True)
        self._edges[source] = {other: edges[other] for other in kept[:limit]}
        self._last_ms[source] = {other: last_ms[other] for other in kept[:limit]}

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

    def __init__(self, items: int, half_life_seconds: float) -> None:
        self._weights = np.zeros(items, np.float64)
        self._decay = ForwardDecay(half_life_seconds)

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


def own_history_scores(history: IntArray, items: int, decay: float = OWN_DECAY) -> FloatArray:
    """(items,) recency-weighted share of a user's own events, oldest first in `history`."""
    return _share(history, decay ** np.arange(len(history) - 1, -1, -1.0), items)


def own_next_scores(history: IntArray, items: int, decay: float = OWN_DECAY) -> FloatArray:
    """(items,) recency-weighted share of what came after earlier events on the last item."""
    weights = decay ** np.arange(len(history) - 1, -1, -1.0)
    after = np.flatnonzero(history[:-1] == history[-1:]) + 1 if len(history) else history
    return _share(history[after], weights[after], items)


def own_recency_scores(history: IntArray, items: int) -> FloatArray:
    """(items,) 1 / place among the user's distinct items, the newest first; 0 elsewhere."""
    distinct, age = np.unique(history[::-1], return_index=True)
    scores = np.zeros(items, np.float32)
    scores[distinct[np.argsort(age)]] = 1.0 / np.arange(1, len(distinct) + 1)
    return scores


def _share(events: IntArray, weights: NDArray[np.float64], items: int) -> FloatArray:
    scores = np.bincount(events, weights, items)
    total = scores.sum()
    return (scores / total if total else scores).astype(np.float32)


def last_events(history: IntArray, item: int, count: int) -> list[int | None]:
    """The last `count` events before one on `item`, nearest first; None for what stands nearer."""
    recent: list[int | None] = []
    for other in history[: -count - 1 : -1].tolist():
        recent.append(None if other == item or other in recent else other)
    return recent


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
    """Priors of some examples, each (n, items); `model.blend` says what each is."""

    examples: IntArray  # event indexes
    graph: FloatArray
    own: FloatArray
    popularity: FloatArray
    seen: NDArray[np.bool_]  # ever by the user, in the window or not
    graph_last: FloatArray
    own_frequency: FloatArray
    own_recency: FloatArray
    own_next: FloatArray
    trending: FloatArray
    last: NDArray[np.bool_]

    def term(self, name: str) -> FloatArray:
        """A prior by the name of its weight; `seen` is of the window."""
        if name == "seen":
            return (self.own_frequency > 0).astype(np.float32)
        found: FloatArray = getattr(self, name).astype(np.float32)
        return found


class _State:
    """Graph and popularity as events come."""

    def __init__(self, data: Sequences, config: PriorConfig) -> None:
        items = len(data.items)
        self._data, self._config, self._items = data, config, items
        self._graph = TransitionGraph(items, config)
        self._popularity = Popularity(items, config.popularity_half_life_seconds)
        self._trending = Popularity(items, config.trending_half_life_seconds)
        self._step = max(config.predecessors, config.window)

    def learn(self, event: int) -> None:
        """One event joins graph and popularity."""
        data, config = self._data, self._config
        item, time_ms = int(data.item[event]), int(data.time_ms[event])
        if config.by_arrival:
            near = data.item[config.first_event(data, event, at=event) : event]
            recent = last_events(near, item, config.predecessors)
        else:
            recent = list(self._recent(event))
        self._graph.add(item, recent, time_ms)
        self._popularity.add(item, time_ms)
        self._trending.add(item, time_ms)

    def priors(self, event: int) -> tuple[Any, ...]:
        """What `PriorChunk` holds of one event, in its order."""
        data, config, items = self._data, self._config, self._items
        past = data.item[data.starts[data.user[event]] : event]
        window = data.item[config.first_event(data, event) : event]
        seen = np.zeros(items, np.bool_)
        seen[past] = True
        last = np.zeros(items, np.bool_)
        last[window[-1:]] = True
        recent = self._recent(event)
        return (
            event,
            self._graph.scores(recent),
            own_history_scores(window, items, config.own_decay),
            self._popularity.scores(),
            seen,
            self._graph.scores(recent[:1]),
            own_history_scores(window, items, 1.0),
            own_recency_scores(window, items),
            own_next_scores(window, items, config.own_decay),
            self._trending.scores(),
            last,
        )

    def _recent(self, event: int) -> list[int]:
        """Last distinct items of the window, nearest first."""
        data, step = self._data, self._step
        start = self._config.first_event(data, event)
        # Repeats are few in 4 windows; the whole history only where they are many.
        near = data.item[max(start, event - 4 * step) : event]
        recent = last_distinct(near, step)
        return recent if len(recent) == step else last_distinct(data.item[start:event], step)


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
    state = _State(data, config)
    wanted = np.zeros(data.events, np.bool_)
    wanted[examples] = True
    order = np.argsort(data.rank, kind="stable")
    if online:  # nothing that comes after the last example matters
        order = order[: int(data.rank[examples].max(initial=-1)) + 1]
    else:
        for event in order.tolist():
            if fold[event]:
                state.learn(event)
        order = examples
    pending: list[tuple[Any, ...]] = []
    for event in order.tolist():
        if wanted[event]:
            pending.append(state.priors(event))
            if len(pending) == chunk:
                yield _stack(pending)
                pending = []
        if online and fold[event]:
            state.learn(event)
    if pending:
        yield _stack(pending)


def _stack(rows: list[tuple[Any, ...]]) -> PriorChunk:
    examples, *priors = zip(*rows, strict=True)
    return PriorChunk(np.array(examples, np.int64), *(np.stack(column) for column in priors))
