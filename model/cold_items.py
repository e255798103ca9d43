"""Items that the encoder has never seen, placed in its item space by their text.

A ridge regression from sentence vectors to the trained items' embeddings and biases, in closed
form: Gantner et al. 2010 ("Learning attribute-to-feature mappings for cold-start
recommendations") map attributes to the factors of a finished model in this way. The encoder
stays as it was trained; what it says of its own items does not change.
"""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.item_text import TextFiles, TextSpec, item_text, read_projection
from model.sentences import SentenceEncoder

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

FOLDS = 5
RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
SCALES = (0.75, 1.0, 1.25, 1.5, 2.0)
OFFSETS = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)


class ItemVectors(NamedTuple):
    """Places of items in the encoder's item space: score = hidden state . vector + bias."""

    vectors: FloatArray  # (m, dim)
    biases: FloatArray  # (m,)

    def log_probs(self, hidden: FloatArray, log_normalizers: FloatArray) -> FloatArray:
        """(B, m) from hidden states (B, dim) and log-normalisers (B,) of the encoder.

        Relative to the encoder's own items: adding an item does not change what the others have.
        """
        scores: FloatArray = hidden @ self.vectors.T
        scores += self.biases
        scores -= log_normalizers[:, None]
        return scores


class ItemTextEncoder:
    """Titles and categories to places in the item space."""

    def __init__(self, spec: TextSpec, files: TextFiles, *, dim: int, threads: int = 1) -> None:
        """ValueError for files that do not fit; ImportError without the extra `text`."""
        self.sentences = SentenceEncoder(spec, files.model, files.tokenizer, threads=threads)
        self._projection = read_projection(files.projection, spec, dim)

    def encode(self, titles: Sequence[str], categories: Sequence[Sequence[str]]) -> ItemVectors:
        """Places of items, one a title; takes milliseconds each, so not on an event loop."""
        texts = [item_text(*fields) for fields in zip(titles, categories, strict=True)]
        return project(self._projection, self.sentences.encode(texts))


def project(projection: FloatArray, texts: FloatArray) -> ItemVectors:
    """Places of items from sentence vectors (m, text dim)."""
    placed = texts @ projection[:-1] + projection[-1]
    return ItemVectors(np.ascontiguousarray(placed[:, :-1]), placed[:, -1].copy())


def fit_projection(
    texts: FloatArray, vectors: FloatArray, biases: FloatArray, ridge: float
) -> FloatArray:
    """(text dim + 1, dim + 1): ridge regression with an intercept that is not shrunk.

    texts: (n, text dim); vectors: (n, dim); biases: (n,).
    """
    targets = np.column_stack([vectors, biases]).astype(np.float64)
    text_mean, target_mean = texts.mean(0, dtype=np.float64), targets.mean(0)
    centred = texts - text_mean
    gram = centred.T @ centred + ridge * np.eye(texts.shape[1])
    slope = np.linalg.solve(gram, centred.T @ (targets - target_mean))
    return np.vstack([slope, target_mean - text_mean @ slope]).astype(np.float32)


class Calibration(NamedTuple):
    """How a projection is fitted, and brought to the scale of the trained items' scores.

    A regression places items too near the mean, so that none of them ever scores high; scale and
    offset make up for that.
    """

    ridge: float = 0.3
    scale: float = 1.0  # of embedding and bias
    offset: float = 0.0  # of the bias

    def apply(self, projection: FloatArray) -> FloatArray:
        """The projection scaled and moved."""
        calibrated: FloatArray = projection * np.float32(self.scale)
        calibrated[-1, -1] += self.offset
        return calibrated


def calibrate(
    texts: FloatArray,
    described: IntArray,
    vectors: FloatArray,
    biases: FloatArray,
    hidden: FloatArray,
    targets: IntArray,
    *,
    seed: int = 0,
) -> tuple[Calibration, dict[str, float]]:
    """The calibration at which items that the projection never saw explain what happened best.

    Cross-validation over items: those of one fold are placed by a projection of the others, all
    items compete, and the log-likelihood of the observed next items (a proper score, unlike a hit
    rate of new items alone, which any large offset would raise) is compared on every fold.

    texts: (n, text dim) of the items `described` (places among `vectors` (items, dim) and
    `biases`); hidden: (e, dim) states of the encoder before validation events; targets: (e,)
    places of the items that followed. Returns the choice and its mean log-likelihood beside that
    of the encoder that knows all items.
    """
    fold_of = np.random.default_rng(seed).integers(0, FOLDS, len(described))
    own = (hidden @ vectors.T + biases).astype(np.float64)  # (e, items)
    events = np.arange(len(targets))
    of_target = own[events, targets]
    likelihood: dict[Calibration, float] = dict.fromkeys(
        (Calibration(*choice) for choice in product(RIDGES, SCALES, OFFSETS)), 0.0
    )
    for fold in range(FOLDS):
        out = fold_of == fold
        if not out.any() or out.all():
            continue
        rest = own.copy()
        rest[:, described[out]] = -np.inf
        rest_normalizer = _log_sum_exp(rest)
        column = np.full(own.shape[1], -1)
        column[described[out]] = np.arange(out.sum())
        is_out = column[targets] >= 0
        for ridge in RIDGES:
            projection = fit_projection(
                texts[~out], vectors[described[~out]], biases[described[~out]], ridge
            )
            placed = project(projection, texts[out])
            scores = (hidden @ placed.vectors.T + placed.biases).astype(np.float64)
            of_out = scores[events, np.maximum(column[targets], 0)]
            for scale, offset in product(SCALES, OFFSETS):
                normalizer = np.logaddexp(rest_normalizer, _log_sum_exp(scale * scores) + offset)
                chosen = np.where(is_out, scale * of_out + offset, of_target)
                likelihood[Calibration(ridge, scale, offset)] += float((chosen - normalizer).mean())
    best = max(likelihood, key=likelihood.__getitem__)
    figures = {
        **best._asdict(),
        "log_likelihood": round(likelihood[best] / FOLDS, 4),
        "log_likelihood_of_trained_items": round(float((of_target - _log_sum_exp(own)).mean()), 4),
        "events": len(targets),
    }
    return best, figures


def _log_sum_exp(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) of (n, columns)."""
    highest = scores.max(1)
    sums: NDArray[np.float64] = np.log(np.exp(scores - highest[:, None]).sum(1))
    sums += highest
    return sums
