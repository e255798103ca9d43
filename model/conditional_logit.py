"""Conditional logit: weights under which what came is the most likely of what could have come.

P(i | alternatives) = exp(w . x_i) / sum over alternatives of exp(w . x_j), the choice model of
McFadden ("Conditional logit analysis of qualitative choice behavior", 1974). The log-likelihood is
concave, so Newton's method finds the one maximum in a few steps.
"""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Weights = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

MAX_STEPS = 50
TOLERANCE = 1e-6
_ROWS_AT_ONCE = 128


def fit_logit(
    terms: FloatArray, present: BoolArray, free: BoolArray, *, penalty: float = 1e-3
) -> Weights:
    """(T,) weights of the terms (n, C, T), of which the first alternative of each row came.

    present: (n, C) which alternatives there are. free: (T,) which weights may be negative; the
    others are at least 0. penalty: of the squared weights, each in units of its term's standard
    deviation, per example.
    """
    weights = np.zeros(terms.shape[2])
    if not present.any():
        return weights
    scale = terms[present].std(0).astype(np.float64)
    used = scale > 1e-9
    while used.any():
        weights = _newton(terms, present, used, scale, penalty)
        negative = used & ~free & (weights < 0)
        if not negative.any():
            break
        # The one that is furthest below 0 goes first: without it others may be above.
        used &= np.arange(len(used)) != np.argmin(np.where(negative, weights * scale, np.inf))
        weights = np.where(used, weights, 0.0)
    return np.where(used, weights, 0.0)


def mean_log_likelihood(terms: FloatArray, present: BoolArray, weights: Weights) -> float:
    """Of what came, per example."""
    scores = np.where(present, terms @ weights.astype(np.float32), -np.inf).astype(np.float64)
    highest = scores.max(1, keepdims=True)
    return float((scores[:, 0] - highest[:, 0] - np.log(np.exp(scores - highest).sum(1))).mean())


def _newton(
    terms: FloatArray, present: BoolArray, used: BoolArray, scale: Weights, penalty: float
) -> Weights:
    """The maximum over the weights `used`, the others being 0."""
    columns = np.flatnonzero(used)
    standard = scale[columns]
    found = np.zeros(len(columns))

    def objective(candidate: Weights) -> float:
        weights = np.zeros(len(used))
        weights[columns] = candidate / standard
        fit = mean_log_likelihood(terms, present, weights)
        return fit - penalty * float(candidate @ candidate)

    best = objective(found)
    for _ in range(MAX_STEPS):
        gradient, hessian = _derivatives(terms, present, columns, standard, found)
        gradient -= 2 * penalty * found
        hessian += 2 * penalty * np.eye(len(found))
        step = np.linalg.solve(hessian, gradient)
        length = 1.0
        value = objective(found + step)
        while value <= best and length > 1e-4:
            length /= 2
            value = objective(found + length * step)
        if value <= best:
            break
        found = found + length * step
        gained, best = value - best, value
        if gained < TOLERANCE:
            break
    weights = np.zeros(len(used))
    weights[columns] = found / standard
    return weights


def _derivatives(
    terms: FloatArray,
    present: BoolArray,
    columns: NDArray[np.int64],
    standard: Weights,
    found: Weights,
) -> tuple[Weights, Weights]:
    """Gradient of the mean log-likelihood, and minus its second derivatives."""
    gradient = np.zeros(len(columns))
    hessian = np.zeros((len(columns), len(columns)))
    for first in range(0, len(terms), _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        values = terms[rows][:, :, columns] / standard  # (r, C, U)
        scores = np.where(present[rows], values @ found, -np.inf)
        chances = np.exp(scores - scores.max(1, keepdims=True))
        chances /= chances.sum(1, keepdims=True)
        expected = np.einsum("rc,rcu->ru", chances, values)
        gradient += (values[:, 0] - expected).sum(0)
        flat = values.reshape(-1, len(columns))
        hessian += flat.T @ (flat * chances.reshape(-1, 1)) - expected.T @ expected
    return gradient / len(terms), hessian / len(terms)
