"""Showing lists: filters, bounds, records that are none, and lines for people."""

import logging

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
    encode_recommendation,
)
from streams.tail import Record, lines, recommendations


def _list(user: str = "u1", degraded: DegradedReason | None = None) -> Recommendation:
    return Recommendation(
        recommendation_id="rec-1",
        user_id=user,
        generated_at="2026-01-31T12:00:00.123Z",
        trigger=Trigger(None, "clicks", 0, 5, "2026-01-31T12:00:00.100Z"),
        model=ModelInfo("bert", "1"),
        served_by=ServedBy.GRAPH if degraded else ServedBy.BERT_GRAPH,
        degraded_reason=degraded,
        latency_ms=Latency(12.13),
        items=[
            RecommendedItem("i7", 1, 0.83, "Title", [Reason(ReasonCode.CO_CLICKED, "i4")]),
            RecommendedItem("i8", 2, 0.5, reasons=[Reason(ReasonCode.POPULAR)]),
        ],
        window=WindowInfo(37),
    )


def _record(offset: int, user: str, value: bytes | None) -> Record:
    return Record(user, value, 0, offset)


def test_one_user_is_followed_and_the_bound_holds() -> None:
    value = encode_recommendation(_list())
    records = [_record(n, f"u{n % 2}", value) for n in range(10)]
    found = list(recommendations(iter(records), user="u1", limit=2))
    assert [record.offset for record, _ in found] == [1, 3]


def test_nothing_is_read_beyond_the_bound() -> None:
    records = iter([_record(n, "u1", None) for n in range(3)])
    assert len(list(recommendations(records, user=None, limit=1))) == 1
    assert next(records).offset == 1


def test_an_erased_user_is_shown_as_such() -> None:
    ((record, found),) = recommendations(iter([_record(0, "u9", None)]), user=None, limit=None)
    assert found is None
    assert lines(record.key, found) == ["u9: erased"]


def test_a_record_that_is_no_recommendation_is_named_and_passed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    records = [_record(4, "u1", b"{}"), _record(5, "u1", encode_recommendation(_list()))]
    with caplog.at_level(logging.WARNING):
        found = list(recommendations(iter(records), user=None, limit=None))
    assert [record.offset for record, _ in found] == [5]
    assert "offset 4 is not a recommendation" in caplog.text


def test_lines_name_the_source_the_time_and_each_reason() -> None:
    head, first, second = lines("u1", _list())
    assert head == "u1  bert+graph  12.1 ms  37 events  2026-01-31T12:00:00.123Z"
    assert first == "   1. i7  Title  0.830  CO_CLICKED i4"
    assert second == "   2. i8  0.500  POPULAR"
    assert "graph (deadline)" in lines("u1", _list(degraded=DegradedReason.DEADLINE))[0]
