"""Baselines measured: what an encoder has to beat, on the same examples, by the same rules."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from model.baselines import PriorChunk, PriorConfig, prior_chunks
from model.examples import Examples, seen_items
from model.measurement import Measurement
from model.reference_baselines import FITS, NotAvailable
from model.transitions import Predecessors, TransitionMatrix

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

# Last distinct items from which the transition graph predicts, and the decay for each length.
GRAPH_WINDOWS = {1: 1.0, 5: 0.7, 10: 0.8}
SECONDS_PER_DAY = 86_400.0


class Baselines:
    """Measurements by name, how each was computed, and why one is not there."""

    def __init__(self, examples: Examples) -> None:
        self.measured: dict[str, Measurement] = {}
        self.settings: dict[str, dict[str, object]] = {}
        self.missing: dict[str, str] = {}
        self._examples = examples

    def add(self, name: str, events: IntArray, scores: FloatArray) -> None:
        """Scores (n, items) of some events, nothing hidden yet."""
        log = self._examples.log
        if name not in self.measured:
            self.measured[name] = Measurement(len(log.items))
        hidden = self._examples.hide(scores, seen_items(log, events))
        self.measured[name].add(events, hidden, log.item[events])

    def measure(self, priors: PriorConfig, threads: int) -> None:
        """Popularity, transitions of each of GRAPH_WINDOWS, and the baselines of others.

        Half-life as in `priors`, but for popularity, which forgets nothing. There is no bound on
        neighbours.
        """
        predecessors = Predecessors(self._examples.log)
        for window, decay in GRAPH_WINDOWS.items():
            config = priors._replace(
                predecessors=window,
                window=window,
                window_decay=decay,
                max_neighbours=len(self._examples.log.items),
                popularity_half_life_seconds=float("inf"),
                window_events=None,
                window_seconds=None,
                by_arrival=False,
            )
            name = f"transitions_{window}"
            self.settings[name] = graph_settings(config)
            for events, transitions, popularity in _unbounded(self._examples, predecessors, config):
                self.add(name, events, transitions)
                if window == 1:
                    self.add("popularity", events, popularity)
        self.settings["popularity"] = {}
        for name, fit in FITS.items():
            try:
                fitted = fit(self._examples.log, self._examples.train, threads=threads)
            except NotAvailable as reason:
                self.missing[name] = str(reason)
                continue
            self.settings[name] = dict(fitted.settings)
            for events in self._examples.chunks():
                self.add(name, events, fitted.scores(self._examples.log, events))

    def add_priors(self, chunk: PriorChunk, priors: PriorConfig) -> None:
        """The live graph, own history and decayed popularity of a chunk of these priors."""
        self.add("graph", chunk.examples, chunk.graph)
        self.add("own_history", chunk.examples, chunk.own)
        self.settings["graph"] = graph_settings(priors)
        self.settings["own_history"] = {}
        if self._examples.log.has_times:
            self.add("decayed_popularity", chunk.examples, chunk.popularity)
            days = priors.popularity_half_life_seconds / SECONDS_PER_DAY
            self.settings["decayed_popularity"] = {"half_life_days": days}
        else:
            self.missing["decayed_popularity"] = "the data has an order but no times"


def graph_settings(config: PriorConfig) -> dict[str, object]:
    """How a transition graph is computed, for the report."""
    return {
        "predecessors": config.predecessors,
        "window": config.window,
        "window_decay": config.window_decay,
        "max_neighbours": config.max_neighbours,
        "half_life_days": config.graph_half_life_seconds / SECONDS_PER_DAY,
    }


def _unbounded(
    examples: Examples, predecessors: Predecessors, config: PriorConfig
) -> Iterator[tuple[IntArray, FloatArray, FloatArray]]:
    """(events, transitions, popularity) chunk by chunk; all at once where nothing is learned."""
    log = examples.log
    if examples.online:
        for chunk in prior_chunks(
            log, examples.events, examples.fold, config, online=True, chunk=examples.chunk()
        ):
            yield chunk.examples, chunk.graph, chunk.popularity
        return
    matrix = TransitionMatrix.of(predecessors, examples.fold, config)
    counts = np.bincount(log.item[examples.fold], minlength=len(log.items)).astype(np.float32)
    for events in examples.chunks():
        popularity = np.broadcast_to(counts, (len(events), len(counts)))
        yield events, matrix.scores(events), popularity
