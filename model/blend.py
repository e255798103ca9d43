"""The blend: what an item's score is made of, the same in training and in serving.

score = encoder * log p_encoder + unknown * [the encoder does not know the item]
      + sum over the shares of weight * log(1 + share / floor)
      + seen * [in the window] + last * [the window's last item]

Shares, each 0..1:

    graph          transitions from the last `graph_window` distinct items, each counting
                   `window_decay` times the next newer one
    graph_last     transitions from the last item alone
    own            the user's own events, each counting `own_decay` times the next newer one
    own_frequency  the user's own events, all alike
    own_recency    1 / place among the user's distinct items, the newest being 1
    own_next       what the user's own window has after earlier events on the last item, with
                   `own_decay`
    popularity     decayed popularity, long half-life
    trending       decayed popularity, short half-life

An item that the encoder does not know has the lowest of the user's best log-probabilities.
"""

import math
from collections.abc import Callable, Iterable

import msgspec

GRAPH_TERMS = ("graph", "graph_last")
OWN_TERMS = ("own", "own_frequency", "own_recency", "own_next")
POPULARITY_TERMS = ("popularity", "trending")
INDICATORS = ("seen", "last")
PRIOR_TERMS = (*GRAPH_TERMS, *OWN_TERMS, *POPULARITY_TERMS, *INDICATORS)
TERMS = ("encoder", "unknown", *PRIOR_TERMS)
# An item may have these against it; every other term speaks for an item or not at all.
SIGNED_TERMS = frozenset({"unknown", "own_recency", *INDICATORS})


class Blend(msgspec.Struct, frozen=True, kw_only=True):
    """Weights and shapes of the terms of a score, fitted on validation data.

    The defaults of all but the first four weights are what a blend without them means.
    """

    encoder: float = 1.0
    graph: float = 0.0
    own: float = 0.0
    popularity: float = 0.0
    unknown: float = 0.0
    graph_last: float = 0.0
    own_frequency: float = 0.0
    own_recency: float = 0.0
    own_next: float = 0.0
    trending: float = 0.0
    seen: float = 0.0
    last: float = 0.0
    graph_floor: float = 1e-5
    own_floor: float = 1e-5
    popularity_floor: float = 1e-5
    graph_window: int = 5
    window_decay: float = 0.7
    own_decay: float = 0.9

    def faults(self) -> list[str]:
        """What cannot be used, none in a good blend."""
        weights = {name: float(getattr(self, name)) for name in TERMS}
        floors = {name: getattr(self, name) for name in _FLOORS}
        decays = {name: getattr(self, name) for name in ("window_decay", "own_decay")}
        return [
            *_named("weight", weights, math.isfinite),
            *(
                f"weight {name} {weight} below 0"
                for name, weight in weights.items()
                if weight < 0 and name not in SIGNED_TERMS
            ),
            *_named("floor", floors, lambda floor: 0.0 < floor <= 1.0),
            *_named("decay", decays, lambda decay: 0.0 < decay <= 1.0),
            *([] if 1 <= self.graph_window <= 1000 else [f"graph_window {self.graph_window}"]),
        ]

    def floor(self, term: str) -> float:
        """Share at which a term starts to count."""
        if term in GRAPH_TERMS:
            return self.graph_floor
        return self.own_floor if term in OWN_TERMS else self.popularity_floor

    def uses(self, terms: Iterable[str]) -> bool:
        """Whether any of these terms has a weight."""
        return any(getattr(self, name) for name in terms)


_FLOORS = ("graph_floor", "own_floor", "popularity_floor")


def _named(kind: str, values: dict[str, float], good: Callable[[float], bool]) -> list[str]:
    return [f"{kind} {name} {value}" for name, value in values.items() if not good(value)]
