"""List writer: from a ranking to the items of a message, with rules applied and reasons given."""

from itertools import count

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from streams.catalogue import Catalogue
from streams.events import RecommendedItem
from streams.explain import reasons_of, reasons_to_explore
from streams.item_index import ItemIndex
from streams.ranking import Prepared, PreparedUser, Ranking
from streams.rules import arrange, draw

Integers = NDArray[np.int64]

_SCORE_DIGITS = 4


def write_lists(
    prepared: Prepared, ranking: Ranking, ids: ItemIndex, catalogue: Catalogue
) -> list[list[RecommendedItem]]:
    """The list of every user, in the order of the batch."""
    rules = prepared.config.rules
    if rules.reorders:
        ranking = _arranged(prepared, ranking, ids, catalogue)
    names = list(map(ids.ranked_ids, ranking.items.tolist()))
    # In the order of the fields of an item. Ranks and scores go on where a list is short.
    lists = [
        list(map(RecommendedItem, of_user, count(1), scores, catalogue.titles(of_user), reasons))
        for of_user, scores, reasons in zip(
            names,
            ranking.scores.round(_SCORE_DIGITS).tolist(),
            reasons_of(prepared, ranking, names, catalogue),
            strict=True,
        )
    ]
    if rules.exploration_share:
        lists = [
            _explore(prepared, user, items, ids, catalogue)
            for user, items in zip(prepared.users, lists, strict=True)
        ]
    return lists


def _arranged(
    prepared: Prepared, ranking: Ranking, ids: ItemIndex, catalogue: Catalogue
) -> Ranking:
    """The ranking as the rules let it be, as many places as a list has."""
    config = prepared.config
    order = np.full((len(ranking.items), config.list_size), -1)
    scores = ranking.scores.round(_SCORE_DIGITS).tolist()
    for user, names in enumerate(map(ids.ranked_ids, ranking.items.tolist())):
        categories = [catalogue.categories(name) for name in names]
        chosen = arrange(scores[user][: len(names)], categories, config.rules, config.list_size)
        order[user, : len(chosen)] = chosen
    present = order >= 0
    rows, places = np.arange(len(order))[:, None], np.maximum(order, 0)
    return Ranking(
        np.where(present, ranking.items[rows, places], -1),
        np.where(present, ranking.scores[rows, places], -np.inf),
        np.where(present, ranking.positions[rows, places], -1),
        np.where(present, ranking.sequence[rows, places], 0.0),
        ranking.encoded,
    )


def _explore(
    prepared: Prepared,
    user: PreparedUser,
    items: list[RecommendedItem],
    ids: ItemIndex,
    catalogue: Catalogue,
) -> list[RecommendedItem]:
    """Give the last places of one user's list to new items, drawn anew with every event."""
    rules, size = prepared.config.rules, prepared.config.list_size
    places = rules.exploration_places(size)
    now_ms = user.request.now_ms
    kept = items[: max(0, size - places)]
    taken = user.excluded | {ids.find(item.item_id) for item in kept}
    new = catalogue.new_items(now_ms, int(rules.new_item_ms))
    new = new[~np.isin(new, np.fromiter(taken, dtype=np.int64, count=len(taken)))]
    seed = xxh3_64_intdigest(f"{user.request.user_id}\0{user.window.newest}".encode())
    drawn = new[draw(ids.tie_keys[new], seed, places)]
    if not len(drawn):
        return items
    score = kept[-1].score if kept else 0.0
    explored = []
    for name, announced_ms in zip(
        ids.item_ids(drawn.tolist()), catalogue.announced_ms()[drawn].tolist(), strict=True
    ):
        reasons = reasons_to_explore(user, name, announced_ms, rules.new_item_ms)
        explored.append(RecommendedItem(name, 0, score, catalogue.title(name), reasons))
    displaced = {item.item_id for item in explored}
    rest = [item for item in items[len(kept) :] if item.item_id not in displaced]
    chosen = (kept + rest)[: size - len(explored)] + explored
    for rank, item in enumerate(chosen, 1):
        item.rank = rank
    return chosen
