"""Watermarks read in place: what the whole state would say, and damage is told."""

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import CodecError, FormatError, frame
from streams.graph import GraphConfig, decode_item_state, encode_item, new_item_state
from streams.watermarks import item_watermarks, window_watermarks
from streams.window import Window, decode_window, encode_window
from tests.streams.item_folds import fold_edge, fold_popularity
from tests.streams.window_model import T0, Record, click_at, fold_all, streams_of_records, window_of


@given(streams_of_records())
def test_those_of_a_window_are_the_same_as_after_unpacking_all_of_it(records: list[Record]) -> None:
    blob = encode_window(fold_all(records))
    assert window_watermarks(blob) == decode_window(blob).watermarks


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc")), max_size=12))
def test_those_of_an_item_are_the_same_as_after_unpacking_all_of_it(
    steps: list[tuple[int, str]],
) -> None:
    state = new_item_state()
    config = GraphConfig()
    for offset, (source, follower) in enumerate(steps):
        fold_popularity(state, source, 2 * offset, "click", T0, config)
        fold_edge(state, source, 2 * offset + 1, follower, "click", 1, T0, config)
    blob = encode_item(state)
    assert item_watermarks(blob) == decode_item_state(blob).watermarks
    assert len(item_watermarks(blob)) == len({source for source, _ in steps})


def test_a_window_that_has_read_nothing_has_none() -> None:
    assert window_watermarks(encode_window(Window())) == {}


@pytest.mark.parametrize("read", [window_watermarks, item_watermarks])
def test_damage_and_another_format_are_told(
    read: Callable[[bytes], Mapping[int, int]],
) -> None:
    is_window = read is window_watermarks
    blob = encode_window(window_of(click_at("i"))) if is_window else encode_item(new_item_state())
    with pytest.raises(CodecError, match="checksum"):
        read(blob[:-1] + bytes([blob[-1] ^ 1]))
    with pytest.raises(CodecError, match="shorter"):
        read(blob[:3])
    with pytest.raises(FormatError):
        read(bytes([99]) + blob[1:])
    with pytest.raises(CodecError, match="cannot be read"):
        read(frame(blob[0], b"\x91\xc1"))
