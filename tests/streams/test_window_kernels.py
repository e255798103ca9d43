"""The kernel of plain clicks: what it applies, `fold` would have applied just so."""

import copy
import importlib
from types import ModuleType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.event_types import EventTypes
from streams.events import Click
from streams.kernels import COMPILED, pure_windows
from streams.kernels.pure_windows import WindowBounds
from streams.window import Outcome, Window, WindowConfig, encode_window, fold
from tests.streams.window_model import CONFIG, T0, Record, configs, fold_all, streams_of_records

compiled: ModuleType = (
    importlib.import_module("streams.kernels.compiled_windows") if COMPILED else pure_windows
)
TYPES = EventTypes()
DAY_MS = 86_400_000


def bounds_of(config: WindowConfig) -> WindowBounds:
    return WindowBounds(
        config.max_events,
        config.max_age_ms,
        config.predecessors,
        config.max_event_ids,
        config.graph_click_ms,
    )


def applied_by_kernel(
    window: Window, records: list[Record], config: WindowConfig, source: int
) -> tuple[int, int, list[list[str | None] | None], list[tuple[str, str]]]:
    """How many clicks were applied, how many of them late, what they link, and the trials."""
    predecessors: list[list[str | None] | None] = [None] * len(records)
    trials: list[tuple[str, str]] = []
    end, late = compiled.fold_plain(
        window,
        "u",
        [click for click, _, _, _ in records],
        list(range(len(records))),
        0,
        [offset for _, _, offset, _ in records],
        [now_ms for _, _, _, now_ms in records],
        source,
        bounds_of(config),
        config.event_types.effects.get(window.event_type),
        predecessors,
        trials,
    )
    return end, late, predecessors, trials


@given(
    streams_of_records(),
    configs,
    st.sampled_from([0, 0, DAY_MS // 3]),
    st.integers(0, 40),
)
def test_what_the_kernel_applies_is_what_the_fold_would_make_of_it(
    records: list[Record], config: WindowConfig, graph_click_ms: int, begun: int
) -> None:
    config = msgspec.structs.replace(config, graph_click_ms=graph_click_ms)
    before, rest = records[: begun + 1], records[begun + 1 :]
    window = fold_all(before, config)
    by_kernel = copy.deepcopy(window)
    of_source = [record for record in rest if record[1] == window.source]
    end, late, predecessors, trials = applied_by_kernel(by_kernel, of_source, config, window.source)
    late_by_fold = 0
    for number, (click, source, offset, now_ms) in enumerate(of_source[:end]):
        late_by_fold += click.timestamp_ms < window.newest_ms
        window, outcome, links = fold(window, click, source, offset, now_ms, config)
        assert outcome is Outcome.APPLIED
        of_interest = config.event_types.is_positive(click.event_type)
        assert predecessors[number] == (links if of_interest else None)
    assert predecessors[end:] == [None] * len(of_source[end:])
    assert encode_window(by_kernel) == encode_window(window)
    assert late == late_by_fold
    assert trials == [
        ("u", click.item_id)
        for click, _, _, _ in of_source[:end]
        if config.event_types.is_positive(click.event_type)
    ]


@pytest.mark.skipif(not COMPILED, reason="in Python every click is left to the fold")
def test_clicks_of_one_type_and_source_in_order_are_all_applied() -> None:
    config = msgspec.structs.replace(CONFIG, max_events=5, max_event_ids=3)
    records = [(Click("u", f"i{n % 7}", "click", T0 + n, f"e{n}"), 0, n, T0 + n) for n in range(20)]
    window = fold_all(records[:1], config)
    assert applied_by_kernel(window, records[1:], config, 0)[:2] == (19, 0)
    assert window.items == ["i1", "i2", "i3", "i4", "i5"]


PLAIN = (Click("u", "b", "click", T0 + 5, "e2"), 0, 7, T0 + 5)
ODD: dict[str, Record] = {
    "read before": (*PLAIN[:2], 6, PLAIN[3]),
    "its event id was there": (Click("u", "b", "click", T0 + 5, "e1"), *PLAIN[1:]),
    "another type": (Click("u", "b", "view", T0 + 5, "e2"), *PLAIN[1:]),
    "with a place": (Click("u", "b", "click", T0 + 5, "e2", place_cell=1 << 30), *PLAIN[1:]),
    "too old for the window": (
        Click("u", "b", "click", T0 - CONFIG.max_age_ms, "e2"),
        *PLAIN[1:],
    ),
    "the first event of the window has become too old": (
        Click("u", "b", "click", T0 + 1 + CONFIG.max_age_ms),
        0,
        7,
        T0 + 1 + CONFIG.max_age_ms,
    ),
    "weeks after the first": (Click("u", "b", "click", T0 + (1 << 32), "e2"), *PLAIN[1:]),
    "billions of records after the first": (*PLAIN[:2], 1 << 33, PLAIN[3]),
}


@pytest.mark.skipif(not COMPILED, reason="in Python every click is left to the fold")
def test_the_click_that_the_odd_ones_differ_from_is_applied() -> None:
    window = fold_all([(Click("u", "a", "click", T0, "e1"), 0, 6, T0)])
    assert applied_by_kernel(window, [PLAIN], CONFIG, 0)[0] == 1


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_click_changes_nothing_and_ends_the_run(odd: Record) -> None:
    window = fold_all([(Click("u", "a", "click", T0, "e1"), 0, 6, T0)])
    before = encode_window(window)
    assert applied_by_kernel(window, [odd, PLAIN], CONFIG, 0)[0] == 0
    assert encode_window(window) == before


def test_a_window_of_several_sources_or_of_another_one_is_left_alone() -> None:
    window = fold_all([(Click("u", "a", "click", T0), 0, 6, T0)])
    assert applied_by_kernel(window, [PLAIN], CONFIG, 2)[0] == 0
    window = fold_all([(Click("u", "a", "click", T0), 2, 6, T0), (PLAIN[0], 0, 6, T0)])
    assert applied_by_kernel(window, [PLAIN], CONFIG, 0)[0] == 0


@pytest.mark.skipif(not COMPILED, reason="in Python every click is left to the fold")
def test_columns_that_do_not_fit_together_are_refused() -> None:
    window = fold_all([(Click("u", "a", "click", T0), 0, 6, T0)])
    window.arrivals.append(0)
    with pytest.raises(ValueError, match="unequal length"):
        applied_by_kernel(window, [PLAIN], CONFIG, 0)
    window = fold_all([(Click("u", "a", "click", T0, "e1"), 0, 6, T0)])
    window.id_rests.append(0)
    with pytest.raises(ValueError, match="unequal length"):
        applied_by_kernel(window, [PLAIN], CONFIG, 0)
