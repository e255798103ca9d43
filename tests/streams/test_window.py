"""The window's fold against a plain model of it, its bounds, its views and its packed form."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import CodecError, frame
from streams.event_types import EventType, EventTypes
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

T0 = 1_769_860_800_000
CONFIG = WindowConfig()


class Entry(msgspec.Struct):
    item: str
    event_type: str
    time_ms: int
    offset: int
    source: int
    place: int


class ModelWindow:
    """What a window means, with no thought for speed or size."""

    def __init__(self, config: WindowConfig) -> None:
        self.config = config
        self.entries: list[Entry] = []
        self.watermarks: dict[int, int] = {}
        self.event_ids: list[str] = []

    def fold(
        self, click: Click, source: int, offset: int, now_ms: int
    ) -> tuple[Outcome, list[str | None] | None]:
        config = self.config
        if offset <= self.watermarks.get(source, -1):
            for at, entry in enumerate(self.entries):
                if (entry.offset, entry.source) == (offset, source):
                    return Outcome.REPLAYED, self.predecessors(at, entry.item, entry.event_type)
            return Outcome.REPLAYED, None
        self.watermarks[source] = offset
        if click.event_id is not None:
            if click.event_id in self.event_ids:
                return Outcome.DUPLICATE, None
            self.event_ids.append(click.event_id)
            self.event_ids = self.event_ids[max(0, len(self.event_ids) - config.max_event_ids) :]
        self.expire(now_ms)
        predecessors = self.predecessors(len(self.entries), click.item_id, click.event_type)
        self.entries.append(
            Entry(
                click.item_id,
                click.event_type,
                click.timestamp_ms,
                offset,
                source,
                click.place_cell,
            )
        )
        self.entries = self.entries[max(0, len(self.entries) - config.max_events) :]
        self.expire(now_ms)
        return Outcome.APPLIED, predecessors

    def expire(self, now_ms: int) -> None:
        cutoff_ms = now_ms - self.config.max_age_ms
        self.entries = [entry for entry in self.entries if entry.time_ms >= cutoff_ms]

    def predecessors(self, stop: int, item: str, event_type: str) -> list[str | None]:
        if self.config.event_types.weight(event_type) == 0:
            return []
        found: list[str | None] = []
        positive = [
            entry.item
            for entry in self.entries[:stop]
            if self.config.event_types.is_positive(entry.event_type)
        ]
        for candidate in reversed(positive[max(0, len(positive) - self.config.predecessors) :]):
            found.append(None if candidate in [item, *found] else candidate)
        while found and found[-1] is None:
            found.pop()
        return found

    def history(self) -> HistoryView:
        kept = [e for e in self.entries if self.config.event_types.is_positive(e.event_type)]
        kept.sort(key=lambda entry: entry.time_ms)
        return HistoryView(
            [entry.item for entry in kept],
            [entry.event_type for entry in kept],
            [entry.time_ms for entry in kept],
            [entry.place for entry in kept],
        )


configs = st.builds(
    WindowConfig,
    max_events=st.integers(1, 12),
    max_age_ms=st.sampled_from([1_000, 20_000, 10**9]),
    predecessors=st.integers(0, 4),
    max_event_ids=st.integers(0, 4),
)
Record = tuple[Click, int, int, int]


@st.composite
def streams_of_records(draw: st.DrawFn, max_size: int = 40) -> list[Record]:
    """Clicks of one user: a few sources, late events, gaps, repeated items and event ids."""
    single_source = draw(st.booleans())
    always_click = draw(st.booleans())
    records: list[Record] = []
    now_ms = T0
    next_offset = {0: 0, 1: 0, 6: 10**12}
    for _ in range(draw(st.integers(0, max_size))):
        now_ms += draw(st.sampled_from([0, 1, 700, 700, 5_000, 60_000]))
        source = 0 if single_source else draw(st.sampled_from(sorted(next_offset)))
        offset = next_offset[source] + draw(st.sampled_from([0, 3, 100_000]))
        next_offset[source] = offset + 1
        click = Click(
            "u",
            draw(st.sampled_from("abcdefghijklmnop")),
            "click"
            if always_click
            else draw(st.sampled_from(["click", "view", "dislike", "impression", "gone"])),
            now_ms - draw(st.sampled_from([0, 0, 0, 300, 2_000, 15_000, -400])),
            draw(st.none() | st.sampled_from("123456")),
            place_cell=draw(st.sampled_from([0, 0, 0, 1 << 30])),
        )
        records.append((click, source, offset, now_ms))
    return records


def fold_all(records: list[Record], config: WindowConfig = CONFIG) -> Window:
    window: Window | None = None
    for click, source, offset, now_ms in records:
        window, _, _ = fold(window, click, source, offset, now_ms, config)
    return window if window is not None else Window()


def click_at(item_id: str, time_ms: int = T0, event_type: str = "click") -> Click:
    return Click("u", item_id, event_type, time_ms)


def window_of(*clicks: Click, config: WindowConfig = CONFIG) -> Window:
    return fold_all(
        [(click, 0, offset, click.timestamp_ms) for offset, click in enumerate(clicks)], config
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
        assert window.times_ms() == [entry.time_ms for entry in entries]
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


def test_a_smaller_bound_takes_effect_at_the_next_click() -> None:
    window = window_of(*[click_at(f"i{n}", T0 + n) for n in range(60)])
    smaller = WindowConfig(max_events=3)
    window, _, _ = fold(window, click_at("x", T0 + 60), 0, 60, T0, smaller)
    assert history(window, smaller).items == ["i58", "i59", "x"]
    assert len(window.items) == 3


def test_an_event_before_all_others_by_any_margin_is_held() -> None:
    times_ms = [T0, T0 - 3_600_000, T0 - 25 * 86_400_000, T0 + 4 * 86_400_000]
    window = fold_all(
        [(click_at(f"i{n}", time_ms), 0, n, T0) for n, time_ms in enumerate(times_ms)]
    )
    window = decode_window(encode_window(window))
    assert window.times_ms() == times_ms
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
    assert window.times_ms() == [click.timestamp_ms for click, _, _ in records[1:]]
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
        assert window.times_ms() == [ms for ms in seen if ms >= time_ms - CONFIG.max_age_ms]


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
