"""Edges of one item and one event type, as columns.

An item that is clicked often has its bound of edges, and every click after it changes one: packed
columns keep that to a few cache lines, and are stored nearly as they are. Every worker holds the
whole graph and reads all its changes, so they are no wider than needed: a weight, of which only
proportions count, has 24 bits, and a time whole seconds.
"""

from array import array
from collections.abc import Iterator
from math import floor, ldexp
from sys import intern

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.codec import CodecError
from streams.kernels import keep_edges
from streams.popularity import decayed_value

# Edges are rebased once a transition is worth 2^64 of what it was: weights (at most a million a
# transition, and 2^25 times that before it no longer counts) then stay below 2^110, and a float32
# ends at 2^128.
EDGE_REBASE_HALF_LIVES = 64
AGE_BYTES = (1, 2, 3, 4, 8)
_WIDEST = AGE_BYTES[-1]
_TWO_TO_64 = 1 << 64


class Edge(msgspec.Struct, frozen=True, gc=False):
    """A transition to another item.

    weight: forward-decayed, relative to the base of its column. last_ms: newest event time, epoch
    milliseconds of a whole second. count: transitions that contributed.
    """

    weight: float
    last_ms: int
    count: int


class StoredEdges(msgspec.Struct, array_like=True, gc=False):
    """The columns as they are stored; numbers in them are little-endian.

    weights: float32. newest_seconds: of the newest edge, since 1970; ages: how much older each edge
    is, in as many bytes (`AGE_BYTES`) as the oldest takes.
    """

    base: int
    half_life_ms: float
    destinations: list[str]
    weights: bytes
    newest_seconds: int
    ages: bytes
    counts: list[int]

    def check(self) -> None:
        """CodecError where the columns do not fit together."""
        size = len(self.destinations)
        if (
            not len(self.weights) == 4 * size
            or not len(self.counts) == size
            or (len(self.ages) not in [width * size for width in AGE_BYTES])
            or not self.half_life_ms > 0.0
            or min(self.counts, default=0) < 0
        ):
            raise _misfit()

    def last_seconds(self) -> NDArray[np.int64]:
        """`[edges]`: newest event time of each, seconds since 1970."""
        size = len(self.destinations)
        wide = np.zeros((size, _WIDEST), np.uint8)
        if size:
            wide[:, : len(self.ages) // size] = np.frombuffer(self.ages, np.uint8).reshape(size, -1)
        ages = wide.view("<u8").reshape(size).astype(np.uint64)
        return (np.uint64(self.newest_seconds % _TWO_TO_64) - ages).astype(np.int64)


def _misfit() -> CodecError:
    return CodecError(
        "stored item state has edge columns that do not fit together: rebuild this state "
        "from the changelog"
    )


class TypeEdges:
    """Edges by destination item: value at T = weight * 2^(base - T / half_life_ms).

    base: whole half-lives since 1970. half_life_ms: the one the weights were accumulated with,
    which may differ from the configured one until the next transition of this type. slots:
    destination to its place in the columns, in their order; only ever added to, or replaced.
    weights: float32, so one that is 2^24 times what a transition adds grows no more, and one 149
    half-lives before the base is 0. packed_names: what encoding keeps of its last time.
    """

    __slots__ = (
        "base",
        "counts",
        "half_life_ms",
        "last_seconds",
        "packed_names",
        "slots",
        "weights",
    )

    def __init__(self, base: int, half_life_ms: float) -> None:
        self.base = base
        self.half_life_ms = half_life_ms
        self.slots: dict[str, int] = {}
        self.packed_names: tuple[dict[str, int], int, bytes] | None = None
        self.weights: array[float] = array("f")
        self.last_seconds: array[int] = array("q")
        self.counts: array[int] = array("Q")

    def __len__(self) -> int:
        return len(self.weights)

    def __iter__(self) -> Iterator[str]:
        return iter(self.slots)

    def __contains__(self, destination: object) -> bool:
        return destination in self.slots

    def __getitem__(self, destination: str) -> Edge:
        slot = self.slots[destination]
        return Edge(self.weights[slot], 1000 * self.last_seconds[slot], self.counts[slot])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TypeEdges) and self.stored() == other.stored()

    __hash__ = None  # type: ignore[assignment]

    def items(self) -> Iterator[tuple[str, Edge]]:
        """Destinations and their edges, oldest first."""
        columns = zip(self.slots, self.weights, self.last_seconds, self.counts, strict=True)
        return (
            (destination, Edge(weight, 1000 * seconds, count))
            for destination, weight, seconds, count in columns
        )

    def keep(self, wanted: list[bool]) -> None:
        """Forget every edge that is not wanted; one answer for each place of the columns."""
        keep_edges(self, wanted)

    def adopt(self, half_life_ms: float, at_ms: float) -> None:
        """Express the weights in a new half-life; values at that instant stay what they are.

        The instant is `at_ms`, or the newest that the edges know of: to a transition that is late
        by many half-lives they are worth more than a float32 holds.
        """
        newest_ms = [1000 * seconds for seconds in self.last_seconds]
        at_ms = max(at_ms, self.base * self.half_life_ms, *newest_ms)
        base = floor(at_ms / half_life_ms)
        ahead = 2.0 ** (at_ms / half_life_ms - base)
        self.weights = array(
            "f",
            [
                ahead * decayed_value(weight, self.base, self.half_life_ms, at_ms)
                for weight in self.weights
            ],
        )
        self.base = base
        self.half_life_ms = half_life_ms

    def rebase(self, shift: int) -> None:
        """Move the base forward by whole half-lives; values stay what they are."""
        self.base += shift
        self.weights = array("f", [ldexp(weight, -shift) for weight in self.weights])

    def stored(self) -> StoredEdges:
        """The columns, to be encoded."""
        newest_seconds = max(self.last_seconds, default=0)
        ages = np.array([newest_seconds - seconds for seconds in self.last_seconds], np.uint64)
        width = _bytes_of(int(ages.max(initial=0)))
        return StoredEdges(
            self.base,
            self.half_life_ms,
            list(self.slots),
            np.array(self.weights, "<f4").tobytes(),
            newest_seconds,
            ages.astype("<u8").view(np.uint8).reshape(-1, _WIDEST)[:, :width].tobytes(),
            self.counts.tolist(),
        )

    @classmethod
    def restored(cls, stored: StoredEdges) -> "TypeEdges":
        """Edges from stored columns; raises CodecError when they do not fit together."""
        stored.check()
        size = len(stored.destinations)
        edges = cls(stored.base, stored.half_life_ms)
        edges.slots = dict(zip(map(intern, stored.destinations), range(size), strict=True))
        if len(edges.slots) != size:
            raise _misfit()
        edges.weights = array("f", np.frombuffer(stored.weights, "<f4").astype("=f4").tobytes())
        edges.last_seconds = array("q", stored.last_seconds().tobytes())
        edges.counts = array("Q", stored.counts)
        return edges


def _bytes_of(age: int) -> int:
    """How many bytes an age of so many seconds is stored in."""
    return next(width for width in AGE_BYTES if age < 1 << 8 * width)
