"""The seam to the encoder: what a recommender needs of a scorer, and how item numbers meet."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from streams.item_index import ItemIndex
from streams.kernels import pick

if TYPE_CHECKING:
    # Types only: the module behind them loads the inference engine.
    from model.scorer import History, ItemVectors, PreparedBatch, Scores

Integers = NDArray[np.int64]


class Scorer(Protocol):
    """An encoder ready to score (`model.scorer.EncoderScorer` fits).

    The encoder's id of an item is its position in `items` plus 1; 0 is no item.
    """

    @property
    def items(self) -> Sequence[str]:
        """Items that the encoder knows."""

    def prepare(
        self,
        histories: "Sequence[History]",
        candidates: Integers,
        new_items: "ItemVectors | None" = None,
    ) -> "PreparedBatch":
        """Inputs for histories and `[histories, columns]` encoder ids, padded with 0.

        `new_items` have the ids that follow those of `items`.
        """

    def run(self, prepared: "PreparedBatch") -> "Scores":
        """Log-probabilities; may take milliseconds and is called off the event loop."""


class EncoderIndex:
    """Translation between one scorer's encoder ids and the replica's item numbers."""

    __slots__ = ("_encoder_ids", "_numbers")

    def __init__(self, scorer: Scorer, ids: ItemIndex) -> None:
        """Gives every item of the scorer a number: about 0.3 us an item, once a model."""
        self._numbers = np.array([-1, *map(ids.index, scorer.items)], dtype=np.int64)
        self._encoder_ids = np.zeros(len(ids), dtype=np.int64)
        self._encoder_ids[self._numbers[1:]] = np.arange(1, len(self._numbers))

    def encoder_ids(self, items: Integers) -> Integers:
        """Encoder ids of item numbers; 0 for unknown items and for padding (-1)."""
        # An item that got its number later cannot be one of the encoder's.
        return pick(self._encoder_ids, items, 0)

    def numbers(self, encoder_ids: Integers) -> Integers:
        """Item numbers of encoder ids; -1 for 0."""
        return pick(self._numbers, encoder_ids, -1)
