"""Edges, from stored items to the columns of a batch: what the kernels mean, in NumPy.

The out-edges of one item are read once and kept as one `bytes` until the item changes, in the
order of this machine: how many segments and edges, then the columns of `Neighbours` one after the
other, and `[segments, 2]` where the names of a segment's destinations begin and end in the item. A
list reads thousands of edges all over the memory, so they are no wider than they are stored.
"""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

ITEM_BITS = 32
"""A key of a candidate is user << ITEM_BITS | item number."""

_HEAD_BYTES = 16
_SEGMENT_BYTES = 4 * 8


class Neighbours(NamedTuple):
    """Out-edges of one item, in segments: one segment an event type."""

    segments: Floats
    """`[segments, 4]`: edges, base, half-life in ms, sum of the weights in their order."""
    last_ms: Integers
    """`[edges]`: when each was last strengthened, to the second."""
    weights: NDArray[np.float32]
    """`[edges]`: forward-decayed, relative to the base of their segment."""
    destinations: NDArray[np.uint32]
    """`[edges]`: item numbers; an item occurs at most once a segment."""


class Segment(NamedTuple):
    """Edges of one event type, to be packed."""

    base: int
    half_life_ms: float
    destinations: Sequence[int]
    weights: NDArray[np.float32]
    last_ms: Integers


class EdgeColumns(NamedTuple):
    """Out-edges of a batch, pair after pair; a pair is one source item of one user."""

    contributions: Floats
    """`[edges]`"""
    last_ms: Integers
    """`[edges]`"""
    pair_start: Integers
    """`[pairs]`: first edge."""
    pair_source: Integers
    """`[pairs]`: position in the user's sources."""
    pair_importance: Floats
    """`[pairs]`"""


def read_edges(
    blob: bytes,  # noqa: ARG001
    start: int,  # noqa: ARG001
    wanted: Collection[str],  # noqa: ARG001
    index_all: Callable[[list[str]], list[int]],  # noqa: ARG001
    before: tuple[bytes, bytes] | None,  # noqa: ARG001
) -> bytes | None:
    """Pack the edges of wanted event types of a stored item, whose watermarks begin at `start`.

    `index_all`: numbers of item names. `before`: an older state of the item and what this gave for
    it; destinations that stand there already are not looked up again.

    b"" for an item without edges. None: read it otherwise. So it is for everything that is not as
    this version stores it, and for all in Python, where looking at each byte takes longer than it
    saves.
    """
    return None


def pack_edges(segments: Sequence[Segment]) -> bytes:
    """Segments as one `bytes`, without those whose weights have no sum; b"" if none is left."""
    rows = []
    kept = []
    for segment in segments:
        weights = segment.weights.astype(np.float64)
        total = float(np.add.accumulate(weights)[-1]) if len(weights) else 0.0
        if total > 0.0:
            rows.append((len(segment.weights), segment.base, segment.half_life_ms, total))
            kept.append(segment)
    if not kept:
        return b""
    return b"".join(
        (
            np.array([len(rows), sum(row[0] for row in rows)], np.int64).tobytes(),
            np.array(rows, np.float64).tobytes(),
            *(segment.last_ms.astype(np.int64).tobytes() for segment in kept),
            *(segment.weights.astype(np.float32).tobytes() for segment in kept),
            *(np.array(segment.destinations, np.uint32).tobytes() for segment in kept),
            np.zeros((len(rows), 2), np.int64).tobytes(),
        )
    )


def unpack_edges(packed: bytes) -> Neighbours:
    """The columns in what `read_edges` or `pack_edges` gave, in place."""
    segments, edges = np.frombuffer(packed, np.int64, 2).tolist()
    at = _HEAD_BYTES + _SEGMENT_BYTES * segments
    return Neighbours(
        np.frombuffer(packed, np.float64, 4 * segments, _HEAD_BYTES).reshape(-1, 4),
        np.frombuffer(packed, np.int64, edges, at),
        np.frombuffer(packed, np.float32, edges, at + 8 * edges),
        np.frombuffer(packed, np.uint32, edges, at + 12 * edges),
    )


def join_edges(
    pairs: Sequence[bytes], rows: Integers, now_ms: Floats, importance: Floats
) -> tuple[Integers, Floats, Integers, Integers]:
    """The edges of all pairs: keys, contributions and times `[edges]`, and each pair's first edge.

    A pair is packed edges, not b"", of a source of the user in `rows`, whose instant is in
    `now_ms`, and gives that user `importance`; a pair's contributions sum to that. Only the
    proportions of a pair at that instant matter, so edges of any age neither vanish nor overflow.
    """
    found = [unpack_edges(pair) for pair in pairs]
    segments = np.concatenate([pair.segments for pair in found])
    counts = np.array([len(pair.segments) for pair in found])
    of_pair = np.repeat(np.arange(len(pairs)), counts)
    sizes = segments[:, 0].astype(np.int64)
    exponents = segments[:, 1] - now_ms[rows[of_pair]] / segments[:, 2]
    exponents -= np.maximum.reduceat(exponents, np.cumsum(counts) - counts)[of_pair]
    scales = np.exp2(exponents)
    totals = np.bincount(of_pair, scales * segments[:, 3], len(pairs))
    scales *= (importance / totals)[of_pair]
    degrees = np.array([len(pair.destinations) for pair in found])
    keys = np.concatenate([pair.destinations for pair in found]).astype(np.int64)
    keys |= np.repeat(rows[of_pair] << ITEM_BITS, sizes)
    weights = np.concatenate([pair.weights for pair in found]).astype(np.float64)
    contributions = weights * np.repeat(scales, sizes)
    last_ms = np.concatenate([pair.last_ms for pair in found])
    return keys, contributions, last_ms, np.cumsum(degrees) - degrees
