"""Live quality: was the next click on the list that the user had?

Every published list is judged once, by the user's first positive click after it (prequential
evaluation: recommend, then learn). Beside the list itself two yardsticks are judged on the same
click: what the graph alone would have served, and what popularity alone would have served.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

CUTOFF = 10
"""Positions of a list that are judged; a hit further down is a miss."""

CUTOFFS = (1, 5, CUTOFF)

_COVERAGE_LISTS = 10_000


class LastList(NamedTuple):
    """What a user was last shown, and what the yardsticks would have shown."""

    items: Sequence[str]
    graph_ids: Sequence[str]
    popularity_ids: Sequence[str]
    served_by: str


class Verdict(NamedTuple):
    """One judged list. `rank` counts from 1; 0 is a miss."""

    rank: int
    served_by: str
    graph_hit: bool
    popularity_hit: bool


class NextClick:
    """Keeps the last list of each user and judges it on the next click.

    Bounded: beyond `max_users` the lists published longest ago are forgotten, unjudged.
    """

    __slots__ = (
        "_lists",
        "_max_users",
        "graph_hits",
        "hits",
        "popularity_hits",
        "reciprocal_rank_sum",
        "trials",
    )

    def __init__(self, max_users: int = 100_000) -> None:
        if max_users < 1:
            raise ValueError(f"max_users must be at least 1, not {max_users}")
        self._max_users = max_users
        self._lists: OrderedDict[str, LastList] = OrderedDict()
        self.trials = 0
        self.hits = dict.fromkeys(CUTOFFS, 0)
        """Cutoff -> lists with the next click at that rank or better."""
        self.reciprocal_rank_sum = 0.0
        """Of the ranks up to `CUTOFF`; a miss adds nothing."""
        self.graph_hits = 0
        self.popularity_hits = 0

    def __len__(self) -> int:
        return len(self._lists)

    def on_list(
        self,
        user_id: str,
        items: Sequence[str],
        graph_ids: Sequence[str],
        popularity_ids: Sequence[str],
        served_by: str,
    ) -> None:
        """Remember a published list (item ids, best first); it replaces an unjudged one."""
        lists = self._lists
        lists[user_id] = LastList(
            items[:CUTOFF], graph_ids[:CUTOFF], popularity_ids[:CUTOFF], served_by
        )
        lists.move_to_end(user_id)
        if len(lists) > self._max_users:
            lists.popitem(last=False)

    def on_click(self, user_id: str, item_id: str) -> Verdict | None:
        """Judge the user's list on a positive click; None when there is no unjudged list.

        Must be called before the click is folded into anything that a new list is made from.
        """
        last = self._lists.pop(user_id, None)
        if last is None:
            return None
        items = last.items
        rank = items.index(item_id) + 1 if item_id in items else 0
        verdict = Verdict(
            rank, last.served_by, item_id in last.graph_ids, item_id in last.popularity_ids
        )
        self.trials += 1
        self.graph_hits += verdict.graph_hit
        self.popularity_hits += verdict.popularity_hit
        if rank:
            self.reciprocal_rank_sum += 1.0 / rank
            for cutoff in CUTOFFS:
                self.hits[cutoff] += rank <= cutoff
        return verdict

    def judged(self, clicks: Iterable[tuple[str, str]]) -> list[Verdict]:
        """Judge positive clicks, each a user and an item, in order; as `on_click`."""
        lists = self._lists
        return [
            verdict
            for user_id, item_id in clicks
            # Most clicks of a burst find no unjudged list.
            if user_id in lists and (verdict := self.on_click(user_id, item_id)) is not None
        ]

    def forget(self, user_id: str) -> None:
        """Drop a user's list: the user was erased."""
        self._lists.pop(user_id, None)

    def distinct_items(self) -> int:
        """Different items in the most recent unjudged lists (10,000 at most): the numerator of
        catalogue coverage.
        """
        recent = islice(reversed(self._lists.values()), _COVERAGE_LISTS)
        return len({item_id for last in recent for item_id in last.items})

    def as_dict(self) -> dict[str, float]:
        """The figures as published; every rate is 0 while there are no trials."""
        trials = self.trials or 1
        return {
            "trials": self.trials,
            "hit_rate_at_10": self.hits[CUTOFF] / trials,
            "mrr_at_10": self.reciprocal_rank_sum / trials,
            "popularity_hit_rate_at_10": self.popularity_hits / trials,
            "graph_hit_rate_at_10": self.graph_hits / trials,
        }
