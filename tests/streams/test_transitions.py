"""Transition records: chained, so that a hole is noticed and not taken for a duplicate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import CodecError
from streams.transitions import (
    SESSION_START,
    ReceivedPositions,
    SentPositions,
    TransitionBatch,
    decode_transitions,
    encode_transitions,
    owner_of,
)
from tests.streams.transition_samples import batches


def _rows(source: int, *offsets: int) -> TransitionBatch:
    batch = TransitionBatch.empty(source)
    for offset in offsets:
        row = batch.add(offset, 1_700_000_000_000 + offset, "i1", "click")
        batch.edges.setdefault("i0", []).extend((row, 1))
    return batch


def _batch(positions: SentPositions, *offsets: int) -> TransitionBatch:
    batch = _rows(positions.source, *offsets)
    positions.chain(0, batch)
    return batch


@given(batches())
def test_a_batch_survives_encoding(batch: TransitionBatch) -> None:
    assert decode_transitions(encode_transitions(batch)) == batch


def test_a_click_is_one_row_however_often_it_is_added() -> None:
    batch = TransitionBatch.empty(0)
    assert [batch.add(7, 1, "i1", "click"), batch.add(7, 1, "i1", "click")] == [0, 0]
    assert batch.add(8, 2, "i2", "purchase") == 1
    assert batch.row_types() == ["click", "purchase"]


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
        {"times_ms": []},
        {"items": ["a", "b"]},
        {"kinds": [1]},
        {"event_types": []},
        {"edges": {"i0": [0]}},
        {"edges": {"i0": [1, 1]}},
        {"edges": {"i0": [0, 0]}},
        {"edges": {"i0": [0, 1, 0, 0]}},
        {"owned": [1]},
    ],
)
def test_columns_that_do_not_fit_together_are_refused(change: dict[str, object]) -> None:
    batch = _rows(0, 5)
    for name, value in change.items():
        setattr(batch, name, value)
    with pytest.raises(CodecError, match="do not fit together"):
        decode_transitions(encode_transitions(batch))


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
