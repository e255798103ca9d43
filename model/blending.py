"""Encoder scores plus priors: the blend, and how it is fitted on validation events.

What the blend is made of stands in `model.blend`. The weights are those of a conditional logit
over the candidates that serving would rank, refined towards NDCG@10; half-life, window and repeat
policy are the ones under which a prior, or the whole blend, predicts best.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from model.baselines import LIVE_PRIORS, PriorChunk, PriorConfig, prior_chunks
from model.blend import INDICATORS, OWN_TERMS, PRIOR_TERMS, SIGNED_TERMS, TERMS, Blend
from model.conditional_logit import fit_logit
from model.data import Sequences, Split
from model.ranking import MISSED, ranking_metrics, target_ranks

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
# (n,) event indexes -> (n, items) log-probabilities, -inf where the encoder has no opinion
LogProbabilities = Callable[[IntArray], FloatArray]

MAX_EXAMPLES = 4096
MAX_TUNING_EXAMPLES = 1024
# Of each example, as in serving: the best by prior, and by encoder.
PRIOR_CANDIDATES = 200
ENCODER_CANDIDATES = 100
CELLS_AT_ONCE = 1_000_000
REFINING_ROUNDS = 2
REFINING_FACTORS = (0.5, 0.7, 1.4, 2.0)
HALF_LIFE_DAYS = (7, 30, 180, 3650)
WINDOWS = ((5, 0.7), (10, 0.85), (20, 0.9))
# Every list pays for a wider window: it is taken if NDCG@10 is that many times better.
WORTH_WIDENING = 1.01
# Newest events of a user and how old one may be, in days, to count as the user's own.
OWN_WINDOWS = ((200, 30), (200, 3650), (1000, 3650))
OWN_DECAYS = (0.9, 0.97)
# From these shares on a term counts; what is rarer is as good as absent.
FLOORS = {"graph_floor": 1e-3, "own_floor": 1e-2, "popularity_floor": 1e-4}
CANDIDATE_WEIGHTS = {"graph": 0.5, "graph_last": 0.5, "own": 0.5, "own_frequency": 0.5,
                     "own_next": 0.5, "popularity": 0.1, "trending": 0.1}  # fmt: skip
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
    """What some examples' scores are made of."""

    encoder: FloatArray  # (n, items), unknown items at the row's lowest
    unknown: BoolArray  # (n, items), all False in rows without any known item
    priors: PriorChunk
    targets: IntArray  # (n,)

    @classmethod
    def of(cls, log: Sequences, chunk: PriorChunk, log_probs: FloatArray) -> "Terms":
        """Terms of a chunk of priors and the encoder's log-probabilities of the same rows."""
        known = np.isfinite(log_probs)
        unknown = ~known & known.any(1, keepdims=True)
        targets = log.item[chunk.examples]
        return cls(unknown_to_lowest(log_probs), unknown, chunk, targets)

    def value(self, name: str, blend: Blend) -> FloatArray:
        """(n, items) of one term, as its weight multiplies it."""
        if name == "encoder":
            return self.encoder
        if name == "unknown":
            return self.unknown.astype(np.float32)
        prior = self.priors.term(name)
        return prior if name in INDICATORS else np.log1p(prior / np.float32(blend.floor(name)))

    def scores(self, blend: Blend, repeat_policy: str, terms: Iterable[str] = TERMS) -> FloatArray:
        """(n, items) under the blend; -inf where the policy keeps an item off the list."""
        scores = np.zeros_like(self.encoder)
        for name in terms:
            weight = getattr(blend, name)
            if weight:
                scores += np.float32(weight) * self.value(name, blend)
        if repeat_policy == "exclude":
            scores[self.priors.seen] = -np.inf
        return scores

    def ranks(self, blend: Blend, repeat_policy: str) -> IntArray:
        """(n,) rank of each target under the blend."""
        return target_ranks(self.scores(blend, repeat_policy), self.targets)


class Alternatives(NamedTuple):
    """What could have come at some examples, what came first: the candidates of serving."""

    terms: FloatArray  # (n, C, T), T as in TERMS
    present: BoolArray  # (n, C)
    seen: BoolArray  # (n, C)
    among: BoolArray  # (n,) whether what came is a candidate of its own accord

    @classmethod
    def of(cls, terms: Terms, shape: Blend) -> "Alternatives":
        """The best by prior and by encoder, and the target; floors are those of `shape`."""
        prior = msgspec.structs.replace(shape, **CANDIDATE_WEIGHTS)
        rows = np.arange(len(terms.targets))[:, None]
        chosen = np.concatenate(
            (
                terms.targets[:, None],
                _best(terms.scores(prior, "allow", PRIOR_TERMS), PRIOR_CANDIDATES),
                _best(terms.encoder, ENCODER_CANDIDATES),
            ),
            axis=1,
        )
        present = np.ones(chosen.shape, np.bool_)
        order = np.argsort(chosen, axis=1, kind="stable")
        present[rows, order[:, 1:]] = np.diff(np.take_along_axis(chosen, order, 1), axis=1) > 0
        values = np.stack([terms.value(name, shape)[rows, chosen] for name in TERMS], axis=2)
        among = (chosen[:, 1:] == chosen[:, :1]).any(1)
        return cls(values, present, terms.priors.seen[rows, chosen], among)

    @classmethod
    def joined(cls, parts: "Sequence[Alternatives]") -> "Alternatives":
        """Those of all parts."""
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def allowed(self, repeat_policy: str) -> BoolArray:
        """(n, C) what may be on the list."""
        return self.present & ~self.seen if repeat_policy == "exclude" else self.present

    def fit(self, repeat_policy: str, terms: Sequence[str], shape: Blend) -> Blend:
        """`shape` with the weights of `terms` under which what came is most likely.

        Only from examples whose target is a candidate: among the best by any score, one that is
        there for no other reason than that it came would speak against every term.
        """
        allowed = self.allowed(repeat_policy)
        rows = np.flatnonzero(self.among & allowed[:, 0])
        columns = [TERMS.index(name) for name in terms]
        free = np.array([name in SIGNED_TERMS for name in terms])
        weights = fit_logit(self.terms[rows][:, :, columns], allowed[rows], free)
        rounded = {name: round(float(w), 4) for name, w in zip(terms, weights, strict=True)}
        absent = dict.fromkeys(TERMS, 0.0)
        return msgspec.structs.replace(shape, **(absent | rounded))

    def refined(self, blend: Blend, repeat_policy: str, terms: Sequence[str]) -> Blend:
        """The blend moved, one weight at a time, to where NDCG@10 is better.

        Likelihood looks at the whole list, a user at its top: the fit is a good place to start.
        """
        best = self._ndcg(blend, repeat_policy)
        for _ in range(REFINING_ROUNDS):
            for name in terms:
                weight = getattr(blend, name)
                steps = [weight * factor for factor in REFINING_FACTORS] if weight else [0.05, 0.2]
                if name in SIGNED_TERMS:
                    steps += [weight - 0.3, weight + 0.3]
                for step in steps:
                    moved = msgspec.structs.replace(blend, **{name: round(step, 4)})
                    ndcg = self._ndcg(moved, repeat_policy)
                    if ndcg > best:
                        best, blend = ndcg, moved
        return blend

    def _ndcg(self, blend: Blend, repeat_policy: str) -> float:
        return ranking_metrics(self.ranks(blend, repeat_policy))["ndcg"]["10"]

    def ranks(self, blend: Blend, repeat_policy: str) -> IntArray:
        """(n,) rank of what came among the alternatives."""
        weights = np.array([getattr(blend, name) for name in TERMS], np.float32)
        scores = self.terms @ weights
        scores[~self.allowed(repeat_policy)] = -np.inf
        ranks = target_ranks(scores, np.zeros(len(scores), np.int64))
        return np.where(self.among, ranks, MISSED)


def choose_blend(
    log: Sequences,
    split: Split,
    log_probabilities: LogProbabilities,
    *,
    online: bool,
    seed: int,
    priors: PriorConfig | None = None,
    predecessors: Sequence[int] = (LIVE_PRIORS.predecessors,),
) -> BlendChoice:
    """A blend fitted on a sample of the validation events, and the repeat policy that suits it.

    online: the graph learns during validation, as it will in the stream. priors: None to choose
    half-life and windows as well, by what graph and own history alone predict. predecessors: how
    many preceding items a worker may link a click with, chosen likewise; each costs it an edge.
    """
    random = np.random.default_rng(seed)
    events = _sample(split.validation, MAX_EXAMPLES, random)
    fold = split.train.copy()
    if online:
        fold |= log.rank <= log.rank[split.validation].max()
    choices = [priors] if priors is not None else []
    if not choices:
        few = _sample(events, MAX_TUNING_EXAMPLES, random)
        chosen = _choose_priors(log, few, fold, predecessors, online=online)
        choices = [chosen._replace(window=size, window_decay=decay) for size, decay in WINDOWS]
    known: dict[int, FloatArray] = {}

    def remembered(events: IntArray) -> FloatArray:
        missing = np.array([event for event in events.tolist() if event not in known], np.int64)
        if len(missing):
            known.update(zip(missing.tolist(), log_probabilities(missing), strict=True))
        return np.stack([known[event] for event in events.tolist()])

    fitted = [
        _fit(log, prior_chunks(log, events, fold, choice, online=online, chunk=_chunk(log)),
             choice, remembered)
        for choice in choices
    ]  # fmt: skip
    best, *wider = fitted
    for other in wider:
        if other[0] > WORTH_WIDENING * best[0]:
            best = other
    return best[1]


def _fit(
    log: Sequences,
    chunks: Iterable[PriorChunk],
    priors: PriorConfig,
    log_probabilities: LogProbabilities,
) -> tuple[float, BlendChoice]:
    """NDCG@10 on the examples, and the blend of the better repeat policy with its metrics."""
    shape = Blend(
        graph_window=priors.window,
        window_decay=priors.window_decay,
        own_decay=priors.own_decay,
        **FLOORS,
    )
    parts: list[Alternatives] = []
    alone: dict[str, dict[str, list[IntArray]]] = {"allow": {}, "exclude": {}}
    for chunk in chunks:
        terms = Terms.of(log, chunk, log_probabilities(chunk.examples))
        parts.append(Alternatives.of(terms, shape))
        for policy, ranks in alone.items():
            for name, single in SINGLE_TERMS.items():
                ranks.setdefault(name, []).append(terms.ranks(single, policy))
    alternatives = Alternatives.joined(parts)
    ndcg, policy, blend = max(_fits(alternatives, shape), key=lambda fitted: fitted[0])
    metrics: dict[str, object] = {"blend": ranking_metrics(alternatives.ranks(blend, policy))}
    for name, ranks_of_chunks in alone[policy].items():
        metrics[name] = ranking_metrics(np.concatenate(ranks_of_chunks))
    return ndcg, BlendChoice(blend, policy, priors, metrics)


def _fits(alternatives: Alternatives, shape: Blend) -> list[tuple[float, str, Blend]]:
    """(NDCG@10, repeat policy, blend) of every policy that makes sense."""
    repeats = bool(alternatives.seen[:, 0].any())
    found = []
    for policy in ("exclude", "allow") if repeats else ("exclude",):
        hidden = (*OWN_TERMS, *INDICATORS) if policy == "exclude" else ()
        names = [name for name in TERMS if name not in hidden]
        fitted = alternatives.fit(policy, names, shape)
        blend = alternatives.refined(fitted, policy, names)
        ndcg = ranking_metrics(alternatives.ranks(blend, policy))["ndcg"]["10"]
        found.append((ndcg, policy, blend))
    return found


def _choose_priors(
    log: Sequences,
    events: IntArray,
    fold: BoolArray,
    predecessors: Sequence[int],
    *,
    online: bool,
) -> PriorConfig:
    """The live priors, with half-life, windows and decays by which a prior alone predicts best."""
    priors = LIVE_PRIORS._replace(predecessors=predecessors[0])

    def quality(term: str, choice: PriorConfig) -> float:
        chunks = prior_chunks(log, events, fold, choice, online=online, chunk=_chunk(log))
        ranks = [target_ranks(chunk.term(term), log.item[chunk.examples]) for chunk in chunks]
        return ranking_metrics(np.concatenate(ranks))["ndcg"]["10"]

    def best(term: str, choices: Sequence[PriorConfig]) -> PriorConfig:
        return max(choices, key=lambda choice: quality(term, choice))

    def linked(priors: PriorConfig) -> PriorConfig:
        if len(predecessors) == 1:
            return priors
        return best("graph", [priors._replace(predecessors=count) for count in predecessors])

    if not log.has_times:
        return linked(priors._replace(window_seconds=None))
    windows = [
        priors._replace(window_events=events, window_seconds=days * 86_400)
        for events, days in OWN_WINDOWS
    ]
    if any(log.item[e] in log.item[log.starts[log.user[e]] : e] for e in events.tolist()):
        priors = best("own", [
            window._replace(own_decay=decay) for window in windows for decay in OWN_DECAYS
        ])  # fmt: skip
    else:  # what nobody repeats must not be forgotten
        priors = windows[-1]
    return linked(best("graph", [
        priors._replace(graph_half_life_seconds=days * 86_400.0) for days in HALF_LIFE_DAYS
    ]))  # fmt: skip


def _sample(events: IntArray, at_most: int, random: np.random.Generator) -> IntArray:
    if len(events) <= at_most:
        return events
    return np.sort(random.choice(events, at_most, replace=False))


def _chunk(log: Sequences) -> int:
    """So many examples at a time that a dozen arrays over all items stay small."""
    return max(1, min(256, CELLS_AT_ONCE // len(log.items)))


def _best(scores: FloatArray, count: int) -> IntArray:
    """(n, count) columns of each row's best scores, in any order."""
    count = min(count, scores.shape[1])
    found: IntArray = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    return found


def unknown_to_lowest(log_probs: FloatArray, top_k: int = 100) -> FloatArray:
    """Items that the encoder does not know get the lowest of a row's top k, or 0 without one."""
    k = min(top_k, log_probs.shape[1])
    lowest = -np.partition(-log_probs, k - 1, axis=1)[:, k - 1 : k]
    known = np.where(np.isfinite(log_probs), log_probs, np.inf).min(1, keepdims=True)
    floor = np.where(np.isfinite(lowest), lowest, np.where(np.isfinite(known), known, 0.0))
    return np.where(np.isfinite(log_probs), log_probs, floor).astype(np.float32)
