"""Exact scores of the whole catalogue against an index of neighbours, by the catalogue's size.

Exact is the graph that a worker runs: encoder, product with every item, softmax, the best k. Two
stages are the same encoder without the catalogue, an HNSW index (usearch) that proposes items, and
exact scores of these. What the second does not give is the softmax's normaliser.

Weights are of chance. Two kinds of items: in places of chance, the worst that an index can meet,
and in clusters of a hundred, with windows that stay within a cluster; trained items lie between.
"""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from model.bench_encoder import manifest_of, place_items, random_encoder, split_onnx
from model.engine import open_session
from model.net import EncoderConfig
from model.scorer import EncoderScorer, History, PreparedBatch

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

TOP_K = 20
CANDIDATES = 100
_CLUSTER = 100
_CLUSTER_SHARE = 0.7
"""Of the variance of items that is their cluster's."""
_SPREAD = 0.1


class CatalogueBench(msgspec.Struct, frozen=True):
    """What to measure."""

    sizes: Sequence[int] = (1_000, 10_000, 100_000, 1_000_000)
    expansions: Sequence[int] = (32, 64, 128, 256, 512, 1024)
    """Nodes that a search keeps in view: more find more and take longer."""
    most_clustered_items: int = 1_000_000
    """Of a catalogue that an index is built for."""
    most_chance_items: int = 100_000
    """An index of more items in places of chance takes long to build, and is no use."""
    batch: int = 64
    events: int = 50
    queries: int = 256
    """For recall."""
    rounds: int = 5


class TwoStages(msgspec.Struct):
    """One setting of the index; milliseconds a list of all that it takes, encoder included."""

    expansion: int
    recall: float
    """Share of the exact best 20 that are among the 20 found."""
    milliseconds: float
    alone_milliseconds: float


class CatalogueFigures(msgspec.Struct):
    """One size and kind of catalogue; milliseconds of processor time a list, medians."""

    items: int
    vectors: str
    encoder_milliseconds: float
    """Without the catalogue, in batches."""
    exact_milliseconds: float
    """In batches."""
    exact_alone_milliseconds: float
    """A list by itself."""
    index_seconds: float | None
    """To build it, on one thread; None where there is none."""
    index_bytes: int | None
    two_stages: list[TwoStages]

    def winner(self, recall: float) -> TwoStages | None:
        """The quickest setting with that recall, where it is quicker than exact in batches."""
        good = [found for found in self.two_stages if found.recall >= recall]
        best = min(good, key=lambda found: found.milliseconds, default=None)
        return None if best is None or best.milliseconds >= self.exact_milliseconds else best


def run(
    bench: CatalogueBench, tell: Callable[[str], None] = lambda _: None
) -> list[CatalogueFigures]:
    """Measure every size and kind; `tell` is given lines of progress."""
    found = []
    for items in bench.sizes:
        for vectors in ("clustered", "chance"):
            if vectors == "chance" and items > bench.most_chance_items:
                continue  # exact scores are no different
            figures = _measure(bench, items, vectors)
            best = figures.winner(0.99)
            tell(
                f"{items} {vectors} items: exact {figures.exact_milliseconds:.3f} ms a list, "
                + ("no index is quicker" if best is None else f"an index {best.milliseconds:.3f}")
            )
            found.append(figures)
    return found


def item_vectors(items: int, dim: int, vectors: str, chance: np.random.Generator) -> Floats:
    """(items, dim) places; in clusters, those of one stand together."""
    places = chance.standard_normal((items, dim), np.float32)
    if vectors == "clustered":
        centres = chance.standard_normal((-(-items // _CLUSTER), dim), np.float32)
        places *= np.float32((1 - _CLUSTER_SHARE) ** 0.5)
        places += np.float32(_CLUSTER_SHARE**0.5) * centres[np.arange(items) // _CLUSTER]
    return places * np.float32(_SPREAD)


class _Catalogue:
    """An encoder with a catalogue, in one piece and in two stages."""

    def __init__(self, bench: CatalogueBench, items: int, vectors: str) -> None:
        chance = np.random.default_rng(7)
        config = EncoderConfig(items=items, max_length=bench.events)
        self.vectors = item_vectors(items, config.dim, vectors, chance)
        encoder = random_encoder(config)
        place_items(encoder, self.vectors)
        served, hidden = split_onnx(encoder, top_k=TOP_K)
        del encoder
        names = [f"item{number}" for number in range(items)]
        manifest = manifest_of(config, top_k=TOP_K)
        self.scorer = EncoderScorer.of_model(manifest, names, served, max_batch=bench.batch)
        self._session: Any = open_session(hidden, "cpu")[0]
        self._batch = bench.batch
        self._histories = [
            _history(names, bench.events, vectors, chance)
            for _ in range(max(bench.queries, bench.batch))
        ]
        self._candidates = chance.integers(1, items + 1, (len(self._histories), CANDIDATES))
        self.index: Any = None
        self.index_seconds = 0.0
        if vectors == "chance" or items <= bench.most_clustered_items:
            self.index, self.index_seconds = _index_of(self.vectors)

    def batches(self) -> list[PreparedBatch]:
        """All queries."""
        starts = range(0, len(self._histories), self._batch)
        return [self.prepare(start, start + self._batch) for start in starts]

    def prepare(self, start: int, end: int) -> PreparedBatch:
        """Some of the queries."""
        return self.scorer.prepare(self._histories[start:end], self._candidates[start:end])

    def hidden(self, prepared: PreparedBatch) -> Floats:
        """(B, dim) last states; full windows are one call of the engine."""
        ((_, inputs),) = prepared.calls
        names = ("items", "lengths")
        states: Floats = self._session.run(["hidden"], {name: inputs[name] for name in names})[0]
        return states

    def two_stages(self, prepared: PreparedBatch) -> Integers:
        """(B, 20) items, encoder ids, the best first. The candidates are scored as well."""
        states = self.hidden(prepared)
        queries = np.concatenate([states, np.zeros((len(states), 1), np.float32)], axis=1)
        matches: Any = self.index.search(queries, TOP_K, threads=1)
        found = matches.keys.reshape(len(states), -1).astype(np.int64)
        ((_, inputs),) = prepared.calls
        asked = np.concatenate([found, inputs["candidates"] - 1], axis=1)
        scores = np.matmul(self.vectors[asked], states[:, :, None])[:, :, 0]
        order = np.argsort(-scores[:, : found.shape[1]], axis=1)
        return np.take_along_axis(found, order, 1) + 1


def _measure(bench: CatalogueBench, items: int, vectors: str) -> CatalogueFigures:
    catalogue = _Catalogue(bench, items, vectors)
    scorer = catalogue.scorer
    batches, alone = catalogue.batches(), catalogue.prepare(0, 1)
    exact = np.concatenate([scorer.run(prepared).top_ids for prepared in batches])
    full = batches[0]

    def per_list(call: Callable[[PreparedBatch], object], prepared: PreparedBatch) -> float:
        return round(_milliseconds(lambda: call(prepared), bench.rounds) / prepared.rows, 5)

    figures = CatalogueFigures(
        items=items,
        vectors=vectors,
        encoder_milliseconds=per_list(catalogue.hidden, full),
        exact_milliseconds=per_list(scorer.run, full),
        exact_alone_milliseconds=per_list(scorer.run, alone),
        index_seconds=None,
        index_bytes=None,
        two_stages=[],
    )
    if catalogue.index is None:
        return figures
    figures.index_seconds = round(catalogue.index_seconds, 2)
    figures.index_bytes = catalogue.index.memory_usage
    for expansion in bench.expansions:
        catalogue.index.expansion_search = expansion
        found = np.concatenate([catalogue.two_stages(prepared) for prepared in batches])
        figures.two_stages.append(
            TwoStages(
                expansion=expansion,
                recall=round(_recall(found, exact), 4),
                milliseconds=per_list(catalogue.two_stages, full),
                alone_milliseconds=per_list(catalogue.two_stages, alone),
            )
        )
    return figures


def _index_of(vectors: Floats) -> tuple[Any, float]:
    """An index of inner products, and the seconds that it took.

    One dimension more makes all vectors equally long, so that the largest inner product is the
    nearest neighbour, which the graph of the index is made for.
    """
    # It loads a library for all to see: before ONNX Runtime, whose own symbols that replaces, it
    # makes the import of ONNX Runtime crash (usearch 2.26.6).
    from usearch.index import Index

    lengths = (vectors**2).sum(axis=1)
    rest = np.sqrt(lengths.max() - lengths)[:, None]
    index = Index(
        ndim=vectors.shape[1] + 1,
        metric="ip",
        dtype="f16",
        expansion_add=64,
        enable_key_lookups=False,
    )
    began = time.process_time()
    index.add(np.arange(len(vectors)), np.concatenate([vectors, rest], axis=1), threads=1)
    return index, time.process_time() - began


def _history(names: list[str], events: int, vectors: str, chance: np.random.Generator) -> History:
    if vectors == "clustered":
        first = int(chance.integers(0, -(-len(names) // _CLUSTER))) * _CLUSTER
        names = names[first : first + _CLUSTER]
    chosen = [names[number] for number in chance.integers(0, len(names), events)]
    return History(chosen, [""] * events, list(range(0, 60_000 * events, 60_000)), [0] * events)


def _recall(found: Integers, exact: Integers) -> float:
    """Share of the exact ones that are found."""
    hits = sum(len(set(ours) & set(best)) for ours, best in zip(found, exact, strict=True))
    return hits / exact.size


def _milliseconds(call: Callable[[], object], rounds: int) -> float:
    call()
    took = []
    for _ in range(rounds):
        began = time.process_time()
        call()
        took.append(time.process_time() - began)
    return median(took) * 1e3
