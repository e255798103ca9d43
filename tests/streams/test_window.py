"""The window's fold against a plain model of it, its bounds, its duplicates and its views."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import frame
from streams.events import Click
from streams.window import (
    WINDOW_FORMAT,
    HistoryView,
    Outcome,
    Window,
    WindowConfig,
    decode_window,
    encode_window,
    fold,
    history,
    negatives,
    seen_items,
)
from tests.streams.window_model import (
    CONFIG,
    T0,
    ModelWindow,
    Record,
    click_at,
    configs,
    fold_all,
    streams_of_records,
    window_of,
)


@given(streams_of_records(), configs, st.booleans())
def test_the_fold_agrees_with_the_plain_model(
    records: list[Record], config: WindowConfig, stored_between: bool
) -> None:
    model = ModelWindow(config)
    window: Window | None = None
    newest_ms = 0
    for click, source, offset, now_ms in records:
        late = window is not None and click.timestamp_ms < window.newest_ms
        window, outcome, predecessors = fold(window, click, source, offset, now_ms, config)
        assert (outcome, predecessors) == model.fold(click, source, offset, now_ms)
        if stored_between:
            window = decode_window(encode_window(window))
        if outcome is Outcome.APPLIED:
            assert late == (click.timestamp_ms < newest_ms)
            newest_ms = max(newest_ms, click.timestamp_ms)
        entries = model.entries
        assert len(window) == len(entries)
        assert window.times_ms().tolist() == [entry.time_ms for entry in entries]
        assert window.offsets() == [entry.offset for entry in entries]
        assert window.watermarks == model.watermarks
        assert window.newest_ms == newest_ms
        assert window.oldest_ms == min((entry.time_ms for entry in entries), default=0)
        assert history(window, config) == model.history()
        assert seen_items(window) == {entry.item for entry in entries}
        assert negatives(window, config) == {
            entry.item for entry in entries if entry.event_type == "dislike"
        }


@given(streams_of_records(), configs)
def test_bounds_always_hold(records: list[Record], config: WindowConfig) -> None:
    window: Window | None = None
    for click, source, offset, now_ms in records:
        window, outcome, predecessors = fold(window, click, source, offset, now_ms, config)
        assert len(window) <= config.max_events
        assert len(window.id_tags) <= config.max_event_ids
        assert len(window.id_rests) <= 8 * config.max_event_ids
        assert len(window.items) <= config.max_events
        assert len(predecessors or []) <= config.predecessors
        if outcome is Outcome.APPLIED and len(window):
            assert window.oldest_ms >= now_ms - config.max_age_ms


@given(streams_of_records(), configs, st.data())
def test_replaying_any_prefix_changes_no_byte(
    records: list[Record], config: WindowConfig, data: st.DataObject
) -> None:
    window = fold_all(records, config)
    stored = encode_window(window)
    for click, source, offset, now_ms in records[: data.draw(st.integers(0, len(records)))]:
        window, outcome, _ = fold(window, click, source, offset, now_ms, config)
        assert outcome is Outcome.REPLAYED
    assert encode_window(window) == stored


@given(streams_of_records(max_size=20))
def test_a_replayed_click_gives_the_predecessors_it_gave_first(records: list[Record]) -> None:
    window: Window | None = None
    first = []
    for click, source, offset, now_ms in records:
        window, outcome, predecessors = fold(window, click, source, offset, now_ms, CONFIG)
        first.append(None if outcome is Outcome.DUPLICATE else predecessors)
    again = [
        fold(window, click, source, offset, now_ms, CONFIG)[2]
        for click, source, offset, now_ms in records
    ]
    assert again == first


@given(streams_of_records(), configs)
def test_folding_the_same_records_twice_gives_the_same_bytes(
    records: list[Record], config: WindowConfig
) -> None:
    assert encode_window(fold_all(records, config)) == encode_window(fold_all(records, config))


@given(st.permutations(["1", "1", "2", "2", "3", "3"]))
def test_duplicates_leave_the_same_entries_wherever_they_arrive(event_ids: list[str]) -> None:
    records = [
        (Click("u", f"item {event_id}", "click", T0 + int(event_id), event_id), 0, offset, T0 + 9)
        for offset, event_id in enumerate(event_ids)
    ]
    window = fold_all(records)
    assert history(window, CONFIG).items == ["item 1", "item 2", "item 3"]
    assert window.watermarks == {0: 5}


def test_a_duplicate_advances_the_watermark_and_nothing_else() -> None:
    click = Click("u", "a", "click", T0, "e1")
    window = fold_all([(click, 0, 5, T0)])
    window, outcome, predecessors = fold(window, click, 0, 9, T0, CONFIG)
    assert (outcome, predecessors, len(window)) == (Outcome.DUPLICATE, None, 1)
    assert window.watermarks == {0: 9}
    assert fold(window, click, 0, 9, T0, CONFIG)[1:] == (Outcome.REPLAYED, None)


def test_an_event_id_is_forgotten_after_the_bound() -> None:
    config = WindowConfig(max_event_ids=2)
    records = [(Click("u", "a", "click", T0, f"e{n}"), 0, n, T0) for n in range(3)]
    window = fold_all(records, config)
    assert fold(window, records[1][0], 0, 3, T0, config)[1] is Outcome.DUPLICATE
    assert fold(window, records[0][0], 0, 4, T0, config)[1] is Outcome.APPLIED


def test_offsets_of_different_sources_do_not_mask_each_other() -> None:
    window = fold_all([(click_at("a"), 0, 100, T0)])
    window, outcome, predecessors = fold(window, click_at("b"), 1, 3, T0, CONFIG)
    assert (outcome, predecessors) == (Outcome.APPLIED, ["a"])
    assert fold(window, click_at("b"), 1, 3, T0, CONFIG)[1:] == (Outcome.REPLAYED, ["a"])
    assert fold(window, click_at("a"), 0, 100, T0, CONFIG)[1:] == (Outcome.REPLAYED, [])


def test_predecessors_skip_repeats_and_the_clicked_item_but_keep_their_distance() -> None:
    window = window_of(*[click_at(item) for item in "abcbd"])
    _, _, predecessors = fold(window, click_at("c"), 0, 5, T0, CONFIG)
    assert predecessors == ["d", "b", None, None, "a"]


def test_only_interest_counts_as_a_step() -> None:
    window = window_of(
        click_at("a"), click_at("b", event_type="impression"), click_at("c", event_type="dislike")
    )
    assert fold(window, click_at("d"), 0, 3, T0, CONFIG)[2] == ["a"]


@pytest.mark.parametrize("event_type", ["impression", "dislike", "no longer configured"])
def test_a_click_without_weight_has_no_predecessors(event_type: str) -> None:
    window = window_of(click_at("a"))
    assert fold(window, click_at("b", event_type=event_type), 0, 1, T0, CONFIG)[2] == []


def test_predecessors_follow_arrival_and_history_follows_event_time() -> None:
    window = window_of(click_at("a", T0 + 10), click_at("late", T0), click_at("b", T0 + 20))
    assert history(window, CONFIG).items == ["late", "a", "b"]
    assert fold(window, click_at("c", T0 + 30), 0, 3, T0, CONFIG)[2] == ["b", "late", "a"]


def test_equal_times_keep_arrival_order_in_history() -> None:
    window = window_of(click_at("b", T0 + 5), click_at("c", T0), click_at("a", T0 + 5))
    assert history(window, CONFIG).items == ["c", "b", "a"]


@pytest.mark.parametrize("last_ms", [T0 + 9, T0 - 5])
def test_a_limit_keeps_the_newest_of_the_history(last_ms: int) -> None:
    window = window_of(*[click_at(f"i{n}", T0 + n) for n in range(5)], click_at("last", last_ms))
    whole = history(window, CONFIG)
    assert history(window, CONFIG, limit=2) == HistoryView(*[column[-2:] for column in whole])
    assert history(window, CONFIG, limit=0).items == []
    assert history(window, CONFIG, limit=99) == whole


def test_a_late_event_behind_a_newer_one_still_expires() -> None:
    config = WindowConfig(max_age_ms=100)
    window = window_of(
        click_at("new", T0 + 90), click_at("late", T0), click_at("now", T0 + 95), config=config
    )
    window, _, predecessors = fold(window, click_at("x", T0 + 150), 0, 3, T0 + 150, config)
    assert predecessors == ["now", "new"]
    assert seen_items(window) == {"new", "now", "x"}


def test_a_quiet_user_returns_to_an_empty_window_with_its_watermark() -> None:
    window = window_of(click_at("a"), click_at("b"))
    later_ms = T0 + CONFIG.max_age_ms + 1
    window, outcome, predecessors = fold(window, click_at("c", later_ms), 0, 2, later_ms, CONFIG)
    assert (outcome, predecessors) == (Outcome.APPLIED, [])
    assert history(window, CONFIG).items == ["c"]
    assert fold(window, click_at("a"), 0, 0, T0, CONFIG)[1:] == (Outcome.REPLAYED, None)


def test_a_smaller_bound_takes_effect_at_the_next_click() -> None:
    window = window_of(*[click_at(f"i{n}", T0 + n) for n in range(60)])
    smaller = WindowConfig(max_events=3)
    window, _, _ = fold(window, click_at("x", T0 + 60), 0, 60, T0, smaller)
    assert history(window, smaller).items == ["i58", "i59", "x"]
    assert len(window.items) == 3


def test_a_window_stored_before_there_were_limits_is_read() -> None:
    window = window_of(click_at("i1"), click_at("i2"))
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(window))
    blob = frame(WINDOW_FORMAT, msgspec.msgpack.encode(fields[:-2]))
    assert encode_window(decode_window(blob)) == encode_window(window)
