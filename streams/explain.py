"""Explain: why an item is on a list, in the terms of what put it there."""

import numpy as np
from numpy.typing import NDArray

from streams import kernels
from streams.candidates import Candidates
from streams.catalogue import Catalogue
from streams.kernels.pure_reasons import (
    ItemFacts,
    Known,
    Listed,
    Paths,
    Reader,
    Written,
    reasons_for,
)
from streams.ranking import Prepared, PreparedUser, Ranking
from streams.recommendation import Reason

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def strongest_paths(candidates: Candidates, positions: Integers) -> Paths:
    """Strongest paths of the candidates at `positions`; a position of -1 has none.

    Strength is what a source contributed to the candidate's share; of equals the newer wins.
    """
    found = kernels.strongest_paths(
        positions, candidates.entry_start, candidates.entries, candidates.edges
    )
    return Paths(*found)


def write_items(
    prepared: Prepared,
    ranking: Ranking,
    names: list[list[str]],
    scores: Floats,
    catalogue: Catalogue,
) -> list[Written]:
    """Every user's ranked items with their reasons. `names`: the items' ids; `scores`: as they are
    told, `[users, places]`.
    """
    candidates, popularity = prepared.candidates, prepared.popularity
    items, sequence = ranking.items.ravel(), ranking.sequence.ravel()
    positions = ranking.positions.ravel()
    new_items = prepared.new_items
    return kernels.write_items(
        Listed(
            items,
            positions,
            strongest_paths(candidates, positions),
            scores.ravel(),
            sequence,
            np.isin(items, new_items) & (sequence > 0.0) if len(new_items) else None,
        ),
        Known(popularity.shares, popularity.trends, catalogue.announced_ms(), candidates.own),
        [
            _reader(
                user,
                of_user,
                catalogue.titles(of_user),
                with_times=candidates.own is not None,
            )
            for user, of_user in zip(prepared.users, names, strict=True)
        ],
        prepared.config.rules.new_item_ms,
    )


def reasons_to_explore(
    user: PreparedUser, item_id: str, announced_ms: int, new_item_ms: float
) -> list[Reason]:
    """The reasons of an item that nothing but its being new has put on the list."""
    facts = ItemFacts(item_id, -1, 0.0, 0, 0.0, 0.0, 0.0, 0.0, announced_ms, explored=True)
    return reasons_for(facts, _reader(user, [item_id], [""], with_times=False), new_item_ms)


def _reader(user: PreparedUser, names: list[str], titles: list[str], *, with_times: bool) -> Reader:
    """Who a list with these items is for; `with_times`: their own history is told with its age."""
    view = user.history
    return Reader(
        names,
        titles,
        user.evidence.sources,
        dict(zip(view.items, view.times_ms, strict=True)) if with_times else _NO_TIMES,
        view.items[-1] if view.items else None,
        user.request.now_ms,
    )


_NO_TIMES: dict[str, int] = {}
