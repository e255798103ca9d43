"""Forgetting: which edges of an item stay when there are too many, or a type loses some."""

from array import array
from itertools import compress, count
from typing import Protocol


class Edges(Protocol):
    """Edges of one event type, as columns (`streams.edges.TypeEdges`)."""

    base: int
    half_life_ms: float
    slots: dict[str, int]
    weights: "array[float]"
    last_seconds: "array[int]"
    counts: "array[int]"


def keep_strongest(edges: Edges, kept: int) -> None:
    """Forget all but the `kept` strongest edges; there have to be more. Ties go by age
    and item.
    """
    weights, last_seconds = edges.weights, edges.last_seconds
    bar = sorted(weights)[-kept - 1]
    wanted = [weight > bar for weight in weights]
    missing = kept - sum(wanted)
    if missing:
        ties = [
            (last_seconds[slot], item_id, slot)
            for item_id, slot in edges.slots.items()
            if weights[slot] == bar
        ]
        for _, _, slot in sorted(ties)[-missing:]:
            wanted[slot] = True
    keep_edges(edges, wanted)


def keep_edges(edges: Edges, wanted: list[bool]) -> None:
    """Forget every edge that is not wanted; one answer for each place of the columns."""
    edges.slots = dict(zip(compress(edges.slots, wanted), count()))
    edges.weights = array("f", compress(edges.weights, wanted))
    edges.last_seconds = array("q", compress(edges.last_seconds, wanted))
    edges.counts = array("Q", compress(edges.counts, wanted))
