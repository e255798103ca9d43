"""List writer: from a ranking to the items of a message, with rules applied and reasons given."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from streams.catalogue import Catalogue
from streams.explain import reasons_to_explore, write_items
from streams.item_index import ItemIndex
from streams.kernels.pure_reasons import Written, is_personal
from streams.ranking import Prepared, PreparedUser, Ranking
from streams.recommendation import ListedItems, RecommendedItem
from streams.rules import arrange, draw

Integers = NDArray[np.int64]

_SCORE_DIGITS = 4


class ListOfUser(NamedTuple):
    """What is on a user's list."""

    items: ListedItems
    personal: bool
    """Whether any of it is there for what the user did, as far as the graph knows."""


def write_lists(
    prepared: Prepared, ranking: Ranking, ids: ItemIndex, catalogue: Catalogue
) -> list[ListOfUser]:
    """The list of every user, in the order of the batch."""
    rules = prepared.config.rules
    if rules.reorders:
        ranking = _arranged(prepared, ranking, ids, catalogue)
    names = list(map(ids.ranked_ids, ranking.items.tolist()))
    scores = ranking.scores.round(_SCORE_DIGITS)
    written = write_items(prepared, ranking, names, scores, catalogue)
    if rules.exploration_share:
        return [
            _explore(prepared, user, of_user, each, ids, catalogue)
            for user, of_user, each in zip(prepared.users, names, written, strict=True)
        ]
    return [
        ListOfUser(ListedItems(of_user, each.json), each.personal)
        for of_user, each in zip(names, written, strict=True)
    ]


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
    names: list[str],
    written: Written,
    ids: ItemIndex,
    catalogue: Catalogue,
) -> ListOfUser:
    """Give the last places of one user's list to new items, drawn anew with every event."""
    rules, size = prepared.config.rules, prepared.config.list_size
    listed = ListedItems(names, written.json)
    items = listed.read()
    places = rules.exploration_places(size)
    now_ms = user.request.now_ms
    kept = items[: max(0, size - places)]
    taken = user.excluded | {ids.find(item.item_id) for item in kept}
    new = catalogue.new_items(now_ms, int(rules.new_item_ms))
    new = new[~np.isin(new, np.fromiter(taken, dtype=np.int64, count=len(taken)))]
    seed = xxh3_64_intdigest(f"{user.request.user_id}\0{user.window.newest}".encode())
    drawn = new[draw(ids.tie_keys[new], seed, places)]
    if not len(drawn):
        return ListOfUser(listed, written.personal)
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
    return ListOfUser(ListedItems.of(chosen), any(map(is_personal, chosen)))
