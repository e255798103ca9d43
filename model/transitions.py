"""The item transition graph of a whole log at once: without a bound on neighbours, in arrays.

The same graph as `model.baselines.TransitionGraph` with room for every neighbour, for when nothing
is learned between two predictions. It is a yardstick: what transitions can do where memory and
updates cost nothing.
"""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from model.baselines import PriorConfig
from model.data import Sequences

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

NONE = -1
EVENTS_AT_ONCE = 500_000  # while edges are gathered: about 0.2 GB with ten predecessors


class Predecessors:
    """The last distinct items before any event of a log; made once, asked often."""

    def __init__(self, log: Sequences) -> None:
        self.log = log
        # Index of the same user's next event on the same item, N where there is none.
        code = log.user * len(log.items) + log.item
        order = np.argsort(code, kind="stable")
        same = code[order[1:]] == code[order[:-1]]
        self._following = np.full(log.events, log.events, np.int64)
        self._following[order[:-1][same]] = order[1:][same]

    def of(self, events: IntArray, count: int) -> IntArray:
        """(n, count) items of the same user before each event, nearest first; then NONE."""
        log = self.log
        found = np.full((len(events), count), NONE, np.int64)
        filled = np.zeros(len(events), np.int64)
        starts = log.starts[log.user[events]]
        active = np.flatnonzero(events > starts)
        back = 1
        while len(active):
            at = events[active] - back
            # Nearer to the event the item does not occur again: this is where it stands.
            new = self._following[at] >= events[active]
            rows = active[new]
            found[rows, filled[rows]] = log.item[at[new]]
            filled[rows] += 1
            back += 1
            active = active[(filled[active] < count) & (events[active] - back >= starts[active])]
        return found


class TransitionMatrix(NamedTuple):
    """Shares of what followed each item: of item i, columns[starts[i]:starts[i + 1]]."""

    starts: IntArray  # [items + 1]
    columns: IntArray  # [edges]
    shares: NDArray[np.float64]  # [edges], summing to 1 over each item's
    predecessors: Predecessors
    config: PriorConfig

    @classmethod
    def of(cls, predecessors: Predecessors, fold: BoolArray, config: PriorConfig) -> Self:
        """Of the events `fold` [N]; each user's must come before those that are not folded.

        An event at time t has weight 2^(t / half-life) / distance on each of the distinct items
        before it.
        """
        log = predecessors.log
        events = np.flatnonzero(fold)
        items = len(log.items)
        newest_ms = int(log.time_ms[events].max(initial=0))
        parts = [
            _edges(predecessors, events[first : first + EVENTS_AT_ONCE], config, newest_ms)
            for first in range(0, len(events), EVENTS_AT_ONCE)
        ]
        codes = np.concatenate([np.zeros(0, np.int64), *(code for code, _ in parts)])
        weights = np.concatenate([np.zeros(0, np.float64), *(weight for _, weight in parts)])
        code, summed = _summed(codes, weights)
        source = code // items
        totals = np.bincount(source, summed, minlength=items)[source]
        # Ages beyond a double's exponent leave nothing, not even a share.
        shares = np.divide(summed, totals, out=np.zeros_like(summed), where=totals > 0)
        starts = np.searchsorted(source, np.arange(items + 1))
        return cls(starts.astype(np.int64), code % items, shares, predecessors, config)

    def scores(self, events: IntArray) -> FloatArray:
        """(n, items) probabilities of what each event could have been; rows of 0 where unknown."""
        recent = self.predecessors.of(events, self.config.window)
        scores = np.zeros((len(events), len(self.starts) - 1), np.float64)
        factors = self.config.window_decay ** np.arange(self.config.window)
        for row, sources in enumerate(recent.tolist()):
            for factor, source in zip(factors.tolist(), sources, strict=True):
                if source == NONE:
                    break
                edges = slice(self.starts[source], self.starts[source + 1])
                scores[row, self.columns[edges]] += factor * self.shares[edges]
        totals = scores.sum(1, keepdims=True)
        np.divide(scores, totals, out=scores, where=totals > 0)
        return scores.astype(np.float32)


def _edges(
    predecessors: Predecessors, events: IntArray, config: PriorConfig, newest_ms: int
) -> tuple[IntArray, NDArray[np.float64]]:
    """(source * items + destination, weight) of some events, each edge once and in order."""
    log = predecessors.log
    sources = predecessors.of(events, config.predecessors)  # (n, W)
    half_lives = (log.time_ms[events] - newest_ms) / (config.graph_half_life_seconds * 1000)
    weights = np.exp2(half_lives)[:, None] / np.arange(1, config.predecessors + 1)
    destinations = np.broadcast_to(log.item[events][:, None], sources.shape)
    real = (sources != NONE) & (sources != destinations)
    return _summed(sources[real] * len(log.items) + destinations[real], weights[real])


def _summed(codes: IntArray, weights: NDArray[np.float64]) -> tuple[IntArray, NDArray[np.float64]]:
    code, place = np.unique(codes, return_inverse=True)
    summed = np.zeros(len(code), np.float64)
    np.add.at(summed, place, weights)
    return code, summed
