"""Ranking: a prepared batch, with or without the encoder's scores, in order."""

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.blend import known_or, lowest_log_prob, select_top
from streams.candidates import Candidates, UserEvidence, find_sorted, make_keys
from streams.events import WindowInfo
from streams.lists import ListRequest, RecommenderConfig
from streams.popularity_table import PopularitySnapshot, take
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
    chosen: Integers
    """`[users, columns]`: positions of the best candidates by prior, best first; -1 = no more."""
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
    positions = prepared.chosen[:, :size].copy()
    items = prepared.candidates.items_at(positions)
    scores = _prior_at(prepared, positions)
    encoded = np.zeros(len(positions), dtype=np.bool_)
    return Ranking(items, scores, positions, np.zeros(positions.shape), encoded)


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
    candidates, weight = prepared.candidates, prepared.config.weights.encoder
    floor = lowest_log_prob(scores.top_log_probs[known])

    positions = prepared.chosen[rows]
    present = positions >= 0
    base_items = candidates.items_at(positions)
    base_prior = _prior_at(prepared, positions)
    of_candidates = scores.candidate_log_probs[known]
    base_log_probs = known_or(of_candidates, floor)
    if prepared.config.weights.unknown:
        base_prior += np.where(np.isfinite(of_candidates), 0.0, prepared.config.weights.unknown)

    # The encoder's own best, less those that are among the candidates above.
    best_items = prepared.encoder.numbers(scores.top_ids[known])
    best_log_probs = known_or(scores.top_log_probs[known], floor)
    keys = make_keys(np.broadcast_to(rows[:, None], best_items.shape), best_items)
    best_positions = candidates.find(keys)
    is_base = np.zeros(len(candidates) + 1, dtype=np.bool_)
    is_base[positions[present]] = True
    best_prior = _prior_of(prepared, best_items, keys, best_positions)
    absent = (best_items < 0) | is_base[best_positions] | unavailable[best_items]
    best_prior[absent] = -np.inf

    items = np.concatenate((base_items, best_items), axis=1)
    prior = np.concatenate((base_prior, best_prior), axis=1)
    log_probs = np.concatenate((base_log_probs, best_log_probs), axis=1)
    blended = prior + weight * log_probs
    width = items.shape[1]
    start = np.arange(len(rows) + 1) * width
    top = select_top(blended.ravel(), start, items.ravel(), tie_keys, size)
    found = top >= 0

    def pick(values: NDArray[Any], missing: float) -> NDArray[Any]:
        return np.where(found, values.ravel()[top], missing)

    lift = weight * (log_probs - floor[:, None])
    all_positions = np.concatenate((positions, best_positions), axis=1)
    ranking.items[rows] = pick(items, -1)
    ranking.scores[rows] = pick(blended, -np.inf)
    ranking.positions[rows] = pick(all_positions, -1)
    ranking.sequence[rows] = _share(pick(lift, 0.0), pick(prior, 0.0))
    ranking.encoded[rows] = True
    return ranking


def _prior_at(prepared: Prepared, positions: Integers) -> Floats:
    """Prior scores of candidates; -inf where the position is -1."""
    prior = np.full(positions.shape, -np.inf)
    present = positions >= 0
    prior[present] = prepared.prior[positions[present]]
    return prior


def _prior_of(prepared: Prepared, items: Integers, keys: Integers, positions: Integers) -> Floats:
    """Prior scores of items that need not be candidates."""
    config = prepared.config
    prior = take(prepared.popular_score, items)
    if len(prepared.repeated_keys):
        repeated = find_sorted(prepared.repeated_keys, keys) >= 0
        prior[repeated] -= config.repeat_penalty
    if len(prepared.excluded_keys):
        prior[find_sorted(prepared.excluded_keys, keys) >= 0] = -np.inf
    among = positions >= 0
    prior[among] = prepared.prior[positions[among]]
    return prior


def _share(lift: Floats, prior: Floats) -> Floats:
    """The encoder's part of a score, counted from an unknown item without any prior."""
    lift = np.maximum(lift, 0.0)
    whole = lift + np.maximum(prior, 0.0)
    return np.divide(lift, whole, out=np.zeros(lift.shape), where=whole > 0.0)
