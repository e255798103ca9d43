"""Edges in float32: a pure fold of their transitions however it is cut, and never infinite."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import HEADER_BYTES, FormatError, frame
from streams.edges import EDGE_REBASE_HALF_LIVES
from streams.event_types import EventType, EventTypes
from streams.graph import (
    GraphConfig,
    ItemState,
    decode_edges,
    decode_item_state,
    encode_item,
    new_item_state,
    peek_item,
)
from streams.instant import MAX_INSTANT_MS
from streams.item_index import ItemIndex
from streams.kernels import pure_folds, pure_forgetting
from streams.transitions import ToldClick
from tests.streams.item_folds import fold_told

T0 = 1_769_860_800_000
HOUR_MS = 3_600_000

Row = tuple[int, str, str, int]
"""Time, destination, event type, distance."""


def config(click_hours: float = 1.0) -> GraphConfig:
    types = [
        EventType("click", 1.0, 3600.0 * click_hours, 1),
        EventType("buy", 1e6, 3 * 3600.0, 1),
    ]
    return GraphConfig(max_neighbours=4, event_types=EventTypes(types))


# In half-lives of an hour: within float32, beyond it, to either end of time.
AGES = st.integers(-5, 5) | st.integers(-400, 400) | st.sampled_from([-MAX_INSTANT_MS, -T0 - 1])
ROWS = st.lists(
    st.tuples(
        st.builds(
            lambda hours, ms: max(-MAX_INSTANT_MS, min(MAX_INSTANT_MS, T0 + hours * HOUR_MS + ms)),
            AGES,
            st.integers(-999, 999),
        ),
        st.sampled_from("abcdefg"),
        st.sampled_from(["click", "click", "buy"]),
        st.integers(1, 5),
    ),
    max_size=40,
)


def fold(state: ItemState, rows: list[Row], first: int, now: GraphConfig) -> None:
    """Rows as one batch, from offset `first` on."""
    told = [
        ToldClick(offset, time_ms, item, kind, owned=False, before=[("this", distance)])
        for offset, (time_ms, item, kind, distance) in enumerate(rows, first)
    ]
    fold_told(state, 0, told, now)


@given(ROWS, st.data())
def test_neither_cuts_nor_storing_in_between_change_a_byte(
    rows: list[Row], data: st.DataObject
) -> None:
    half = data.draw(st.integers(0, len(rows)), label="the half-life changes at")
    other = config(data.draw(st.sampled_from([1.0, 0.001, 7.3, 1e4])))
    whole, cut = new_item_state(), new_item_state()
    with pytest.MonkeyPatch.context() as patch:  # in Python, too
        patch.setattr("streams.graph.fold_items", pure_folds.fold_items)
        patch.setattr("streams.graph.keep_strongest", pure_forgetting.keep_strongest)
        fold(whole, rows[:half], 0, config())
        fold(whole, rows[half:], half, other)
    for place, row in enumerate(rows):
        fold(cut, [row], place, config() if place < half else other)
        if data.draw(st.booleans()):
            cut = decode_item_state(encode_item(cut))
    fold(cut, [], len(rows), other)
    assert encode_item(cut) == encode_item(whole)
    assert all(
        math.isfinite(weight) and weight >= 0.0
        for group in cut.edges.values()
        for weight in group.weights
    )


@pytest.mark.parametrize("days_late", [1, 7, 400])
def test_a_late_transition_with_a_new_half_life_leaves_weights_finite(days_late: int) -> None:
    state = new_item_state()
    fold(state, [(T0, "x", "click", 1)], 0, config())
    fold(state, [(T0 - 24 * days_late * HOUR_MS, "y", "click", 1)], 1, config(2.0))
    edges = state.edges["click"]
    assert edges.half_life_ms == 2.0 * HOUR_MS
    assert edges["x"].weight * 2.0 ** (edges.base - T0 / (2.0 * HOUR_MS)) == pytest.approx(1.0)
    assert edges["y"].weight < 1e-3


def test_weights_of_the_largest_kind_do_not_outgrow_a_float() -> None:
    """The most that ever adds up: as long as it counts, just before the edges are rebased."""
    state = new_item_state()
    fold(state, [(T0, "x", "buy", 1)], 0, config())
    edges = state.edges["buy"]
    last_ms = math.floor((edges.base + EDGE_REBASE_HALF_LIVES + 1) * edges.half_life_ms) - 1
    edges.weights[0] = 2.0**25 * 1e6 * 2.0 ** (EDGE_REBASE_HALF_LIVES + 1)
    before = edges.weights[0]
    fold(state, [(last_ms, "x", "buy", 1)], 1, config())
    assert edges.base == math.floor(T0 / edges.half_life_ms)
    assert edges.weights[0] == before < 2.0**127
    assert edges["x"].count == 2


def test_the_first_format_is_refused_with_what_to_do() -> None:
    stored = encode_item(new_item_state())
    first = frame(1, stored[HEADER_BYTES:])
    message = "item state has format 1, this version reads format 2: run the version that wrote it"
    for read in (
        decode_item_state,
        peek_item,
        lambda blob: decode_edges(blob, ["click"], ItemIndex().index_all),
    ):
        with pytest.raises(FormatError, match=message):
            read(first)
