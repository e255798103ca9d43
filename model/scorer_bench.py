"""Lists a second of the scorer, beside a plain export and the engine's own matrix products.

Everything is measured in turn, round after round, so that a busy moment of the machine slows all
alike; a figure is the median of the rounds.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from model.artifact import load_artifact
from model.bench_encoder import (
    PRODUCTS,
    manifest_of,
    plain_onnx,
    products_onnx,
    random_encoder,
    served_onnx,
)
from model.engine import CPU
from model.net import EncoderConfig
from model.scorer import EncoderScorer, History

IntArray = NDArray[np.int64]
CANDIDATES = 20
_PRODUCT_SIZE = {True: 1024, False: 4096}  # on a CPU, on a GPU


class ScorerBench(msgspec.Struct, frozen=True):
    """What to measure."""

    engine: str = "cpu"
    threads: int = 2
    batch: int = 64
    items: int = 3_416
    """Of an encoder with weights of chance, the size of one for MovieLens-1M."""
    max_length: int = 50
    dim: int = 64
    layers: int = 2
    heads: int = 2
    top_k: int = 20
    model: str | None = None
    """Measure this artefact, and a plain encoder of its size."""
    rounds: int = 7
    seconds: float = 0.4
    """Of one figure in one round."""


class BucketFigures(msgspec.Struct):
    """Windows that fill one bucket of the padding plan."""

    events: str
    """Of a window: `50`, or `17-32` for evenly spread lengths."""
    batch: int
    padding_ratio: float
    lists_per_second: float
    """Through the engine, inputs prepared before."""
    with_preparation_per_second: float
    """Histories to scores, one batch after the other."""
    flops_per_second: float
    """Multiplications and additions of the matrix products that the graph has, padding included."""
    peak_share: float


class ScorerFigures(msgspec.Struct):
    """What the run measured; the JSON object of `--json`."""

    engine: str
    threads: int
    items: int
    max_length: int
    dim: int
    layers: int
    top_k: int
    lists_per_second: float
    """Full windows, `batch` of them at a time."""
    peak_share: float
    peak_flops_per_second: float
    """Square matrix products by the same engine on as many threads."""
    plain_lists_per_second: float
    """All positions in every layer, by a graph that is exported as the network is trained."""
    plain_flops_per_second: float
    ratio: float
    """To the plain graph, median of the rounds' ratios."""
    buckets: list[BucketFigures]


def list_flops(bench: ScorerBench, length: int, *, plain: bool) -> float:
    """Of the matrix products for one window that is padded to `length`."""
    dim, layers = bench.dim, bench.layers
    products = 12 * dim * dim  # q, k, v, output and the two of the feed-forward part
    attention = 2 * length * dim
    whole_layers = layers if plain else layers - 1
    macs = whole_layers * length * (products + attention)
    if not plain:  # the last position: its query against the states, for each head
        macs += 12 * dim * dim + 2 * bench.heads * length * dim
    return 2.0 * (macs + dim * bench.items)


class _Row:
    """One line of the table: a batch of histories, and the rates seen so far."""

    def __init__(
        self, scorer: EncoderScorer, batch: int, low: int, high: int, random: np.random.Generator
    ) -> None:
        self.events = str(high) if low == high else f"{low}-{high}"
        self._scorer, self._batch = scorer, batch
        lengths = random.integers(low, high + 1, batch)
        self._histories = [_history(scorer.items, int(n), random) for n in lengths]
        self._candidates = random.integers(1, len(scorer.items) + 1, (batch, CANDIDATES), np.int64)
        self.prepared = scorer.prepare(self._histories, self._candidates)
        self.run: list[float] = []
        self.score: list[float] = []

    def measure(self, seconds: float) -> None:
        """One round."""
        self.run.append(_rate(lambda: self._scorer.run(self.prepared), self._batch, seconds))
        self.score.append(
            _rate(
                lambda: self._scorer.score(self._histories, self._candidates), self._batch, seconds
            )
        )

    def figures(self, bench: ScorerBench, peak: float) -> BucketFigures:
        """Medians of the rounds."""
        flops = sum(
            len(group.rows) * list_flops(bench, group.length, plain=False)
            for group, _ in self.prepared.calls
        )
        rate = median(self.run)
        return BucketFigures(
            self.events,
            self._batch,
            round(self.prepared.padding_ratio, 4),
            round(rate, 1),
            round(median(self.score), 1),
            round(rate * flops / self._batch),
            round(rate * flops / self._batch / peak, 4),
        )


def run(bench: ScorerBench) -> ScorerFigures:
    """Build the graphs and measure. ArtifactError where model or engine are not to be had."""
    scorer, bench = _scorer(bench)
    encoder = random_encoder(
        EncoderConfig(
            items=bench.items, dim=bench.dim, layers=bench.layers, heads=bench.heads,
            max_length=bench.max_length,
        )
    )  # fmt: skip
    plain = _session(plain_onnx(encoder, top_k=bench.top_k), scorer.provider, bench.threads)
    size = _PRODUCT_SIZE[scorer.provider == CPU]
    products = _session(products_onnx(size), scorer.provider, bench.threads)
    random = np.random.default_rng(7)
    square = {"x": random.standard_normal((size, size), np.float32)}
    windows = {
        "items": random.integers(1, bench.items + 1, (bench.batch, bench.max_length), np.int64),
        "lengths": np.full(bench.batch, bench.max_length, np.int64),
    }
    lengths = scorer.buckets.lengths
    full = _Row(scorer, bench.batch, lengths[-1], lengths[-1], random)
    rows = [full, _Row(scorer, 1, lengths[-1], lengths[-1], random)]
    lows = [1, *(length + 1 for length in lengths[:-1])]
    spans = [*zip(lows, lengths, strict=True), (1, lengths[-1])]
    rows += [_Row(scorer, bench.batch, low, high, random) for low, high in spans]
    peaks, plain_rates = [], []
    for row in rows:
        scorer.run(row.prepared)
    plain.run(None, windows)
    products.run(None, square)
    for _ in range(bench.rounds):
        peaks.append(_rate(lambda: products.run(None, square), 2 * PRODUCTS * size**3, 0.0))
        plain_rates.append(_rate(lambda: plain.run(None, windows), bench.batch, bench.seconds))
        for row in rows:
            row.measure(bench.seconds)
    peak = median(peaks)
    rate = median(full.run)
    return ScorerFigures(
        engine=scorer.provider,
        threads=bench.threads,
        items=bench.items,
        max_length=bench.max_length,
        dim=bench.dim,
        layers=bench.layers,
        top_k=bench.top_k,
        lists_per_second=round(rate, 1),
        peak_share=full.figures(bench, peak).peak_share,
        peak_flops_per_second=round(peak),
        plain_lists_per_second=round(median(plain_rates), 1),
        plain_flops_per_second=round(
            median(plain_rates) * list_flops(bench, bench.max_length, plain=True)
        ),
        ratio=round(
            median(ours / theirs for ours, theirs in zip(full.run, plain_rates, strict=True)), 3
        ),
        buckets=[row.figures(bench, peak) for row in rows],
    )


def _scorer(bench: ScorerBench) -> tuple[EncoderScorer, ScorerBench]:
    """The scorer to measure, and the bench with its sizes."""
    if bench.model is not None:
        manifest = load_artifact(bench.model).manifest
        scorer = EncoderScorer.load(
            bench.model, engine=bench.engine, threads=bench.threads, max_batch=bench.batch
        )
        return scorer, msgspec.structs.replace(
            bench, items=manifest.items, max_length=manifest.max_length, dim=manifest.dim,
            layers=manifest.layers, heads=manifest.heads, top_k=manifest.top_k,
        )  # fmt: skip
    config = EncoderConfig(
        items=bench.items, dim=bench.dim, layers=bench.layers, heads=bench.heads,
        max_length=bench.max_length,
    )  # fmt: skip
    model = served_onnx(random_encoder(config), top_k=bench.top_k)
    scorer = EncoderScorer.of_model(
        manifest_of(config, top_k=bench.top_k),
        [f"item{number:05d}" for number in range(bench.items)],
        model,
        engine=bench.engine,
        threads=bench.threads,
        max_batch=bench.batch,
    )
    return scorer, bench


def _session(model: bytes, provider: str, threads: int) -> Any:
    """A session as ONNX Runtime has it by default, but for the threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    # Its threads spin while a call runs, not after it: what is measured next needs their cores.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=[provider])


def _history(items: list[str], events: int, random: np.random.Generator) -> History:
    return History(
        [items[i] for i in random.integers(0, len(items), events)],
        [""] * events,
        list(range(0, 60_000 * events, 60_000)),
        [0] * events,
    )


def _rate(call: Callable[[], object], worth: float, seconds: float) -> float:
    """How much of what one call is worth was done in a second, over at least `seconds`."""
    started = time.perf_counter()
    calls = 0
    while True:
        call()
        calls += 1
        passed = time.perf_counter() - started
        if passed >= seconds:
            return worth * calls / passed
