"""One behaviour for every store: what is applied is there, and so is the offset it belongs to."""

import contextlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.stores import MemoryStore, MemoryStores, RocksStores, Store, StoreError, StoreFactory
from streams.write_behind import WriteBehindStores

Factory = Callable[[], StoreFactory]


@pytest.fixture(params=["memory", "rocksdb", "rocksdb written behind"])
def factory(request: pytest.FixtureRequest, tmp_path: Path) -> Factory:
    """Makes the factory of a process; a second call is the process after a restart."""
    if request.param == "rocksdb":
        return lambda: RocksStores(tmp_path, cache_bytes=1024 * 1024)
    if request.param == "rocksdb written behind":
        return lambda: WriteBehindStores(RocksStores(tmp_path, cache_bytes=1024 * 1024))
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


def test_a_cleared_store_is_as_new_and_stays_so(factory: Factory) -> None:
    store = factory().open("windows", 0)
    store.apply([(b"u1", b"a")], 7)
    store.clear()
    assert (store.next_offset, store.get(b"u1"), list(store.items())) == (0, None, [])
    store.apply([(b"u2", b"b")], 1)
    store.close()
    again = factory().open("windows", 0)
    assert (again.next_offset, dict(again.items())) == (1, {b"u2": b"b"})


def test_binary_keys_and_values_come_back_unchanged(factory: Factory) -> None:
    store = factory().open("windows", 0)
    key, value = bytes(range(256)), bytes(reversed(range(256))) * 10
    store.apply([(key, value)], 1)
    assert store.get(key) == value


def test_its_size_grows_shrinks_and_is_gone_with_what_it_holds(factory: Factory) -> None:
    stores = factory()
    store = stores.open("windows", 0)
    empty = store.size_bytes
    store.apply([(b"u%04d" % n, b"x" * 1_000) for n in range(5_000)], 5_000)
    full = store.size_bytes
    assert 5_000_000 < full - empty < 8_000_000
    if isinstance(store, MemoryStore):
        assert full == 5_000 * 1_005
        store.apply([(b"u%04d" % n, None) for n in range(4_900)], 9_900)
        store.apply([(b"u4999", b"y")], 9_901)
        assert store.size_bytes == 99 * 1_005 + 6
    store.clear()
    assert store.size_bytes == empty
    store.close()
    assert store.size_bytes == 0


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


def fill(stores: RocksStores, keys: int = 2_000) -> None:
    """A table with a file of its own on the disk."""
    store = stores.open("windows", 0)
    store.apply([(f"u{n:05d}".encode(), b"x" * 100) for n in range(keys)], keys)
    store.close()


def damage_blocks(directory: Path) -> None:
    """Overwrite the data of every table file; its index and footer stay."""
    files = list(directory.glob("*.sst"))
    assert files
    for file in files:
        with file.open("r+b") as opened:
            opened.seek(file.stat().st_size // 3)
            opened.write(b"\xa5" * 64)


def read_all(store: Store) -> None:
    for n in range(2_000):
        store.get(f"u{n:05d}".encode())


@pytest.mark.parametrize("read", [read_all, lambda store: list(store.items())])
def test_damage_that_shows_only_in_use_is_told_and_the_next_start_begins_anew(
    tmp_path: Path, read: Callable[[Store], object]
) -> None:
    stores = RocksStores(tmp_path, cache_bytes=1024 * 1024)
    fill(stores)
    damage_blocks(tmp_path / "windows" / "0")
    store = stores.open("windows", 0)
    assert store.next_offset == 2_000
    with pytest.raises(StoreError, match="is damaged.*a restart rebuilds it from the changelog"):
        read(store)
    store.close()
    again = stores.open("windows", 0)
    assert again.next_offset == 0
    assert list(again.items()) == []
    again.apply([(b"u1", b"a")], 1)
    again.close()
    assert stores.open("windows", 0).get(b"u1") == b"a"


def test_a_read_after_closing_is_no_damage(tmp_path: Path) -> None:
    stores = RocksStores(tmp_path, cache_bytes=1024 * 1024)
    fill(stores)
    store = stores.open("windows", 0)
    store.close()
    with pytest.raises(Exception, match="closed") as caught:
        store.get(b"u00001")
    assert not isinstance(caught.value, StoreError)
    assert stores.open("windows", 0).next_offset == 2_000


def test_damaged_blocks_found_at_opening_are_not_taken_for_a_lock(tmp_path: Path) -> None:
    stores = RocksStores(tmp_path, cache_bytes=1024 * 1024)
    fill(stores)
    for file in (tmp_path / "windows" / "0").glob("*.sst"):
        file.write_bytes(b"\xa5" * file.stat().st_size)
    store = stores.open("windows", 0)
    with contextlib.suppress(StoreError):
        read_all(store)
    store.close()
    assert stores.open("windows", 0).next_offset == 0


FULL_DISK = """
import resource, sys
from pathlib import Path
from streams.stores import RocksStores, StoreError
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, resource.RLIM_INFINITY))
try:
    store = RocksStores(Path(sys.argv[1])).open("windows", 0)
    store.apply([(b"u%d" % n, b"x" * 100) for n in range(2_000)], 9_999)
except StoreError as error:
    print(error)
"""


def test_a_full_disk_is_told_with_advice_and_keeps_what_is_there(tmp_path: Path) -> None:
    stores = RocksStores(tmp_path, cache_bytes=1024 * 1024)
    fill(stores)
    # In a process of its own: no file of it may be longer than 1,000 bytes.
    told = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "free space there and restart the worker" in told.stdout, told
    store = stores.open("windows", 0)
    assert store.next_offset == 2_000
    assert store.get(b"u00001") == b"x" * 100
