"""Edges of one item and one event type, as columns.

An item that is clicked often has its bound of edges, and every click after it changes one: packed
columns keep that to a few cache lines, and are stored as they are.
"""

import sys
from array import array
from collections.abc import Iterator
from math import floor, ldexp
from sys import intern
from typing import Any

import msgspec

from streams.codec import CodecError
from streams.kernels import keep_edges
from streams.popularity import decayed_value


class Edge(msgspec.Struct, frozen=True, gc=False):
    """A transition to another item.

    weight: forward-decayed, relative to the base of its column. last_ms: newest event time, epoch
    milliseconds. count: transitions that contributed.
    """

    weight: float
    last_ms: int
    count: int


class StoredEdges(msgspec.Struct, array_like=True, gc=False):
    """The columns as they are stored; weights are little-endian doubles, times 64-bit integers."""

    base: int
    half_life_ms: float
    destinations: list[str]
    weights: bytes
    last_ms: bytes
    counts: list[int]

    def check(self) -> None:
        """CodecError where the columns do not fit together."""
        size = len(self.destinations)
        if (
            not len(self.weights) == len(self.last_ms) == 8 * size
            or not len(self.counts) == size
            or not self.half_life_ms > 0.0
            or min(self.counts, default=0) < 0
        ):
            raise _misfit()


def _misfit() -> CodecError:
    return CodecError(
        "stored item state has edge columns that do not fit together: rebuild this state "
        "from the changelog"
    )


class TypeEdges:
    """Edges by destination item: value at T = weight * 2^(base - T / half_life_ms).

    base: whole half-lives since 1970. half_life_ms: the one the weights were accumulated with,
    which may differ from the configured one until the next transition of this type. slots:
    destination to its place in the columns, in their order.
    """

    __slots__ = ("base", "counts", "half_life_ms", "last_ms", "slots", "weights")

    def __init__(self, base: int, half_life_ms: float) -> None:
        self.base = base
        self.half_life_ms = half_life_ms
        self.slots: dict[str, int] = {}
        self.weights: array[float] = array("d")
        self.last_ms: array[int] = array("q")
        self.counts: array[int] = array("Q")

    def __len__(self) -> int:
        return len(self.weights)

    def __iter__(self) -> Iterator[str]:
        return iter(self.slots)

    def __contains__(self, destination: object) -> bool:
        return destination in self.slots

    def __getitem__(self, destination: str) -> Edge:
        slot = self.slots[destination]
        return Edge(self.weights[slot], self.last_ms[slot], self.counts[slot])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TypeEdges) and self.stored() == other.stored()

    __hash__ = None  # type: ignore[assignment]

    def items(self) -> Iterator[tuple[str, Edge]]:
        """Destinations and their edges, oldest first."""
        columns = zip(self.weights, self.last_ms, self.counts, strict=True)
        return zip(self.slots, (Edge(*row) for row in columns), strict=True)

    def keep(self, wanted: list[bool]) -> None:
        """Forget every edge that is not wanted; one answer for each place of the columns."""
        keep_edges(self, wanted)

    def adopt(self, half_life_ms: float, at_ms: int) -> None:
        """Express the weights, as of an instant, in another half-life."""
        base = floor(at_ms / half_life_ms)
        ahead = 2.0 ** (at_ms / half_life_ms - base)
        self.weights = array(
            "d",
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
        self.weights = array("d", [ldexp(weight, -shift) for weight in self.weights])

    def stored(self) -> StoredEdges:
        """The columns, to be encoded."""
        return StoredEdges(
            self.base,
            self.half_life_ms,
            list(self.slots),
            _little_endian(self.weights).tobytes(),
            _little_endian(self.last_ms).tobytes(),
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
        edges.weights.frombytes(stored.weights)
        edges.last_ms.frombytes(stored.last_ms)
        edges.weights = _little_endian(edges.weights)
        edges.last_ms = _little_endian(edges.last_ms)
        edges.counts = array("Q", stored.counts)
        return edges


def _little_endian(column: "array[Any]") -> "array[Any]":
    """The column itself, or on a big-endian machine a copy with its bytes turned round."""
    if sys.byteorder == "little":
        return column
    turned = array(column.typecode, column)
    turned.byteswap()
    return turned
