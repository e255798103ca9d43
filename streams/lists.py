"""Lists: what is asked of the recommender, how it is set up, and what it gives back."""

from typing import TYPE_CHECKING, Literal, Self, cast

import msgspec

from streams.blend import BlendWeights
from streams.recommendation import (
    DegradedReason,
    ListedItems,
    ModelInfo,
    RecommendedItem,
    ServedBy,
    Trigger,
    WindowInfo,
)
from streams.rules import RulesConfig
from streams.window import Window, WindowConfig

if TYPE_CHECKING:
    from model.blend import Blend

RepeatPolicy = Literal["allow", "discount", "exclude"]
REPEAT_POLICIES: tuple[RepeatPolicy, ...] = ("allow", "discount", "exclude")


class RecommenderConfig(msgspec.Struct, frozen=True):
    """How lists are made."""

    list_size: int = 10
    repeat_policy: RepeatPolicy = "allow"
    """What becomes of items that the user has shown interest in before."""
    repeat_penalty: float = 2.0
    """What `discount` takes off the score of such an item."""
    weights: BlendWeights = BlendWeights()
    max_candidates: int = 200
    """Items that the encoder is asked about beside its own best."""
    window: WindowConfig = msgspec.field(default_factory=WindowConfig)
    rules: RulesConfig = RulesConfig()

    @classmethod
    def fitted(cls, blend: "Blend", repeat_policy: str) -> Self:
        """As the blend of an artefact says, all else by default."""
        return cls(
            weights=BlendWeights(**msgspec.structs.asdict(blend)),
            repeat_policy=cast("RepeatPolicy", repeat_policy),  # checked like any other
        )

    def __post_init__(self) -> None:
        for name in ("list_size", "max_candidates"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.repeat_policy not in REPEAT_POLICIES:
            raise ValueError(
                f"repeat_policy must be one of {', '.join(REPEAT_POLICIES)}, "
                f"not {self.repeat_policy!r}"
            )
        if not self.repeat_penalty >= 0.0:
            raise ValueError(f"repeat_penalty must be at least 0, not {self.repeat_penalty}")


class ListRequest(msgspec.Struct, gc=False):
    """A user whose list is to be made."""

    user_id: str
    window: Window
    """Read by `Recommender.prepare` only; it may change afterwards."""
    trigger: Trigger
    partition: int
    now_ms: int
    """The moment that the list is for: decay and ages refer to it."""
    enqueued_at_seconds: float
    hidden_items: frozenset[str] = frozenset()
    """Items that must not be on the list, beside those that the window tells."""


class RankedList(msgspec.Struct, gc=False):
    """One user's list with everything that a recommendation says of it, but ids and latency."""

    request: ListRequest
    listed: ListedItems
    served_by: ServedBy
    degraded_reason: DegradedReason | None
    model: ModelInfo | None
    window: WindowInfo
    """Of the window as it was when the list was prepared."""
    graph_ids: list[str]
    """The best 10 without the encoder, before rules: a yardstick for live quality."""
    popularity_ids: list[str]
    """The most popular 10 that the user may be shown: a yardstick for live quality."""

    @property
    def items(self) -> list[RecommendedItem]:
        """Its items, read from what is written of them."""
        return self.listed.read()
