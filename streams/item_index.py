"""Dense item numbers: what arrays of a worker are indexed by."""

from collections.abc import Collection, Iterable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from streams.kernels import find_numbers

_FIRST_CAPACITY = 1024

Array = TypeVar("Array", bound=NDArray[Any])


class ItemIndex:
    """Numbers for item ids, given on first use and valid as long as the process.

    Never shrinks: it is bounded by the items that the worker has ever heard of.
    """

    __slots__ = ("_ids", "_numbers", "_tie_keys")

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._ids: list[str] = []
        self._tie_keys = np.zeros(_FIRST_CAPACITY, dtype=np.uint64)

    def __len__(self) -> int:
        return len(self._ids)

    def index(self, item_id: str) -> int:
        """Number of an item, a new one if it has none."""
        number = self._numbers.get(item_id)
        if number is None:
            number = self._numbers[item_id] = len(self._ids)
            self._ids.append(item_id)
            self._tie_keys = with_room(self._tie_keys, len(self._ids))
            self._tie_keys[number] = xxh3_64_intdigest(item_id.encode())
        return number

    def index_all(self, item_ids: Collection[str]) -> list[int]:
        """Numbers of many items, new ones for those that have none."""
        found: list[int | None] = list(map(self._numbers.get, item_ids))
        if None in found:
            return [self.index(item_id) for item_id in item_ids]
        return found  # type: ignore[return-value]

    def find(self, item_id: str) -> int:
        """Number of an item, -1 if it has none."""
        return self._numbers.get(item_id, -1)

    def find_all(self, item_ids: Collection[str]) -> set[int]:
        """Numbers of those items that have one."""
        return find_numbers(self._numbers, item_ids)

    def item_id(self, index: int) -> str:
        """Id of a number that `index` gave."""
        return self._ids[index]

    def item_ids(self, indexes: Iterable[int]) -> list[str]:
        """Ids of many numbers."""
        return list(map(self._ids.__getitem__, indexes))

    def ranked_ids(self, indexes: list[int]) -> list[str]:
        """Ids of numbers up to the first -1."""
        if indexes and indexes[-1] < 0:
            indexes = indexes[: indexes.index(-1)]
        return self.item_ids(indexes)

    @property
    def tie_keys(self) -> NDArray[np.uint64]:
        """By item number, a stable hash of the id; may be longer than the index.

        Equal scores are ordered by it: alike on every worker, and no item is favoured for its
        place in the alphabet.
        """
        return self._tie_keys


def with_room(values: Array, size: int) -> Array:
    """`values` if it has room for `size`, else a copy with at least twice the room, zero-filled."""
    if size <= len(values):
        return values
    larger = np.zeros(max(2 * len(values), size), dtype=values.dtype)
    larger[: len(values)] = values
    return larger  # type: ignore[return-value]
