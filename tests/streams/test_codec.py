"""The frame around stored blobs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import CodecError, FormatError, frame, is_intact, unframe


@given(st.binary(max_size=300), st.integers(0, 255))
def test_a_frame_gives_back_what_was_put_in(payload: bytes, format_byte: int) -> None:
    blob = frame(format_byte, payload)
    assert blob[0] == format_byte
    assert bytes(unframe(blob, format_byte, "thing")) == payload


@given(st.binary(min_size=1, max_size=60), st.data())
def test_every_flipped_bit_is_noticed(payload: bytes, data: st.DataObject) -> None:
    blob = bytearray(frame(1, payload))
    at = data.draw(st.integers(0, len(blob) - 1))
    blob[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(CodecError):
        unframe(bytes(blob), 1, "thing")


@given(st.binary(min_size=1, max_size=60), st.data())
def test_every_cut_is_noticed(payload: bytes, data: st.DataObject) -> None:
    blob = frame(1, payload)
    with pytest.raises(CodecError):
        unframe(blob[: data.draw(st.integers(0, len(blob) - 1))], 1, "thing")


def test_errors_name_the_thing_and_the_remedy() -> None:
    with pytest.raises(CodecError, match=r"window has format 9, this version reads format 1: run"):
        unframe(frame(9, b"x"), 1, "window")
    with pytest.raises(CodecError, match=r"window is 2 bytes.*rebuild"):
        unframe(b"\x01\x00", 1, "window")
    with pytest.raises(CodecError, match=r"window fails its checksum: rebuild"):
        unframe(frame(1, b"x")[:-1] + b"y", 1, "window")


def test_another_version_is_told_from_damage() -> None:
    with pytest.raises(FormatError):
        unframe(frame(2, b"x"), 1, "window")
    assert is_intact(frame(2, b"x"))
    for damaged in (b"", b"\x01", frame(1, b"x")[:-1], frame(1, b"x") + b"y"):
        assert not is_intact(damaged)
