"""Lookahead: what the encoder will say of the next events, worked out in batches.

A user's history at an event is known before anything is ranked, because it depends on the log
alone. So the encoder sees the histories of many events at once, while graph and popularity are
still at the first of them. Its scores are handed out one event at a time by a scorer that a
`Recommender` uses like any other.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.core import WindowFold
from streams.event_log import EventLog
from streams.pipeline import PipelineConfig
from streams.window import history

if TYPE_CHECKING:
    # Types only: the module behind them loads the inference engine.
    from model.scorer import EncoderScorer, History, ItemVectors, PreparedBatch, Scores

Integers = NDArray[np.int64]
Logs = NDArray[np.float32]

CELLS_AT_ONCE = 8_000_000
MAX_EVENTS_AHEAD = 4096


class Ahead(NamedTuple):
    """The encoder's scores of some events: one row each."""

    rows: dict[int, int]
    """Position of an event in the log to its row."""
    scores: "Scores"
    """`candidate_log_probs` has a column for every encoder id; that of 0 is -inf."""


class LookaheadScorer:
    """Gives the scores of `event`, whatever history it is shown: it was scored before."""

    def __init__(self, items: Sequence[str]) -> None:
        self.items = items
        self.ahead: Ahead | None = None
        self.event = -1

    def log_probs(self) -> Logs | None:
        """`[ids]` of the event at hand; None where it was not scored."""
        if self.ahead is None or self.event not in self.ahead.rows:
            return None
        row: Logs = self.ahead.scores.candidate_log_probs[self.ahead.rows[self.event]]
        return row

    def prepare(
        self,
        histories: "Sequence[History]",
        candidates: Integers,
        new_items: "ItemVectors | None" = None,
    ) -> "PreparedBatch":
        """One history, that of `event`."""
        if len(histories) != 1 or new_items is not None:
            raise ValueError("a lookahead scorer has one history at a time and no new items")
        return candidates  # type: ignore[return-value]

    def run(self, prepared: "PreparedBatch") -> "Scores":
        """The scores that were worked out."""
        from model.scorer import Scores

        if self.ahead is None:
            raise ValueError("nothing was scored ahead")
        row, scores = self.ahead.rows[self.event], self.ahead.scores
        candidates: Integers = prepared  # type: ignore[assignment]
        return Scores(
            scores.top_ids[row : row + 1],
            scores.top_log_probs[row : row + 1],
            scores.candidate_log_probs[row][candidates],
        )


class Lookahead:
    """Folds windows ahead of everything else and scores what they hold."""

    def __init__(
        self, log: EventLog, config: PipelineConfig, encoder: "EncoderScorer", start: int
    ) -> None:
        """`start`: position of the first event that can be asked for."""
        self._log = log
        self._config = config
        self._fold = WindowFold(config)
        self.position = 0
        self._advance(start, frozenset())
        self.replace(encoder)

    def replace(self, encoder: "EncoderScorer") -> None:
        """From `position` on, another encoder scores."""
        self._encoder = encoder
        self.scorer = LookaheadScorer(encoder.items)

    @property
    def events_ahead(self) -> int:
        """Most events to look ahead, so that their scores fit into memory."""
        return max(1, min(MAX_EVENTS_AHEAD, CELLS_AT_ONCE // (len(self._encoder.items) + 1)))

    def advance(self, end: int, wanted: frozenset[int]) -> None:
        """Score the wanted positions from `position` up to `end` and hold them ready."""
        positions, histories = self._advance(end, wanted)
        self.scorer.ahead = Ahead(
            {position: row for row, position in enumerate(positions)}, self._score(histories)
        )

    def _advance(self, end: int, wanted: frozenset[int]) -> "tuple[list[int], list[History]]":
        from model.scorer import History

        positions: list[int] = []
        histories: list[History] = []
        for position in range(self.position, end):
            click = self._log.click(position)
            if position in wanted:
                window = self._fold.windows.get(click.user_id)
                if window is not None:
                    view = history(window, self._config.window)
                    if view.items:
                        positions.append(position)
                        histories.append(History(*view))
            self._fold.fold([click.record])
        self.position = end
        return positions, histories

    def _score(self, histories: "Sequence[History]") -> "Scores":
        """Scores of the whole catalogue, `max_batch` histories at a time."""
        from model.scorer import Scores

        encoder = self._encoder
        ids = np.arange(1, len(encoder.items) + 1)
        parts = []
        for first in range(0, len(histories), encoder.max_batch):
            part = histories[first : first + encoder.max_batch]
            candidates = np.broadcast_to(ids, (len(part), len(ids)))
            parts.append(encoder.score(part, candidates))
        if not parts:
            return Scores(
                np.zeros((0, 0), np.int64), np.zeros((0, 0), np.float32),
                np.zeros((0, len(ids) + 1), np.float32),
            )  # fmt: skip
        log_probs = np.full((len(histories), len(ids) + 1), -np.inf, np.float32)
        np.concatenate([part.candidate_log_probs for part in parts], out=log_probs[:, 1:])
        return Scores(
            np.concatenate([part.top_ids for part in parts]),
            np.concatenate([part.top_log_probs for part in parts]),
            log_probs,
        )
