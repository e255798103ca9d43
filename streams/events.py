"""The three messages of the system: click and item in, recommendation out."""

from streams.click import Click, decode_click
from streams.instant import iso_utc
from streams.item import Item, decode_item
from streams.place import Place, place_cell
from streams.recommendation import (
    DegradedReason,
    Latency,
    ModelInfo,
    Reason,
    ReasonCode,
    Recommendation,
    RecommendedItem,
    ServedBy,
    Trigger,
    WindowInfo,
    decode_recommendation,
    encode_recommendation,
)
from streams.reject import ClickLimits, Reject, RejectReason

__all__ = [
    "Click",
    "ClickLimits",
    "DegradedReason",
    "Item",
    "Latency",
    "ModelInfo",
    "Place",
    "Reason",
    "ReasonCode",
    "Recommendation",
    "RecommendedItem",
    "Reject",
    "RejectReason",
    "ServedBy",
    "Trigger",
    "WindowInfo",
    "decode_click",
    "decode_item",
    "decode_recommendation",
    "encode_recommendation",
    "iso_utc",
    "place_cell",
]
