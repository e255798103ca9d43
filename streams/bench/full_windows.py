"""Full windows by chance, ready for the encoder: its work without anything that leads up to it."""

from typing import TYPE_CHECKING

import numpy as np

from model.scorer import History
from streams.scoring import Scorer

if TYPE_CHECKING:
    from model.scorer import PreparedBatch

_MINUTE_MS = 60_000


class FullWindows:
    """Windows of so many events a minute apart, on the items of a scorer; as many candidates of
    each.
    """

    def __init__(self, scorer: Scorer, *, events: int, candidates: int) -> None:
        self._scorer = scorer
        self._events = events
        self._chance = np.random.default_rng(7)
        self._histories: list[History] = []
        self._candidates = np.empty((0, candidates), np.int64)
        self._batches: dict[int, PreparedBatch] = {}

    def prepared(self, users: int) -> "PreparedBatch":
        """The encoder's inputs for so many users: made once, and the same ever after."""
        batch = self._batches.get(users)
        if batch is None:
            if users > len(self._histories):
                self._draw(2 * users)  # the next larger one then costs nothing
            histories, candidates = self._histories[:users], self._candidates[:users]
            batch = self._batches[users] = self._scorer.prepare(histories, candidates)
        return batch

    def _draw(self, users: int) -> None:
        """Windows and candidates of so many users."""
        events, items, chance = self._events, self._scorer.items, self._chance
        times_ms = list(range(0, _MINUTE_MS * events, _MINUTE_MS))
        self._histories = [
            History(
                [items[i] for i in chance.integers(0, len(items), events)],
                [""] * events,
                times_ms,
                [0] * events,
            )
            for _ in range(users)
        ]
        shape = (users, self._candidates.shape[1])
        self._candidates = chance.integers(1, len(items) + 1, shape, np.int64)
