"""A table partition: dirty states leave once a batch and reach the store when acknowledged."""

import pytest

from streams.stores import MemoryStore
from streams.tables import ForeignWriteError, TablePartition


def _table(store: MemoryStore, cache_entries: int = 1000) -> TablePartition[list[int]]:
    return TablePartition(
        store,
        lambda state: bytes(state),
        lambda blob: list(blob),
        cache_entries=cache_entries,
    )


def test_a_state_changed_many_times_leaves_once() -> None:
    table = _table(MemoryStore())
    for number in range(5):
        state = table.get("u1") or []
        state.append(number)
        table.put("u1", state)
    assert table.take_changes() == [(b"u1", bytes(range(5)))]
    assert table.take_changes() == []


def test_the_store_sees_a_change_only_when_it_is_acknowledged() -> None:
    store = MemoryStore()
    table = _table(store)
    table.put("u1", [1])
    changes = table.take_changes()
    assert store.get(b"u1") is None
    table.acknowledge(changes, 10)
    assert (store.get(b"u1"), table.next_offset) == (b"\x01", 10)


def test_a_state_pushed_out_of_the_cache_is_still_read_before_its_acknowledgement() -> None:
    table = _table(MemoryStore(), cache_entries=2)
    table.put("u1", [1])
    first = table.take_changes()
    for number in range(5):
        table.put(f"x{number}", [number])
    table.take_changes()
    assert len(table) <= 2
    assert table.get("u1") == [1]
    table.acknowledge(first, 1)
    assert table.get("u1") == [1]


def test_an_old_acknowledgement_does_not_hide_a_newer_unacknowledged_state() -> None:
    table = _table(MemoryStore(), cache_entries=1)
    table.put("u1", [1])
    older = table.take_changes()
    table.put("u1", [1, 2])
    newer = table.take_changes()
    table.put("a", [0])
    table.put("b", [0])
    table.take_changes()
    table.acknowledge(older, 1)
    assert table.get("u1") == [1, 2]
    table.acknowledge(newer, 2)
    assert table.get("u1") == [1, 2]


def test_a_deleted_key_is_gone_and_leaves_a_tombstone() -> None:
    store = MemoryStore()
    store.apply([(b"u1", b"\x01")], 1)
    table = _table(store)
    table.delete("u1")
    assert table.get("u1") is None
    changes = table.take_changes()
    assert changes == [(b"u1", None)]
    table.acknowledge(changes, 2)
    assert list(table.items()) == []


def test_bookkeeping_keys_are_no_states() -> None:
    store = MemoryStore()
    store.apply([(b"\x00chain", b"x"), (b"u1", b"\x01")], 1)
    table = _table(store)
    assert dict(table.items()) == {"u1": [1]}
    assert table.raw("\x00chain") == b"x"


def _ordered(store: MemoryStore) -> TablePartition[list[int]]:
    """States that reflect one source up to their first number, and another up to their second."""
    return TablePartition(
        store,
        bytes,
        list,
        progress=lambda _, blob: dict(enumerate(blob[:2])),
        cache_entries=1000,
    )


def test_a_recovery_keeps_the_newer_state_where_an_older_one_was_written_after_it() -> None:
    store = MemoryStore()
    table = _ordered(store)
    table.recover([(b"u1", b"\x05\x01"), (b"u2", b"\x01\x01"), (b"u1", b"\x03\x01")], 3)
    assert (store.get(b"u1"), store.get(b"u2")) == (b"\x05\x01", b"\x01\x01")
    assert table.stale_changes() == [(b"u1", b"\x05\x01")]
    assert table.stale_changes() == []


def test_an_older_state_is_told_from_what_the_disk_has_too() -> None:
    store = MemoryStore()
    store.apply([(b"u1", b"\x05\x01")], 3)
    table = _ordered(store)
    table.recover([(b"u1", b"\x04\x01")], 4)
    assert (store.get(b"u1"), store.next_offset) == (b"\x05\x01", 4)
    assert table.stale_changes() == [(b"u1", b"\x05\x01")]


def test_an_older_state_that_a_newer_one_follows_need_not_be_written_again() -> None:
    table = _ordered(MemoryStore())
    table.recover([(b"u1", b"\x05\x01"), (b"u1", b"\x03\x01")], 2)
    table.recover([(b"u1", b"\x06\x01")], 3)
    assert table.stale_changes() == []


def test_states_of_which_neither_is_older_are_taken_as_they_come() -> None:
    store = MemoryStore()
    table = _ordered(store)
    table.recover([(b"u1", b"\x05\x01"), (b"u1", b"\x03\x02"), (b"u1", b"\x03\x02\x09")], 3)
    assert store.get(b"u1") == b"\x03\x02\x09"
    assert table.stale_changes() == []


def test_a_deletion_counts_and_a_state_after_it_begins_anew() -> None:
    store = MemoryStore()
    table = _ordered(store)
    table.recover([(b"u1", b"\x05\x01"), (b"u1", None), (b"u2", b"\x01"), (b"u2", None)], 4)
    table.recover([(b"u1", b"\x02\x01")], 5)
    assert (store.get(b"u1"), store.get(b"u2")) == (b"\x02\x01", None)


def test_records_of_another_worker_between_two_acknowledgements_are_noticed() -> None:
    store = MemoryStore()
    table = _ordered(store)
    table.put("u1", [1])
    table.acknowledge(table.take_changes(), 1)
    table.put("u1", [2])
    changes = table.take_changes()
    with pytest.raises(ForeignWriteError, match="2 records before changelog offset 3"):
        table.acknowledge(changes, 4)
    assert (store.get(b"u1"), table.next_offset) == (b"\x01", 1)


def test_without_an_order_of_states_the_last_written_is_taken() -> None:
    store = MemoryStore()
    table = _table(store)
    table.recover([(b"u1", b"\x05"), (b"u1", b"\x03")], 2)
    table.put("u1", [1])
    table.acknowledge(table.take_changes(), 9)
    assert store.get(b"u1") == b"\x01"


def test_a_table_that_starts_over_knows_nothing_any_more() -> None:
    store = MemoryStore()
    table = _table(store)
    table.put("u1", [1])
    table.acknowledge(table.take_changes(), 5)
    table.put("u2", [2])
    table.start_over()
    assert (table.get("u1"), table.get("u2"), table.next_offset) == (None, None, 0)
    assert table.take_changes() == []
