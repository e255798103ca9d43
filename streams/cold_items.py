"""Cold items: items of the catalogue that the encoder has never seen, placed by their text.

Which items are to be placed, where the placed ones are, and how their numbers meet the scorer's
ids. What turns text into places is slow and happens elsewhere (`streams.item_placement`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.catalogue import Catalogue
from streams.events import Item
from streams.item_index import ItemIndex
from streams.scoring import EncoderIndex

if TYPE_CHECKING:
    # Types only: the modules behind them load the inference engine.
    from model.scorer import EncoderScorer, ItemVectors

Integers = NDArray[np.int64]

MAX_COLD_ITEMS = 10_000
"""Most items placed, and most that wait; of more, the newest. With 64 numbers each: 2.6 MB."""

_Text = tuple[str, tuple[str, ...]]


class ColdSnapshot(NamedTuple):
    """All placed items as of a moment; never changes."""

    numbers: Integers
    """`[items]`: item numbers, in the order of `vectors`."""
    vectors: "ItemVectors"


class ColdIndex(EncoderIndex):
    """An encoder's ids, and behind them those of the cold items of one snapshot."""

    __slots__ = ("_base", "_cold", "_known", "_order", "_sorted")

    def __init__(self, base: EncoderIndex, known: int, cold: Integers) -> None:
        """`known`: items of the encoder. `cold`: item numbers of the ids `known + 1` onwards."""
        self._base, self._known, self._cold = base, known, cold
        self._order = np.argsort(cold)
        self._sorted = cold[self._order]

    def encoder_ids(self, items: Integers) -> Integers:
        """Ids of item numbers; 0 for items neither known nor placed, and for padding (-1)."""
        ids = self._base.encoder_ids(items)
        if not len(self._cold):
            return ids
        place = np.minimum(np.searchsorted(self._sorted, items), len(self._sorted) - 1)
        is_cold = (ids == 0) & (self._sorted[place] == items)
        return np.where(is_cold, self._known + 1 + self._order[place], ids)

    def numbers(self, encoder_ids: Integers) -> Integers:
        """Item numbers of ids; -1 for 0."""
        is_cold = encoder_ids > self._known
        numbers = self._base.numbers(np.where(is_cold, 0, encoder_ids))
        numbers[is_cold] = self._cold[encoder_ids[is_cold] - self._known - 1]
        return numbers


class ColdItems:
    """Items to be placed and items placed, for the scorer that serves. One thread only."""

    def __init__(
        self, ids: ItemIndex, catalogue: Catalogue, *, limit: int = MAX_COLD_ITEMS
    ) -> None:
        self._ids = ids
        self._catalogue = catalogue
        self._limit = limit
        self._scorer: EncoderScorer | None = None
        self._waiting: dict[str, Item] = {}
        self._slots: dict[str, int] = {}
        """By item id, oldest first: its row in the arrays."""
        self._texts: list[_Text] = []
        self._numbers = np.zeros(0, dtype=np.int64)
        self._vectors = np.zeros((0, 0), dtype=np.float32)
        self._biases = np.zeros(0, dtype=np.float32)
        self._snapshot: ColdSnapshot | None = None

    def __len__(self) -> int:
        """Items placed."""
        return len(self._slots)

    @property
    def waiting(self) -> int:
        """Items to be placed."""
        return len(self._waiting)

    def serve(self, scorer: "EncoderScorer") -> None:
        """Another scorer: places mean nothing any more, and other items are cold."""
        self._scorer = scorer
        self._waiting.clear()
        self._slots.clear()
        self._texts.clear()
        rows = self._limit if scorer.text is not None else 0
        dim = scorer.manifest.dim if rows else 0
        self._numbers = np.zeros(rows, dtype=np.int64)
        self._vectors = np.zeros((rows, dim), dtype=np.float32)
        self._biases = np.zeros(rows, dtype=np.float32)
        self._snapshot = None
        if rows:
            for item in self._catalogue.items():
                self.apply(item)

    def apply(self, item: Item) -> None:
        """An item message: its item waits if the encoder does not know it and its text is new."""
        scorer = self._scorer
        if scorer is None or scorer.text is None or scorer.item_index(item.item_id):
            return
        slot = self._slots.get(item.item_id)
        if slot is not None and self._texts[slot] == _text(item):
            self._waiting.pop(item.item_id, None)
            return
        if not item.title and not any(item.categories):
            self.withdraw(item.item_id)
            return
        self._waiting.pop(item.item_id, None)
        self._waiting[item.item_id] = item
        if len(self._waiting) > self._limit:
            del self._waiting[next(iter(self._waiting))]

    def withdraw(self, item_id: str) -> None:
        """The item exists no longer, or has no text."""
        self._waiting.pop(item_id, None)
        if item_id in self._slots:
            self._remove(item_id)

    def take(self, most: int) -> list[Item]:
        """Items to place now, the newest first: a backlog does not hold up a fresh item."""
        return [self._waiting.popitem()[1] for _ in range(min(most, len(self._waiting)))]

    def place(self, scorer: "EncoderScorer", items: Sequence[Item], vectors: "ItemVectors") -> None:
        """Take over the places of items; those of another scorer are of no use."""
        if scorer is not self._scorer:
            return
        for item, vector, bias in zip(items, vectors.vectors, vectors.biases, strict=True):
            # It may have been withdrawn or changed in the meantime.
            now = self._catalogue.get(item.item_id)
            if now is None or _text(now) != _text(item):
                continue
            slot = self._slots.get(item.item_id)
            if slot is None:
                if len(self._slots) == self._limit:
                    self._remove(next(iter(self._slots)))
                slot = self._slots[item.item_id] = len(self._texts)
                self._texts.append(_text(item))
            self._texts[slot] = _text(item)
            self._numbers[slot] = self._ids.index(item.item_id)
            self._vectors[slot], self._biases[slot] = vector, bias
        self._snapshot = None

    def of(self, scorer: object) -> ColdSnapshot | None:
        """What is placed for this scorer; None if nothing is."""
        size = len(self._slots)
        if scorer is not self._scorer or not size:
            return None
        if self._snapshot is None:
            from model.scorer import ItemVectors

            self._snapshot = ColdSnapshot(
                self._numbers[:size].copy(),
                ItemVectors(self._vectors[:size].copy(), self._biases[:size].copy()),
            )
        return self._snapshot

    def _remove(self, item_id: str) -> None:
        """Free a row: the last one moves into it."""
        slot, last = self._slots.pop(item_id), len(self._texts) - 1
        if slot != last:
            moved = self._ids.item_id(int(self._numbers[last]))
            self._slots[moved] = slot
            self._texts[slot] = self._texts[last]
            for column in (self._numbers, self._vectors, self._biases):
                column[slot] = column[last]
        self._texts.pop()
        self._snapshot = None


def _text(item: Item) -> _Text:
    return item.title, tuple(item.categories)
