"""The recommendation message: one published list, why each item is on it, and what made it."""

from collections.abc import Sequence
from enum import StrEnum
from typing import cast

import msgspec


class ReasonCode(StrEnum):
    """Why an item is on a list."""

    CO_CLICKED = "CO_CLICKED"
    SEQUENCE = "SEQUENCE"
    OWN_HISTORY = "OWN_HISTORY"
    NEARBY = "NEARBY"
    TRENDING = "TRENDING"
    POPULAR = "POPULAR"
    NEW_ITEM = "NEW_ITEM"
    EXPLORATION = "EXPLORATION"


class ServedBy(StrEnum):
    """What ranked the list."""

    BERT_GRAPH = "bert+graph"
    GRAPH = "graph"
    POPULAR = "popular"


class DegradedReason(StrEnum):
    """Why a list was ranked by less than everything."""

    COLD_USER = "cold_user"
    MODEL_MISSING = "model_missing"
    MODEL_FAILED = "model_failed"
    DEADLINE = "deadline"


class Reason(msgspec.Struct, omit_defaults=True, gc=False):
    """One cause of one item's place.

    item_id: the window item that the cause starts from. weight: share in 0..1 of all that followed
    that item, of the user's own history or of all popularity, by the code. delta: share of the
    score. age_seconds: age of that evidence. Absent where it has no meaning for the code.
    """

    code: ReasonCode
    item_id: str | None = None
    weight: float | None = None
    delta: float | None = None
    age_seconds: int | float | None = None


class RecommendedItem(msgspec.Struct, gc=False):
    """One item of a list; rank starts at 1; title is "" where the catalogue has none."""

    item_id: str
    rank: int
    score: float
    title: str = ""
    reasons: list[Reason] = []


class Trigger(msgspec.Struct, gc=False):
    """The click that caused the list; consumers deduplicate by topic, partition and offset."""

    event_id: str | None
    topic: str
    partition: int
    offset: int
    event_time: str


class ModelInfo(msgspec.Struct, gc=False):
    """The model artefact that scored the list."""

    name: str
    version: str
    variant: str = "A"


class Latency(msgspec.Struct, gc=False):
    """Milliseconds: from record receipt to list, waiting for a batch, and inside the encoder."""

    total: float
    queue: float = 0.0
    inference: float = 0.0


class WindowInfo(msgspec.Struct, gc=False):
    """The window the list was made from; instants are ISO-8601 UTC, null for an empty window."""

    events: int
    oldest: str | None = None
    newest: str | None = None


class Recommendation(msgspec.Struct, gc=False):
    """The value of a record on the recommendations topic (JSON)."""

    recommendation_id: str
    user_id: str
    generated_at: str
    trigger: Trigger
    model: ModelInfo | None
    served_by: ServedBy
    degraded_reason: DegradedReason | None
    latency_ms: Latency
    items: list[RecommendedItem]
    window: WindowInfo


class ListedItems:
    """The items of a list as its message has them: written once, read only by who asks."""

    __slots__ = ("ids", "json")

    def __init__(self, ids: list[str], json: bytes) -> None:
        """`json`: an array of `RecommendedItem`, whose ids are `ids`."""
        self.ids = ids
        self.json = json

    @classmethod
    def of(cls, items: Sequence[RecommendedItem]) -> "ListedItems":
        """These items."""
        return cls([item.item_id for item in items], _encoder.encode(items))

    def read(self) -> list[RecommendedItem]:
        """The items, made anew."""
        return _items_decoder.decode(self.json)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Recommendation)
_items_decoder = msgspec.json.Decoder(list[RecommendedItem])


def encode_recommendation(recommendation: Recommendation) -> bytes:
    """JSON bytes of a recommendation."""
    return _encoder.encode(recommendation)


def items_to_encode(items: ListedItems) -> list[RecommendedItem]:
    """What a recommendation that is only to be encoded takes for its items: their JSON as it is."""
    return cast("list[RecommendedItem]", msgspec.Raw(items.json))


def decode_recommendation(value: bytes) -> Recommendation:
    """The recommendation in JSON bytes. Raises msgspec.DecodeError if it is not one."""
    try:
        return _decoder.decode(value)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(f"not JSON in UTF-8: {error}") from error
