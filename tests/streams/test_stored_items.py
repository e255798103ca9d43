"""Items as they are stored: written and read again, damage noticed, and how long they are."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import HEADER_BYTES, CodecError, frame
from streams.edges import TypeEdges
from streams.graph import (
    ITEM_FORMAT,
    decode_item_state,
    degree,
    encode_item,
    new_item_state,
    peek_item,
)
from streams.popularity import POPULARITY_BYTES
from tests.streams.item_world import (
    T0,
    Transition,
    state_of,
    transitions,
)


@given(transitions())
def test_storing_and_reading_gives_the_same_state(steps: list[Transition]) -> None:
    state = state_of(steps)
    stored = encode_item(state)
    assert decode_item_state(stored) == state
    assert encode_item(decode_item_state(stored)) == stored
    assert peek_item(stored) == (state.popularity, degree(state))


@given(transitions(max_size=6), st.data())
def test_any_damaged_byte_is_noticed(steps: list[Transition], data: st.DataObject) -> None:
    stored = bytearray(encode_item(state_of(steps)))
    at = data.draw(st.integers(0, len(stored) - 1))
    with pytest.raises(CodecError):
        decode_item_state(bytes(stored[:at]))
    stored[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CodecError):
        decode_item_state(bytes(stored))


@pytest.mark.parametrize("rest", [b"", b"\xc1", msgspec.msgpack.encode([1]), b"\x92\x80"])
def test_a_payload_that_is_no_item_state_is_a_codec_error(rest: bytes) -> None:
    with pytest.raises(CodecError, match="rebuild"):
        decode_item_state(frame(ITEM_FORMAT, bytes(POPULARITY_BYTES) + rest))


def test_peeking_refuses_other_formats_and_short_blobs() -> None:
    stored = encode_item(new_item_state())
    with pytest.raises(CodecError, match="format 9"):
        peek_item(b"\x09" + stored[1:])
    for length in (0, 3, HEADER_BYTES, HEADER_BYTES + POPULARITY_BYTES - 1):
        with pytest.raises(CodecError):
            peek_item(stored[:length])
    with pytest.raises(CodecError, match="too short"):
        peek_item(frame(ITEM_FORMAT, b"x"))
    with pytest.raises(CodecError, match="too short"):
        decode_item_state(frame(ITEM_FORMAT, b"x"))


def test_a_neighbour_takes_nine_bytes_and_its_name() -> None:
    def stored_bytes(neighbours: int, characters: int) -> int:
        week = [
            Transition(
                0, n, f"{n % neighbours:0{characters}d}", "click", 1 + n % 5,
                T0 + n % 100 * 6_048_000,
            )
            for n in range(300)
        ]  # fmt: skip
        state = state_of(week)
        for source in range(8):  # transitions come from every partition of the clicks
            state.watermarks[source] = 10_000_000 + source
        assert degree(state) == neighbours
        return len(encode_item(state))

    for characters in (4, 6):
        more = stored_bytes(100, characters) - stored_bytes(50, characters)
        assert more <= 50 * (9 + characters) + 3  # and wider heads of columns
    assert stored_bytes(100, 4) <= 1_500
    assert stored_bytes(100, 6) <= 1_700


@pytest.mark.parametrize(
    "change",
    [
        {"weights": b"\0" * 7},
        {"ages": b""},
        {"ages": b"\0" * 5},
        {"counts": []},
        {"counts": [-1]},
        {"destinations": ["x", "x"]},
        {"half_life_ms": 0.0},
    ],
)
def test_edge_columns_that_do_not_fit_together_are_refused(change: dict[str, object]) -> None:
    stored = state_of([Transition(0, 0, "x", "click", 1, T0)]).edges["click"].stored()
    for name, damaged in change.items():
        setattr(stored, name, damaged)
    with pytest.raises(CodecError, match="do not fit together"):
        TypeEdges.restored(stored)


@pytest.mark.parametrize("oldest_seconds", [0, 255, 256, 1 << 24, (1 << 32) - 1, 1 << 32])
def test_ages_take_as_many_bytes_as_the_oldest_needs(oldest_seconds: int) -> None:
    times_ms = [T0, T0 - 1000 * oldest_seconds, T0 - 500 * oldest_seconds]
    state = state_of(
        [Transition(0, n, f"i{n}", "click", 1, time_ms) for n, time_ms in enumerate(times_ms)]
    )
    edges = state.edges["click"]
    width = len(edges.stored().ages) // 3
    assert 1 << 8 * width > oldest_seconds
    assert width == 1 or oldest_seconds >> 8 * (width - 1 if width < 8 else 4)
    assert decode_item_state(encode_item(state)) == state
