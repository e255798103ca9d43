"""Transition records: chained, so that a hole is noticed and not taken for a duplicate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import CodecError
from streams.transitions import (
    SESSION_START,
    ReceivedPositions,
    SentPositions,
    Transition,
    TransitionBatch,
    decode_transitions,
    encode_transitions,
    owner_of,
)


def _transition(offset: int) -> Transition:
    return Transition(offset, 1_700_000_000_000 + offset, "click", "i1", ["i0"], [1], False)


def _batch(positions: SentPositions, *offsets: int) -> TransitionBatch:
    return positions.batch(0, [_transition(offset) for offset in offsets])


transitions = st.builds(
    lambda offset, time_ms, kind, item, pairs, own: Transition(
        offset, time_ms, kind, item, [s for s, _ in pairs], [d for _, d in pairs], own
    ),
    st.integers(0, 2**60),
    st.integers(0, 2**42),
    st.sampled_from(["click", "purchase"]),
    st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable()),
    st.lists(st.tuples(st.text(max_size=8), st.integers(1, 9)), max_size=5),
    st.booleans(),
)


@given(st.integers(0, 200), st.integers(-1, 2**60), st.lists(transitions, max_size=8))
def test_a_batch_survives_encoding(source: int, after: int, entries: list[Transition]) -> None:
    batch = TransitionBatch(source, after, entries)
    assert decode_transitions(encode_transitions(batch)) == batch


@given(st.data())
def test_damaged_bytes_are_refused(data: st.DataObject) -> None:
    blob = bytearray(encode_transitions(TransitionBatch(3, 7, [_transition(8)])))
    position = data.draw(st.integers(0, len(blob) - 1))
    blob[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CodecError):
        decode_transitions(bytes(blob))


@given(st.text(max_size=50), st.integers(1, 64))
def test_an_owner_is_a_partition_and_always_the_same(item_id: str, partitions: int) -> None:
    assert 0 <= owner_of(item_id, partitions) < partitions
    assert owner_of(item_id, partitions) == owner_of(item_id, partitions)


def test_a_batch_whose_sources_have_no_distance_is_refused() -> None:
    lame = Transition(1, 2, "click", "i1", ["i0", "i2"], [1], False)
    with pytest.raises(CodecError, match="differ in number"):
        decode_transitions(encode_transitions(TransitionBatch(0, -1, [lame])))


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
    assert not received.accept(late) or lost.transitions[-1].offset <= 4
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
