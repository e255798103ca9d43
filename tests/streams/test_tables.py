"""A table partition: dirty states leave once a batch and reach the store when acknowledged."""

from streams.stores import MemoryStore
from streams.tables import TablePartition


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
