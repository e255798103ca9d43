"""Messages from outside, for fuzzing: good examples, and how bytes are read as one."""

from __future__ import annotations

from functools import cache

import msgspec

from streams.core import MemoryTable, StreamRecord
from streams.events import Reject, decode_click, decode_item, decode_recommendation
from streams.pipeline import ClickPipeline, PipelineConfig
from streams.settings import Settings
from streams.transitions import SentPositions, decode_transitions, encode_transitions
from streams.window import Window, decode_window, encode_window, fold

NOW_MS = 1_770_000_000_000


@cache
def pipeline_config() -> PipelineConfig:
    """A worker's, with a limit of clicks a second."""
    return Settings(max_clicks_per_second=1000.0).pipeline_config(1)


def clicks() -> list[bytes]:
    """Values of good clicks."""
    full = {
        "event_id": "e1", "event_type": "purchase", "user_id": "u1", "session_id": "s1",
        "item_id": "i1", "timestamp": NOW_MS, "value": 2.5, "recommendation_id": "rec-1",
        "position": 3, "place": {"lat": 40.7, "lon": -74.0}, "context": {"surface": "home"},
        "properties": {"a": [1, None, {"b": True}]},
    }  # fmt: skip
    least = {"user_id": "ünïcode", "item_id": "i2", "timestamp": "2026-02-02T02:40:00.5+01:00"}
    session = {"session_id": "s", "item_id": "i3", "timestamp": str(NOW_MS), "event_type": "view"}
    return [msgspec.json.encode(each) for each in (full, least, session)]


def read_click(data: bytes) -> bool:
    """The value of a click, and what follows a click that is accepted."""
    config = pipeline_config()
    click = decode_click(data, (), NOW_MS, config.limits)
    if isinstance(click, Reject):
        assert len(click.detail) <= 300
        return False
    window, _, _ = fold(None, click, 0, 0, NOW_MS, config.window)
    assert decode_window(encode_window(window)).items == window.items
    return True


def read_pipeline(data: bytes) -> bool:
    """Value, key and headers of a record through the whole pipeline, erasures included."""
    value, _, rest = data.partition(b"\x1e")
    key, _, header = rest.partition(b"\x1e")
    headers = [("ce_id", header), ("ce_time", header[:40]), ("ce_type", header[-20:]), ("x", b"")]
    record = StreamRecord(7, NOW_MS, key or None, value or None, headers)
    windows: MemoryTable[Window] = MemoryTable()
    effects = ClickPipeline(pipeline_config()).process(
        [record], windows, SentPositions(0), rekey=True
    )
    for batch in effects.transitions.values():
        decode_transitions(encode_transitions(batch))
    _read_twice(value)
    return not effects.dead_letters


def _read_twice(value: bytes) -> None:
    """A value on its way through the kernels of plain clicks: two records of one batch, and the
    same in Python.
    """
    config = Settings().pipeline_config(1)
    click = decode_click(value, (), NOW_MS, config.limits)
    user = b"u1" if isinstance(click, Reject) else click.user_id.encode()
    records = [StreamRecord(offset, NOW_MS, user, value, ()) for offset in (7, 8)]
    windows: MemoryTable[Window] = MemoryTable()
    ClickPipeline(config).process(records, windows, SentPositions(0), rekey=True)
    if isinstance(click, Reject):
        return
    expected: Window | None = None
    for offset in (7, 8):
        expected, _, _ = fold(expected, click, 0, offset, NOW_MS, config.window)
    found = windows.get(click.user_id)
    assert expected is not None
    assert found is not None
    assert encode_window(found) == encode_window(expected)


def pipeline_records() -> list[bytes]:
    """Value, key and a header of records, for `read_pipeline`."""
    keyed = [(b"u1", b"u1/7"), (b"\xff", b"purchase"), (b"", b"2026-02-02T02:40:00Z")]
    return [b"\x1e".join((click, *rest)) for click in (*clicks(), b"") for rest in keyed]


def read_item(data: bytes) -> bool:
    """The value of an item, and a key."""
    return not isinstance(decode_item(data, data[-8:], pipeline_config().limits), Reject)


def items() -> list[bytes]:
    """Values of good items."""
    item = {
        "item_id": "i1", "title": "Oak desk", "categories": ["office"], "available": True,
        "price": 9.5, "timestamp": NOW_MS, "properties": {"a": 1},
    }  # fmt: skip
    return [msgspec.json.encode(item), b'{"item_id":"i2"}']


def read_recommendation(data: bytes) -> bool:
    """The value of a list."""
    try:
        decode_recommendation(data)
    except msgspec.DecodeError:
        return False
    return True


def recommendations() -> list[bytes]:
    """Values of good lists."""
    return [
        (
            b'{"recommendation_id":"r","user_id":"u","generated_at":"2026-01-31T12:00:00Z","trigger":'
            b'{"event_id":null,"topic":"clicks","partition":3,"offset":9,"event_time":"2026-01-31T12:00'
            b':00Z"},"model":{"name":"bert","version":"1","variant":"A"},"served_by":"graph",'
            b'"degraded_reason":null,"latency_ms":{"total":1.5,"queue":1,"inference":0},"items":[{'
            b'"item_id":"i","rank":1,"score":0.5,"title":"T","reasons":[{"code":"POPULAR"}]}],'
            b'"window":{"events":1,"oldest":null,"newest":null}}'
        )
    ]
