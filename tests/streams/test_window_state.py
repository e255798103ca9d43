"""The window as packed columns: any distance of times and offsets, few bytes, damage noticed."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import CodecError, frame
from streams.event_types import EventType, EventTypes
from streams.events import Click
from streams.window import (
    WINDOW_FORMAT,
    Outcome,
    Window,
    WindowConfig,
    decode_window,
    encode_window,
    fold,
    history,
)
from tests.streams.window_model import (
    CONFIG,
    T0,
    Record,
    click_at,
    configs,
    fold_all,
    streams_of_records,
    window_of,
)


def test_more_items_and_types_than_a_byte_can_number_are_held() -> None:
    types = EventTypes([EventType(f"t{n}", 1.0, 60.0, 1) for n in range(300)])
    config = WindowConfig(max_events=400, event_types=types)
    clicks = [click_at(f"i{n}", T0 + n, f"t{n % 300}") for n in range(700)]
    window = decode_window(encode_window(window_of(*clicks, config=config)))
    view = history(window, config)
    assert view.items == [f"i{n}" for n in range(300, 700)]
    assert view.event_types == [f"t{n % 300}" for n in range(300, 700)]
    assert fold(window, click_at("x", T0 + 700, "t0"), 0, 700, T0, config)[2] == [
        f"i{n}" for n in range(699, 694, -1)
    ]


@pytest.mark.parametrize("furthest_ms", [1_000, 20 * 365 * 86_400_000])
def test_times_are_read_from_any_event_on_be_they_few_or_many(furthest_ms: int) -> None:
    config = WindowConfig(max_age_ms=2 * furthest_ms + 10_000)
    times_ms = [T0 + furthest_ms * (n % 2) + n for n in range(100)]
    clicks = [click_at(f"i{n}", time_ms) for n, time_ms in enumerate(times_ms)]
    window = window_of(*clicks, config=config)
    for start in (0, 1, 50, 67, 68, 69, 99, 100):
        assert window.times_ms(start).tolist() == times_ms[start:]
    assert fold(window, click_at("x", T0), 0, 100, T0, config)[1] is Outcome.APPLIED


def test_an_event_before_all_others_by_any_margin_is_held() -> None:
    times_ms = [T0, T0 - 3_600_000, T0 - 25 * 86_400_000, T0 + 4 * 86_400_000]
    window = fold_all(
        [(click_at(f"i{n}", time_ms), 0, n, T0) for n, time_ms in enumerate(times_ms)]
    )
    window = decode_window(encode_window(window))
    assert window.times_ms().tolist() == times_ms
    assert (window.oldest_ms, window.newest_ms) == (times_ms[2], times_ms[3])
    assert history(window, CONFIG).items == ["i2", "i1", "i0", "i3"]


@pytest.mark.parametrize("event_type", ["click", "view"])
def test_times_and_offsets_of_any_distance_are_held(event_type: str) -> None:
    years_ms = 20 * 365 * 86_400_000
    config = WindowConfig(max_age_ms=2 * years_ms, max_events=4)
    records = [
        (click_at("a", T0), 0, 7),
        (click_at("b", T0 + years_ms, event_type), 0, 8),
        (click_at("c", T0 + years_ms), 0, 10**15),
        (click_at("d", T0 - 3), 1, 3),
        (click_at("e", T0 + years_ms + 1), 0, 10**15 + 1),
    ]
    window: Window | None = None
    for click, source, offset in records:
        window, outcome, _ = fold(window, click, source, offset, T0 + years_ms, config)
        assert outcome is Outcome.APPLIED
        window = decode_window(encode_window(window))
    assert window is not None
    assert window.times_ms().tolist() == [click.timestamp_ms for click, _, _ in records[1:]]
    assert window.offsets() == [offset for _, _, offset in records[1:]]
    assert window.watermarks == {0: 10**15 + 1, 1: 3}
    assert history(window, config).items == ["d", "b", "c", "e"]
    assert fold(window, records[3][0], 1, 3, T0 + years_ms, config)[1:] == (
        Outcome.REPLAYED,
        ["c", "b"],
    )


def test_every_remembered_event_id_is_found_again_and_no_other_is() -> None:
    """More ids than there are tags: most share theirs with another."""
    config = WindowConfig(max_event_ids=700)
    records = [(Click("u", "a", "click", T0, f"e{n}"), 0, n, T0) for n in range(1_000)]
    window = fold_all(records, config)
    assert window.watermarks == {0: 999}
    outcomes = [
        fold(window, record[0], 0, 1_000 + n, T0, config)[1]
        for n, record in enumerate(reversed(records[300:]))
    ]
    assert set(outcomes) == {Outcome.DUPLICATE}
    assert fold(window, records[299][0], 0, 2_000, T0, config)[1] is Outcome.APPLIED


@given(st.lists(st.integers(0, 40 * 86_400_000), min_size=1, max_size=30))
def test_a_window_bounded_by_age_keeps_what_is_young_enough(steps_ms: list[int]) -> None:
    """Months of clicks: the base of the times moves along."""
    window: Window | None = None
    time_ms = T0
    seen: list[int] = []
    for offset, step_ms in enumerate(steps_ms):
        time_ms += step_ms
        seen.append(time_ms)
        window, _, _ = fold(window, click_at("a", time_ms), 0, offset, time_ms, CONFIG)
        assert window.times_ms().tolist() == [
            ms for ms in seen if ms >= time_ms - CONFIG.max_age_ms
        ]


@pytest.mark.parametrize("events", [50, 200])
@pytest.mark.parametrize("with_event_ids", [False, True])
def test_an_event_takes_at_most_24_bytes(events: int, with_event_ids: bool) -> None:
    records = []
    time_ms = T0
    for n in range(events):  # all items distinct, a session of ten events every few hours
        time_ms += 20_000 if n % 10 else 5 * 3_600_000
        event_id = f"01J{n:013d}" if with_event_ids else None
        click = Click("u1234567", f"i{n:07d}", "click", time_ms, event_id)
        records.append((click, 0, 10**9 + 1_000 * n, time_ms))
    assert len(encode_window(fold_all(records))) <= 24 * events


@given(streams_of_records(), configs)
def test_storing_and_reading_gives_the_same_window(
    records: list[Record], config: WindowConfig
) -> None:
    window = fold_all(records, config)
    stored = encode_window(window)
    assert decode_window(stored) == window
    assert encode_window(decode_window(stored)) == stored


@given(streams_of_records(max_size=8), st.data())
def test_any_damaged_byte_is_noticed(records: list[Record], data: st.DataObject) -> None:
    stored = bytearray(encode_window(fold_all(records)))
    at = data.draw(st.integers(0, len(stored) - 1))
    with pytest.raises(CodecError):
        decode_window(bytes(stored[:at]))
    stored[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CodecError):
        decode_window(bytes(stored))


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x01", b"\xc1", msgspec.msgpack.encode(["a"]), msgspec.msgpack.encode([["a\x00"], 1])],
)
def test_a_payload_that_is_no_window_is_a_codec_error(payload: bytes) -> None:
    with pytest.raises(CodecError, match="rebuild"):
        decode_window(frame(WINDOW_FORMAT, payload))


@pytest.mark.parametrize("column", ["items", "arrivals", "id_tags", "id_rests"])
def test_columns_of_unequal_length_are_a_codec_error(column: str) -> None:
    window = window_of(click_at("a"), click_at("b"), click_at("c"))
    getattr(window, column).append("a" if column == "items" else 1)
    with pytest.raises(CodecError, match="unequal length"):
        decode_window(encode_window(window))


@pytest.mark.parametrize("column", ["kinds", "sources", "places", "types"])
def test_extra_columns_of_unequal_length_are_a_codec_error(column: str) -> None:
    placed = Click("u", "c", "view", T0, place_cell=1 << 30)
    window = fold_all(
        [(click_at("a"), 0, 0, T0), (click_at("b", T0, "view"), 1, 1, T0), (placed, 1, 2, T0)]
    )
    assert window.extra is not None
    if column == "types":
        window.extra.types.pop()
    else:
        getattr(window.extra, column).append(1)
    with pytest.raises(CodecError, match="unequal length"):
        decode_window(encode_window(window))


def test_a_window_of_one_type_and_source_has_nothing_extra() -> None:
    window = window_of(click_at("a"), click_at("b"), click_at("late", T0 - 5))
    assert window.extra is None
    window, _, _ = fold(window, click_at("c", event_type="view"), 0, 3, T0, CONFIG)
    assert window.extra is not None
