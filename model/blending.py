"""Encoder scores plus priors: the blend, and how its weights are chosen on validation events."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.artifact import Blend
from model.baselines import PriorChunk, PriorConfig, prior_chunks
from model.data import Sequences, Split
from model.ranking import ranking_metrics, target_ranks

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]
# (n,) event indexes -> (n, items) log-probabilities, -inf where the encoder has no opinion
LogProbabilities = Callable[[IntArray], FloatArray]

MAX_EXAMPLES = 2048
MAX_CELLS = 8_000_000  # examples x items held at once
GRAPH_WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0)
HALF_LIFE_DAYS = (1, 7, 30, 180, 3650)
OWN_WEIGHTS = (0.0, 0.1, 0.25, 0.5, 1.0)
POPULARITY_WEIGHTS = (0.0, 0.05, 0.1, 0.2)
SINGLE_TERMS = {
    "encoder": Blend(encoder=1.0),
    "graph": Blend(encoder=0.0, graph=1.0),
    "popularity": Blend(encoder=0.0, popularity=1.0),
    "own_history": Blend(encoder=0.0, own=1.0),
}


class BlendChoice(NamedTuple):
    """What validation chose."""

    blend: Blend
    repeat_policy: str
    priors: PriorConfig
    metrics: dict[str, object]  # of the blend and of each term alone


class Terms(NamedTuple):
    """The terms of some examples' scores, each (n, items)."""

    encoder: FloatArray  # unknown items at the row's lowest
    graph: FloatArray
    own: FloatArray
    popularity: FloatArray
    seen: NDArray[np.bool_]
    targets: IntArray  # (n,)

    @classmethod
    def of(cls, log: Sequences, chunk: PriorChunk, log_probs: FloatArray) -> "Terms":
        """Terms of a chunk of priors and the encoder's log-probabilities of the same rows."""
        logs = chunk.logs()
        return cls(
            unknown_to_lowest(log_probs),
            logs["graph"],
            logs["own"],
            logs["popularity"],
            chunk.seen,
            log.item[chunk.examples],
        )

    def scores(self, blend: Blend, repeat_policy: str) -> FloatArray:
        """(n, items) under the blend; -inf where the policy keeps an item off the list."""
        scores = np.zeros_like(self.encoder)
        for weight, term in (
            (blend.encoder, self.encoder),
            (blend.graph, self.graph),
            (blend.own, self.own),
            (blend.popularity, self.popularity),
        ):
            if weight:
                scores += np.float32(weight) * term
        if repeat_policy == "exclude":
            scores[self.seen] = -np.inf
        return scores

    def ranks(self, blend: Blend, repeat_policy: str) -> IntArray:
        """(n,) rank of each target under the blend."""
        return target_ranks(self.scores(blend, repeat_policy), self.targets)


def choose_blend(
    log: Sequences,
    split: Split,
    log_probabilities: LogProbabilities,
    *,
    online: bool,
    seed: int,
    priors: PriorConfig | None = None,
) -> BlendChoice:
    """Weights and repeat policy with the best NDCG@10 on a sample of the validation events.

    online: the graph learns during validation, as it will in the stream. priors: None to choose
    the graph's half-life as well, by the graph's own NDCG@10.
    """
    size = max(64, min(MAX_EXAMPLES, MAX_CELLS // len(log.items)))
    events = split.validation
    if len(events) > size:
        random = np.random.default_rng(seed)
        events = np.sort(random.choice(events, size, replace=False))
    fold = split.train.copy()
    if online:
        fold |= log.rank <= log.rank[split.validation].max()
    if priors is None:
        priors = _choose_half_life(log, events, fold, online=online)
    chunks = [
        Terms.of(log, chunk, log_probabilities(chunk.examples))
        for chunk in prior_chunks(log, events, fold, priors, online=online)
    ]

    def ranks(blend: Blend, policy: str) -> IntArray:
        return np.concatenate([chunk.ranks(blend, policy) for chunk in chunks])

    repeats = any(chunk.seen[np.arange(len(chunk.seen)), chunk.targets].any() for chunk in chunks)
    best: tuple[float, Blend, str] = (-1.0, Blend(), "exclude")
    for policy in ("exclude", "allow") if repeats else ("exclude",):
        for graph in GRAPH_WEIGHTS:
            for popularity in POPULARITY_WEIGHTS:
                for own in OWN_WEIGHTS if policy == "allow" else (0.0,):
                    blend = Blend(encoder=1.0, graph=graph, own=own, popularity=popularity)
                    ndcg = ranking_metrics(ranks(blend, policy))["ndcg"]["10"]
                    if ndcg > best[0]:
                        best = (ndcg, blend, policy)
    _, blend, policy = best
    metrics: dict[str, object] = {"blend": ranking_metrics(ranks(blend, policy))}
    for term, single in SINGLE_TERMS.items():
        metrics[term] = ranking_metrics(ranks(single, policy))
    return BlendChoice(blend, policy, priors, metrics)


def _choose_half_life(
    log: Sequences, events: IntArray, fold: NDArray[np.bool_], *, online: bool
) -> PriorConfig:
    """The default priors with the half-life at which the graph alone predicts best."""
    if not log.has_times:
        return PriorConfig()
    found: list[tuple[float, PriorConfig]] = []
    for days in HALF_LIFE_DAYS:
        priors = PriorConfig(graph_half_life_seconds=days * 86_400.0)
        ranks = []
        for chunk in prior_chunks(log, events, fold, priors, online=online):
            targets = log.item[chunk.examples]
            ranks.append(target_ranks(chunk.graph, targets))
        found.append((ranking_metrics(np.concatenate(ranks))["ndcg"]["10"], priors))
    return max(found, key=lambda pair: pair[0])[1]


def unknown_to_lowest(log_probs: FloatArray, top_k: int = 100) -> FloatArray:
    """Items that the encoder does not know get the lowest of a row's top k, or 0 without one."""
    k = min(top_k, log_probs.shape[1])
    lowest = -np.partition(-log_probs, k - 1, axis=1)[:, k - 1 : k]
    known = np.where(np.isfinite(log_probs), log_probs, np.inf).min(1, keepdims=True)
    floor = np.where(np.isfinite(lowest), lowest, np.where(np.isfinite(known), known, 0.0))
    return np.where(np.isfinite(log_probs), log_probs, floor).astype(np.float32)
