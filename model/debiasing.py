"""Popularity-debiased examples: a few very popular targets may not decide a figure.

The definition is that of RecTools' `DebiasConfig` (github.com/MobileTeleSystems/RecTools), with
which eSASRec (RecSys 2025) reports its "Debiased HR@10": of a target that occurs in more test
interactions than Q3 + 1.5 IQR of all targets' counts, only so many interactions are kept, drawn at
random. Here nothing is drawn: each example has the weight with which it would be kept, so the
weighted mean is the expectation of that figure over all draws.
"""

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

IQR_COEFFICIENT = 1.5


def debiasing_weights(targets: IntArray) -> FloatArray:
    """(n,) share of each example that is kept, by how often its target (n,) is one; 0 < w <= 1.

    An example is one interaction: where a user has several, each counts.
    """
    if not len(targets):
        return np.zeros(0, np.float64)
    _, of_example, counts = np.unique(targets, return_inverse=True, return_counts=True)
    first, third = np.quantile(counts, [0.25, 0.75])
    most = int(third + IQR_COEFFICIENT * (third - first))
    weights: FloatArray = np.minimum(1.0, most / counts)[of_example]
    return weights
