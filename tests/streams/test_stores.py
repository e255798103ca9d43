"""One behaviour for every store: what is applied is there, and so is the offset it belongs to."""

from collections.abc import Callable
from pathlib import Path

import pytest

from streams.stores import MemoryStores, RocksStores, StoreError, StoreFactory

Factory = Callable[[], StoreFactory]


@pytest.fixture(params=["memory", "rocksdb"])
def factory(request: pytest.FixtureRequest, tmp_path: Path) -> Factory:
    """Makes the factory of a process; a second call is the process after a restart."""
    if request.param == "rocksdb":
        return lambda: RocksStores(tmp_path, cache_bytes=1024 * 1024)
    stores = MemoryStores()
    return lambda: stores


def test_a_new_store_is_empty_and_stands_at_the_beginning(factory: Factory) -> None:
    store = factory().open("windows", 0)
    assert store.next_offset == 0
    assert store.get(b"u1") is None
    assert list(store.items()) == []


def test_what_is_applied_is_read_back(factory: Factory) -> None:
    store = factory().open("windows", 0)
    store.apply([(b"u1", b"a"), (b"u2", b"b"), (b"u1", b"c")], 3)
    assert (store.get(b"u1"), store.get(b"u2")) == (b"c", b"b")
    assert store.next_offset == 3


def test_none_deletes(factory: Factory) -> None:
    store = factory().open("windows", 0)
    store.apply([(b"u1", b"a"), (b"u2", b"b")], 2)
    store.apply([(b"u1", None), (b"never-there", None)], 4)
    assert store.get(b"u1") is None
    assert dict(store.items()) == {b"u2": b"b"}


def test_the_offset_is_no_item(factory: Factory) -> None:
    store = factory().open("windows", 0)
    store.apply([(b"u1", b"a")], 1)
    assert dict(store.items()) == {b"u1": b"a"}


def test_an_empty_change_moves_the_offset(factory: Factory) -> None:
    store = factory().open("windows", 0)
    store.apply([], 9)
    assert store.next_offset == 9


def test_tables_and_partitions_are_apart(factory: Factory) -> None:
    stores = factory()
    stores.open("windows", 0).apply([(b"k", b"a")], 1)
    assert stores.open("windows", 1).get(b"k") is None
    assert stores.open("graph", 0).get(b"k") is None


def test_contents_and_offset_survive_closing(factory: Factory) -> None:
    store = factory().open("windows", 0)
    store.apply([(b"u1", b"a")], 7)
    store.close()
    again = factory().open("windows", 0)
    assert (again.get(b"u1"), again.next_offset) == (b"a", 7)


def test_binary_keys_and_values_come_back_unchanged(factory: Factory) -> None:
    store = factory().open("windows", 0)
    key, value = bytes(range(256)), bytes(reversed(range(256))) * 10
    store.apply([(key, value)], 1)
    assert store.get(key) == value


def test_a_damaged_rocksdb_directory_is_made_anew(tmp_path: Path) -> None:
    stores = RocksStores(tmp_path, cache_bytes=1024 * 1024)
    store = stores.open("windows", 0)
    store.apply([(b"u1", b"a")], 1)
    store.close()
    for file in (tmp_path / "windows" / "0").glob("CURRENT"):
        file.write_bytes(b"not a manifest name")
    again = stores.open("windows", 0)
    assert again.next_offset == 0
    assert again.get(b"u1") is None


def test_a_directory_in_use_is_refused_with_advice(tmp_path: Path) -> None:
    stores = RocksStores(tmp_path, cache_bytes=1024 * 1024)
    store = stores.open("windows", 0)
    with pytest.raises(StoreError, match="its own --state directory"):
        stores.open("windows", 0)
    store.close()
