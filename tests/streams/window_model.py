"""What a window means, with no thought for speed or size, and streams of records to fold."""

from array import array

import msgspec
from hypothesis import strategies as st

from streams.events import Click
from streams.window import HistoryView, Outcome, Window, WindowConfig, fold

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
            array("q", [entry.time_ms for entry in kept]),
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
