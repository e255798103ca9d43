"""The recommendation message: exactly the documented JSON, and back."""

import json

import msgspec
import pytest

from streams.events import (
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

AT = "2026-01-31T12:00:00.123Z"
LIST = Recommendation(
    "rec-1",
    "u1",
    AT,
    Trigger("01J", "clicks", 3, 991, AT),
    ModelInfo("bert", "v1"),
    ServedBy.BERT_GRAPH,
    None,
    Latency(12.1, 3.0, 5.2),
    [
        RecommendedItem(
            "i77",
            1,
            0.83,
            "Lamp",
            [
                Reason(ReasonCode.CO_CLICKED, "i42", weight=0.61, age_seconds=34),
                Reason(ReasonCode.SEQUENCE, "i42", delta=0.12),
            ],
        )
    ],
    WindowInfo(37, AT, AT),
)


def test_a_list_is_the_documented_json() -> None:
    assert json.loads(encode_recommendation(LIST)) == {
        "recommendation_id": "rec-1",
        "user_id": "u1",
        "generated_at": AT,
        "trigger": {
            "event_id": "01J",
            "topic": "clicks",
            "partition": 3,
            "offset": 991,
            "event_time": AT,
        },
        "model": {"name": "bert", "version": "v1", "variant": "A"},
        "served_by": "bert+graph",
        "degraded_reason": None,
        "latency_ms": {"total": 12.1, "queue": 3.0, "inference": 5.2},
        "items": [
            {
                "item_id": "i77",
                "rank": 1,
                "score": 0.83,
                "title": "Lamp",
                "reasons": [
                    {"code": "CO_CLICKED", "item_id": "i42", "weight": 0.61, "age_seconds": 34},
                    {"code": "SEQUENCE", "item_id": "i42", "delta": 0.12},
                ],
            }
        ],
        "window": {"events": 37, "oldest": AT, "newest": AT},
    }


def test_decoding_undoes_encoding() -> None:
    assert decode_recommendation(encode_recommendation(LIST)) == LIST


def test_a_degraded_list_says_why_and_has_no_model() -> None:
    degraded = msgspec.structs.replace(
        LIST, model=None, served_by=ServedBy.POPULAR, degraded_reason=DegradedReason.COLD_USER
    )
    body = json.loads(encode_recommendation(degraded))
    assert (body["model"], body["served_by"], body["degraded_reason"]) == (
        None,
        "popular",
        "cold_user",
    )
    assert decode_recommendation(encode_recommendation(degraded)) == degraded


@pytest.mark.parametrize("value", [b"", b"{}", b'{"served_by":"magic"}'])
def test_bytes_that_are_no_list_raise_a_decode_error(value: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_recommendation(value)


def test_the_vocabularies_are_the_documented_ones() -> None:
    assert set(ServedBy) == {"bert+graph", "graph", "popular"}
    assert set(DegradedReason) == {"cold_user", "model_missing", "model_failed", "deadline"}
    assert len(ReasonCode) == 8
