"""Rules: what a ranking must obey after the blend.

Category caps and diversity reorder and thin one user's ranking; exploration gives the last
places of the list to new items. All are off by default. (Seen, disliked, hidden and unavailable
items never reach a ranking: they are filtered where candidates are gathered.)
"""

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

_MIX = np.uint64(0x9E3779B97F4A7C15)


class RulesConfig(msgspec.Struct, frozen=True):
    """Rules of a list; the defaults switch all of them off."""

    category_cap: int = 0
    """Most items of one category in a list; 0 = no cap. A list may become shorter for it."""
    diversity: float = 0.0
    """0..1: how much being unlike the items above counts against the score; 0 = not at all."""
    exploration_share: float = 0.0
    """0..1: share of the list's places, the last ones, that go to new items."""
    new_item_seconds: float = 7 * 86_400.0
    """An item is new for so long after its catalogue timestamp."""
    pool_size: int = 50
    """Ranked items that caps and diversity choose from."""

    def __post_init__(self) -> None:
        if self.category_cap < 0:
            raise ValueError(f"category_cap must be at least 0, not {self.category_cap}")
        for name in ("diversity", "exploration_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be between 0 and 1, not {getattr(self, name)}")
        if self.pool_size < 1:
            raise ValueError(f"pool_size must be at least 1, not {self.pool_size}")

    @property
    def new_item_ms(self) -> float:
        """`new_item_seconds` in milliseconds."""
        return self.new_item_seconds * 1000.0

    @property
    def reorders(self) -> bool:
        """Whether a ranking can come out of `arrange` other than it went in."""
        return self.category_cap > 0 or self.diversity > 0.0

    def ranking_size(self, list_size: int) -> int:
        """Ranked items that are needed to make a list of `list_size`."""
        return max(list_size, self.pool_size) if self.reorders else list_size

    def exploration_places(self, list_size: int) -> int:
        """Places of a list that go to new items."""
        return round(list_size * self.exploration_share)


def arrange(
    scores: Sequence[float],
    categories: Sequence[Sequence[str]],
    config: RulesConfig,
    list_size: int,
) -> list[int]:
    """Positions of the ranking that make the list, in list order.

    `scores` is one user's ranking, best first, with the categories of each item. Diversity is
    maximal marginal relevance: each place goes to the item with the best
    `(1 - diversity) * relevance - diversity * likeness`, relevance being the score scaled to
    0..1 over the ranking and likeness the largest Jaccard overlap of categories with an item
    already chosen. Equal values go to the better ranked item.
    """
    if not config.reorders:
        return list(range(min(list_size, len(scores))))
    sets = [frozenset(names) for names in categories]
    span = scores[0] - scores[-1] if scores else 0.0
    relevance = [(score - scores[-1]) / span if span > 0 else 1.0 for score in scores]
    likeness = [0.0] * len(scores)
    left = list(range(len(scores)))
    used: Counter[str] = Counter()
    chosen: list[int] = []
    weight = config.diversity
    while left and len(chosen) < list_size:
        best = max(left, key=lambda p: ((1 - weight) * relevance[p] - weight * likeness[p], -p))
        left.remove(best)
        if config.category_cap and any(used[name] >= config.category_cap for name in sets[best]):
            continue
        chosen.append(best)
        used.update(sets[best])
        for position in left:
            likeness[position] = max(likeness[position], _overlap(sets[position], sets[best]))
    return chosen


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard overlap; items without categories are like nothing."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared) if shared else 0.0


def draw(tie_keys: NDArray[np.uint64], seed: int, n: int) -> NDArray[np.int64]:
    """Positions of `n` keys, drawn by `seed`: the same seed and keys give the same items on
    every worker, another seed other items, and each key is as likely as any other.
    """
    mixed = (tie_keys ^ np.uint64(seed & 0xFFFF_FFFF_FFFF_FFFF)) * _MIX
    mixed ^= mixed >> np.uint64(29)
    return np.argsort(mixed * _MIX, kind="stable")[:n]
