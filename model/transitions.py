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


def distinct_predecessors(log: Sequences, events: IntArray, count: int) -> IntArray:
    """(n, count) the last distinct items of the same user before each event, nearest first.

    NONE where there are fewer.
    """
    found = np.full((len(events), count), NONE, np.int64)
    filled = np.zeros(len(events), np.int64)
    following = _following(log)
    starts = log.starts[log.user[events]]
    active = np.flatnonzero(events > starts)
    back = 1
    while len(active):
        at = events[active] - back
        # Nearer to the event the item does not occur again: this is where it stands.
        new = following[at] >= events[active]
        rows = active[new]
        found[rows, filled[rows]] = log.item[at[new]]
        filled[rows] += 1
        back += 1
        active = active[(filled[active] < count) & (events[active] - back >= starts[active])]
    return found


def _following(log: Sequences) -> IntArray:
    """[N] index of the same user's next event on the same item, N where there is none."""
    code = log.user * len(log.items) + log.item
    order = np.argsort(code, kind="stable")
    same = code[order[1:]] == code[order[:-1]]
    following = np.full(log.events, log.events, np.int64)
    following[order[:-1][same]] = order[1:][same]
    return following


class TransitionMatrix(NamedTuple):
    """Shares of what followed each item: of item i, columns[starts[i]:starts[i + 1]]."""

    starts: IntArray  # [items + 1]
    columns: IntArray  # [edges]
    shares: NDArray[np.float64]  # [edges], summing to 1 over each item's
    config: PriorConfig

    @classmethod
    def of(cls, log: Sequences, fold: BoolArray, config: PriorConfig) -> Self:
        """Of the events `fold` [N]; each user's must come before those that are not folded.

        An event at time t has weight 2^(t / half-life) / distance on each of the distinct items
        before it.
        """
        events = np.flatnonzero(fold)
        items = len(log.items)
        sources = distinct_predecessors(log, events, config.predecessors)  # (n, W)
        half_life_ms = config.graph_half_life_seconds * 1000
        age = (log.time_ms[events] - log.time_ms[events].max(initial=0)) / half_life_ms
        weights = np.exp2(age)[:, None] / np.arange(1, config.predecessors + 1)
        destinations = np.broadcast_to(log.item[events][:, None], sources.shape)
        real = (sources != NONE) & (sources != destinations)
        code, place = np.unique(sources[real] * items + destinations[real], return_inverse=True)
        summed = np.bincount(place, weights[real], minlength=len(code))
        source = code // items
        totals = np.bincount(source, summed, minlength=items)[source]
        # Ages beyond a double's exponent leave nothing, not even a share.
        shares = np.divide(summed, totals, out=np.zeros_like(summed), where=totals > 0)
        starts = np.searchsorted(source, np.arange(items + 1))
        return cls(starts.astype(np.int64), code % items, shares, config)

    def scores(self, log: Sequences, events: IntArray) -> FloatArray:
        """(n, items) probabilities of what each event could have been; rows of 0 where unknown."""
        recent = distinct_predecessors(log, events, self.config.window)
        scores = np.zeros((len(events), len(log.items)), np.float64)
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
