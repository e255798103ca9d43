"""Blend: graph, own history and popularity become one score per candidate.

What a score is made of stands in `model.blend`, which training fits; here the same is computed for
the candidates of a batch. The encoder's term comes later, from `streams.ranking`.

Every element is computed on its own, so a user's scores do not depend on who else is in the
batch. A candidate that must not be picked has the score -inf.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from model.blend import INDICATORS, OWN_TERMS, Blend

Floats = NDArray[np.float64]


class BlendWeights(Blend, frozen=True, kw_only=True):
    """A blend that is fit to serve; the defaults are those of a worker without an artefact."""

    graph: float = 0.5
    popularity: float = 0.05

    def __post_init__(self) -> None:
        if faults := self.faults():
            raise ValueError(f"the blend has {', '.join(faults)}")

    @property
    def own_terms(self) -> frozenset[str]:
        """Terms of the own history that a list needs: `own` explains what any other brings."""
        weighted = {name for name in (*OWN_TERMS, *INDICATORS) if getattr(self, name)}
        return frozenset(weighted | {"own"} if weighted else weighted)


def log_prior(share: Floats, floor: float) -> Floats:
    """log(1 + share / floor): 0 for a share of 0."""
    scaled = share / floor
    return np.log1p(scaled, out=scaled)


def popularity_score(shares: Floats, recent_shares: Floats, weights: BlendWeights) -> Floats:
    """What popularity, long and short, adds to the score of each item: the same for everybody."""
    score = np.zeros(len(shares))
    for weight, share in ((weights.popularity, shares), (weights.trending, recent_shares)):
        if weight:
            score += weight * log_prior(share, weights.popularity_floor)
    return score


def prior_score(
    graph: Floats, terms: Mapping[str, Floats], popularity: Floats, weights: BlendWeights
) -> Floats:
    """Score without the encoder's terms.

    `graph`: shares. `terms`: shares and indicators by the name of their weight; what is not there
    is 0 for everybody. `popularity`: of each candidate, from `popularity_score`.
    """
    score = popularity.copy()
    for name, values in {"graph": graph, **terms}.items():
        weight = getattr(weights, name)
        if weight:
            is_share = name not in INDICATORS
            score += weight * (log_prior(values, weights.floor(name)) if is_share else values)
    return score
