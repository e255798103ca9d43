"""Transition records: chained, so that a hole is noticed and not taken for a duplicate."""

from array import array

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import HEADER_BYTES, CodecError, FormatError, frame
from streams.transitions import (
    CHAIN_KEY,
    SESSION_START,
    ReceivedPositions,
    SentPositions,
    ToldClick,
    TransitionBatch,
    decode_transitions,
    encode_transitions,
    owner_of,
)
from tests.streams.transition_samples import batches


def _rows(source: int, *offsets: int) -> TransitionBatch:
    return TransitionBatch.of(
        source,
        [
            ToldClick(
                offset, 1_700_000_000_000 + offset, "i1", "click", owned=False, before=[("i0", 1)]
            )
            for offset in offsets
        ],
    )


def _batch(positions: SentPositions, *offsets: int) -> TransitionBatch:
    batch = _rows(positions.source, *offsets)
    positions.chain(0, batch)
    return batch


@given(batches())
def test_a_batch_survives_encoding(batch: TransitionBatch) -> None:
    assert decode_transitions(encode_transitions(batch)) == batch


def test_a_click_is_one_row_however_many_items_it_follows() -> None:
    clicks = [
        ToldClick(7, 1, "i1", "click", owned=True, before=[("i2", 1), ("i1", 2), ("i3", 5)]),
        ToldClick(8, 2, "i2", "purchase", owned=False, before=[("i1", 1)]),
    ]
    batch = TransitionBatch.of(0, clicks)
    assert list(batch.offsets) == [7, 8]
    assert batch.event_types == ["click", "purchase"]
    assert batch.clicks() == clicks
    assert decode_transitions(encode_transitions(batch)).clicks() == clicks


def test_items_stand_in_a_batch_once_and_numbers_are_narrow() -> None:
    clicks = [
        ToldClick(n, 1_700_000_000_000 + n, f"item {n % 9}", "click", owned=True, before=[])
        for n in range(100)
    ]
    blob = encode_transitions(TransitionBatch.of(0, clicks))
    assert blob.count(b"item 3") == 1
    # Offset, time, item and row of one byte each, and the distance 0.
    assert len(blob) < 100 * 5 + 9 * 8 + 60


@given(st.data())
def test_damaged_bytes_are_refused(data: st.DataObject) -> None:
    blob = bytearray(encode_transitions(_rows(3, 8)))
    position = data.draw(st.integers(0, len(blob) - 1))
    blob[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CodecError):
        decode_transitions(bytes(blob))


@given(st.text(max_size=50), st.integers(1, 64))
def test_an_owner_is_a_partition_and_always_the_same(item_id: str, partitions: int) -> None:
    assert 0 <= owner_of(item_id, partitions) < partitions
    assert owner_of(item_id, partitions) == owner_of(item_id, partitions)


@pytest.mark.parametrize(
    "change",
    [
        {"items": [2]},
        {"items": [-1]},
        {"kinds": [1]},
        {"ends": []},
        {"ends": [1, 1]},
        {"ends": [2]},
        {"ends": [0]},
        {"ends": [2], "rows": [0, 0], "distances": [1, 1]},
        {"ends": [2], "rows": [0, 0], "distances": [1, 0]},
        {"rows": [1]},
        {"rows": [-1]},
        {"distances": [-1]},
        {"offsets": [], "times_ms": [], "items": [], "kinds": []},
    ],
)
def test_columns_that_do_not_fit_together_are_refused(change: dict[str, list[int]]) -> None:
    batch = _rows(0, 5)
    assert batch.is_consistent()
    batch.columns = batch.columns._replace(
        **{name: array("q", value) for name, value in change.items()}
    )
    assert not batch.is_consistent()
    with pytest.raises(CodecError, match="columns"):
        decode_transitions(encode_transitions(batch))


@pytest.mark.parametrize(
    "change",
    [
        {"event_types": []},
        {"event_types": ["click", "click"]},
        {"item_ids": ["i0"]},
        {"item_ids": ["i0", "i0"]},
        {"item_ids": ["i0", CHAIN_KEY]},
    ],
)
def test_names_that_do_not_fit_the_columns_are_refused(change: dict[str, list[str]]) -> None:
    batch = msgspec.structs.replace(_rows(0, 5), **change)
    with pytest.raises(CodecError, match="do not fit together"):
        decode_transitions(encode_transitions(batch))


def test_columns_of_unequal_length_are_inconsistent() -> None:
    batch = _rows(0, 5)
    batch.columns = batch.columns._replace(times_ms=array("q"))
    assert not batch.is_consistent()


def test_the_first_format_is_refused_with_what_to_do() -> None:
    blob = encode_transitions(_rows(0, 5))
    with pytest.raises(FormatError, match="format 1, this version reads format 2"):
        decode_transitions(frame(1, blob[HEADER_BYTES:]))
    assert ReceivedPositions().encode()[0] == 1


def test_owners_are_the_same_in_every_release() -> None:
    assert [owner_of(item, 16) for item in ("i1", "i2", "ünïcode")] == [14, 5, 7]


def test_records_of_one_sender_are_accepted_in_order() -> None:
    sent, received = SentPositions(0), ReceivedPositions()
    assert [received.accept(_batch(sent, n, n + 1)) for n in range(0, 10, 2)] == [True] * 5


def test_a_record_whose_predecessor_was_lost_is_set_aside() -> None:
    sent, received = SentPositions(0), ReceivedPositions()
    received.accept(_batch(sent, 1, 2))
    _batch(sent, 3)  # never arrives
    assert not received.accept(_batch(sent, 4))


def test_the_replay_of_a_lost_record_and_its_successors_is_accepted() -> None:
    received = ReceivedPositions()
    first = SentPositions(0)
    received.accept(_batch(first, 1, 2))
    _batch(first, 3)  # never arrives
    received.accept(_batch(first, 4))
    replay = SentPositions(0)
    assert received.accept(_batch(replay, 3))
    assert received.accept(_batch(replay, 4, 5))


def test_a_late_record_of_a_dead_sender_does_no_harm() -> None:
    received, dead, alive = ReceivedPositions(), SentPositions(0), SentPositions(0)
    received.accept(_batch(dead, 1, 2))
    lost = _batch(dead, 3)
    late = _batch(dead, 6)
    assert received.accept(_batch(alive, 3, 4))
    assert not received.accept(late) or lost.offsets[-1] <= 4
    assert received.accept(_batch(alive, 5, 6))


def test_reading_a_partition_again_starts_a_new_chain() -> None:
    sent = SentPositions(0)
    _batch(sent, 1, 5)
    assert _batch(sent, 3, 4).after_offset == SESSION_START


def test_sources_have_chains_of_their_own() -> None:
    received = ReceivedPositions()
    clicks, rekeyed = SentPositions(0), SentPositions(1)
    received.accept(_batch(clicks, 100))
    assert received.accept(_batch(rekeyed, 3))
    assert received.accept(_batch(clicks, 101))


def test_positions_survive_encoding() -> None:
    sent, received = SentPositions(4), ReceivedPositions()
    received.accept(_batch(sent, 7))
    restored = ReceivedPositions.decode(received.encode())
    assert restored.accept(_batch(sent, 8))
    _batch(sent, 9)
    assert not restored.accept(_batch(sent, 10))
