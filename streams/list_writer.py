"""List writer: from a ranking to the items of a message, with rules applied and reasons given."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from streams.catalogue import Catalogue
from streams.events import RecommendedItem
from streams.explain import ItemFacts, reasons_for, strongest_paths
from streams.item_index import ItemIndex
from streams.kernels import take
from streams.ranking import Prepared, PreparedUser, Ranking
from streams.rules import arrange, draw

Integers = NDArray[np.int64]

_SCORE_DIGITS = 4


def write_lists(
    prepared: Prepared, ranking: Ranking, ids: ItemIndex, catalogue: Catalogue
) -> list[list[RecommendedItem]]:
    """The list of every user, in the order of the batch."""
    config = prepared.config
    facts = _facts(prepared, ranking, ids, catalogue)
    scores = ranking.scores.round(_SCORE_DIGITS).tolist()
    new_item_ms = config.rules.new_item_seconds * 1000.0
    title = catalogue.title
    lists = []
    for user, of_user, user_scores in zip(prepared.users, facts, scores, strict=True):
        rows = list(zip(of_user, user_scores, strict=False))
        if config.rules.reorders:
            categories = [catalogue.categories(item.item_id) for item, _ in rows]
            order = arrange(user_scores[: len(rows)], categories, config.rules, config.list_size)
            rows = [rows[place] for place in order]
        if config.rules.exploration_share:
            rows = _explore(prepared, user, rows, ids, catalogue)
        view = user.history
        sources = user.evidence.sources
        last_item = view.items[-1] if view.items else None
        last_seen_ms: dict[str, int] = {}
        if prepared.candidates.own is not None:
            last_seen_ms = dict(zip(view.items, view.times_ms, strict=True))
        now_ms = user.request.now_ms
        lists.append(
            [
                RecommendedItem(
                    item.item_id,
                    rank,
                    score,
                    title(item.item_id),
                    reasons_for(item, sources, last_seen_ms, last_item, now_ms, new_item_ms),
                )
                for rank, (item, score) in enumerate(rows, 1)
            ]
        )
    return lists


def _facts(
    prepared: Prepared, ranking: Ranking, ids: ItemIndex, catalogue: Catalogue
) -> list[list[ItemFacts]]:
    """What is known of every ranked item, by user."""
    candidates = prepared.candidates
    present = ranking.items >= 0
    items = ranking.items[present]
    positions = ranking.positions[present]
    paths = strongest_paths(candidates, positions)
    own = np.zeros(len(items))
    if candidates.own is not None:
        among = positions >= 0
        own[among] = candidates.own[positions[among]].round(_SCORE_DIGITS)
    columns: tuple[NDArray[Any], ...] = (
        *paths,
        ranking.sequence[present].round(_SCORE_DIGITS),
        own,
        take(prepared.popularity.shares, items).round(_SCORE_DIGITS + 2),
        take(prepared.popularity.trends, items),
        catalogue.announced_ms()[items],
        np.zeros(len(items), dtype=np.bool_),
        np.isin(items, prepared.new_items) & (ranking.sequence[present] > 0.0),
    )
    names = ids.item_ids(items.tolist())
    columns_of_lists = [column.tolist() for column in columns]
    rows = list(map(ItemFacts._make, zip(names, *columns_of_lists, strict=True)))
    ends = present.sum(axis=1).cumsum().tolist()
    return [rows[begin:end] for begin, end in pairwise([0, *ends])]


def _explore(
    prepared: Prepared,
    user: PreparedUser,
    rows: list[tuple[ItemFacts, float]],
    ids: ItemIndex,
    catalogue: Catalogue,
) -> list[tuple[ItemFacts, float]]:
    """Give the last places of one user's list to new items, drawn anew with every event."""
    rules = prepared.config.rules
    places = rules.exploration_places(prepared.config.list_size)
    now_ms = user.request.now_ms
    kept = rows[: max(0, prepared.config.list_size - places)]
    taken = user.excluded | {ids.find(facts.item_id) for facts, _ in kept}
    new = catalogue.new_items(now_ms, int(rules.new_item_seconds * 1000))
    new = new[~np.isin(new, np.fromiter(taken, dtype=np.int64, count=len(taken)))]
    seed = xxh3_64_intdigest(f"{user.request.user_id}\0{user.window.newest}".encode())
    drawn = new[draw(ids.tie_keys[new], seed, places)]
    if not len(drawn):
        return rows
    score = kept[-1][1] if kept else 0.0
    announced = catalogue.announced_ms()
    explored = [
        ItemFacts(
            item_id=ids.item_id(item),
            path_source=-1,
            path_share=0.0,
            path_last_ms=0,
            sequence_share=0.0,
            own_share=0.0,
            popularity_share=0.0,
            trend=0.0,
            announced_ms=int(announced[item]),
            explored=True,
        )
        for item in drawn.tolist()
    ]
    displaced = {facts.item_id for facts in explored}
    rest = [row for row in rows[len(kept) :] if row[0].item_id not in displaced]
    return (kept + rest)[: prepared.config.list_size - len(explored)] + [
        (facts, score) for facts in explored
    ]
