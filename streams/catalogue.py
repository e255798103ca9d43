"""Catalogue: title, categories and availability of items, on every worker.

Changes take effect on the next list. An item that the catalogue has never heard of is available
and has no title; one that was withdrawn is not available any more.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from streams.events import Item
from streams.item_index import ItemIndex, with_room

_NONE: tuple[str, ...] = ()
_FIRST_CAPACITY = 1024


class Catalogue:
    """Latest item messages, with arrays by the item numbers of `ids`."""

    def __init__(self, ids: ItemIndex) -> None:
        """`ids`: the numbers of the replica that lists are made from (`GraphReplica.ids`)."""
        self._ids = ids
        self._items: dict[str, Item] = {}
        self._unavailable = np.zeros(_FIRST_CAPACITY, dtype=np.bool_)
        self._announced_ms = np.zeros(_FIRST_CAPACITY, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._items)

    def apply(self, item: Item) -> None:
        """Take over an item message, which replaces what was known of the item."""
        self._items[item.item_id] = item
        index = self._ids.index(item.item_id)
        self._unavailable = with_room(self._unavailable, index + 1)
        self._announced_ms = with_room(self._announced_ms, index + 1)
        self._unavailable[index] = not item.available
        # A later message is a change of the item, not its announcement.
        announced_ms = self._announced_ms[index]
        if item.timestamp_ms is not None and not 0 < announced_ms <= item.timestamp_ms:
            self._announced_ms[index] = item.timestamp_ms

    def withdraw(self, item_id: str) -> None:
        """The item exists no longer: never recommended, until a new message about it."""
        self._items.pop(item_id, None)
        index = self._ids.index(item_id)
        self._unavailable = with_room(self._unavailable, index + 1)
        self._announced_ms = with_room(self._announced_ms, index + 1)
        self._unavailable[index] = True
        self._announced_ms[index] = 0

    def get(self, item_id: str) -> Item | None:
        """The latest message about an item, None if there is none or it was withdrawn."""
        return self._items.get(item_id)

    def items(self) -> list[Item]:
        """The latest message about every item, in the order of their first messages."""
        return list(self._items.values())

    def title(self, item_id: str) -> str:
        """Title of an item, "" where there is none."""
        item = self._items.get(item_id)
        return "" if item is None else item.title

    def titles(self, item_ids: Iterable[str]) -> list[str]:
        """Titles of many items."""
        return ["" if item is None else item.title for item in map(self._items.get, item_ids)]

    def categories(self, item_id: str) -> Sequence[str]:
        """Categories of an item."""
        item = self._items.get(item_id)
        return _NONE if item is None else item.categories

    def available(self, item_id: str) -> bool:
        """Whether the item may be recommended."""
        index = self._ids.find(item_id)
        return not (0 <= index < len(self._unavailable) and self._unavailable[index])

    def unavailable_mask(self) -> NDArray[np.bool_]:
        """By item number, True where the item must not be recommended.

        Covers every number of the index; not to be kept: the next message may change it.
        """
        self._unavailable = with_room(self._unavailable, len(self._ids))
        return self._unavailable

    def announced_ms(self) -> NDArray[np.int64]:
        """By item number, the earliest timestamp that messages gave, 0 = none.

        Covers every number of the index; not to be kept. After a compaction of the topic only
        the latest change of an item is left to tell.
        """
        self._announced_ms = with_room(self._announced_ms, len(self._ids))
        return self._announced_ms

    def new_items(self, at_ms: int, within_ms: int) -> NDArray[np.int64]:
        """Numbers of available items announced in the `within_ms` before `at_ms`."""
        announced = self.announced_ms()
        new = (announced > at_ms - within_ms) & (announced <= at_ms) & (announced > 0)
        candidates = np.flatnonzero(new)
        return candidates[~self.unavailable_mask()[candidates]]
