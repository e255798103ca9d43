"""Histories: what lists read of windows. These kernels in Python say what they mean."""

from array import array
from collections.abc import Collection

import numpy as np


def read_times(arrivals: bytearray, base_ms: int, start: int, *, wide: bool) -> "array[int]":
    """Event times, in ms, of the packed arrivals from the entry `start` on.

    An array, since lists look at few of them, and to make numbers of all would cost more.
    """
    numbers = np.frombuffer(arrivals, "<u8" if wide else "<u4")
    return array("q", (numbers[2 * start :: 2].astype(np.int64) + base_ms).tobytes())


def name_kinds(types: list[str], kinds: bytearray | list[int], start: int) -> list[str]:
    """Event types of the entries from `start` on; kinds are indexes into the types."""
    return [types[kind] for kind in kinds[start:]]


def last_distinct(items: list[str], n: int) -> list[str]:
    """The last `n` different items, newest first."""
    found = dict.fromkeys(items[: -2 * n - 1 : -1])  # mostly enough
    if len(found) < n:
        found = dict.fromkeys(reversed(items))
    return list(found)[:n]


def find_numbers(numbers: dict[str, int], item_ids: Collection[str]) -> set[int]:
    """Numbers of those items that have one."""
    found: set[int | None] = set(map(numbers.get, item_ids))
    found.discard(None)
    return found  # type: ignore[return-value]
