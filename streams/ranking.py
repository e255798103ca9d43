"""Ranking: a prepared batch, with or without the encoder's scores, in order."""

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.candidates import Candidates, UserEvidence
from streams.events import WindowInfo
from streams.kernels import blend_top
from streams.kernels.pure_lists import Chosen, Encoded, Others, Places, Pool
from streams.lists import ListRequest, RecommenderConfig
from streams.popularity_table import PopularitySnapshot
from streams.scoring import EncoderIndex
from streams.window import HistoryView

if TYPE_CHECKING:
    from model.scorer import Scores

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class PreparedUser(NamedTuple):
    """What was read of one user's state."""

    request: ListRequest
    history: HistoryView
    """Events of interest, oldest first; the newest ones only where more was not needed."""
    evidence: UserEvidence
    excluded: set[int]
    """Numbers of items that must not be on the list."""
    repeated: set[int]
    """Numbers of items that are discounted."""
    popular: list[int]
    """Numbers of the most popular items that may be on the list, best first."""
    window: WindowInfo


class Prepared(msgspec.Struct, gc=False):
    """A batch between `prepare` and `finish`: everything is the batch's own or never changes."""

    config: RecommenderConfig
    users: list[PreparedUser]
    candidates: Candidates
    prior: Floats
    """`[candidates]`: score without the encoder; -inf for what must not be on the list."""
    chosen: Chosen
    """The best candidates by prior."""
    popularity: PopularitySnapshot
    popular_score: Floats
    """By item number: what popularity adds to a score."""
    excluded_keys: Integers
    repeated_keys: Integers
    batch: Any = None
    """Inputs for the scorer's `run`; None: there is nothing to score."""
    scored_rows: Integers = msgspec.field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """Users in the scorer's batch, in its order."""
    encoder: EncoderIndex | None = None
    new_items: Integers = msgspec.field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """Numbers of the items that the scorer was given by their text."""


class Ranking(NamedTuple):
    """`[users, places]`, best first."""

    items: Integers
    """Item numbers; -1 = no more."""
    scores: Floats
    positions: Integers
    """Positions among the candidates; -1 where only the encoder brought the item."""
    sequence: Floats
    """Share of the score that is the encoder's, 0..1."""
    encoded: NDArray[np.bool_]
    """`[users]`: whether the encoder had a say."""


def rank_by_prior(prepared: Prepared, size: int) -> Ranking:
    """Ranking of all users by graph, own history and popularity."""
    chosen = prepared.chosen
    items = chosen.items[:, :size].copy()
    return Ranking(
        items,
        chosen.scores[:, :size].copy(),
        chosen.positions[:, :size].copy(),
        np.zeros(items.shape),
        np.zeros(len(items), dtype=np.bool_),
    )


def rank_with_encoder(
    prepared: Prepared,
    scores: "Scores",
    size: int,
    unavailable: NDArray[np.bool_],
    tie_keys: NDArray[np.uint64],
) -> Ranking:
    """Ranking with the encoder's scores, for the users that it knows; the others by prior.

    Ranked are a user's candidates and the encoder's own best. An item that the encoder does not
    know counts as the worst of the encoder's best.
    """
    ranking = rank_by_prior(prepared, size)
    known = scores.top_ids[:, 0] > 0 if scores.top_ids.shape[1] else np.zeros(0, dtype=np.bool_)
    rows = prepared.scored_rows[known]
    if not len(rows) or prepared.encoder is None:
        return ranking
    config = prepared.config
    # As a rule all of them, and nothing is copied.
    of_known = slice(None) if known.all() else known
    blend_top(
        _pool(prepared),
        Others(
            prepared.popular_score,
            prepared.repeated_keys,
            config.repeat_penalty,
            prepared.excluded_keys,
            unavailable,
            tie_keys,
        ),
        Encoded(
            rows,
            np.ascontiguousarray(scores.candidate_log_probs[of_known]),
            prepared.encoder.numbers(scores.top_ids[of_known]),
            np.ascontiguousarray(scores.top_log_probs[of_known]),
            config.weights.encoder,
            config.weights.unknown,
        ),
        Places(ranking.items, ranking.scores, ranking.positions, ranking.sequence),
    )
    ranking.encoded[rows] = True
    return ranking


def _pool(prepared: Prepared) -> Pool:
    candidates = prepared.candidates
    return Pool(candidates.start, candidates.keys, prepared.prior, prepared.chosen)
