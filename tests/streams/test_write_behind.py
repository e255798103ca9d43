"""What is applied is read at once and written a little later; who is killed has an older prefix."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from streams.stores import Change, MemoryStore, RocksStores, StoreError
from streams.write_behind import WriteBehindStore, WriteBehindStores


class Disk(MemoryStore):
    """Notes each write, and fails when told so."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[tuple[dict[bytes, bytes | None], int]] = []
        self.full = False
        self.closed = False

    def apply(self, changes: Iterable[Change], next_offset: int) -> None:
        if self.full:
            raise StoreError("no space left")
        changes = list(changes)
        self.writes.append((dict(changes), next_offset))
        super().apply(changes, next_offset)

    def close(self) -> None:
        self.closed = True


class Bench:
    """A store behind, and its disk."""

    def __init__(self) -> None:
        self.disk = Disk()
        self.store = WriteBehindStore(self.disk)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_changes_are_read_at_once_and_written_together(bench: Bench) -> None:
    bench.store.apply([(b"u1", b"a"), (b"u2", b"b")], 2)
    bench.store.apply([(b"u1", b"c")], 3)
    assert [bench.store.get(key) for key in (b"u1", b"u2", b"u3")] == [b"c", b"b", None]
    assert bench.store.next_offset == 3
    assert bench.disk.writes == []
    bench.store.write()
    bench.store.write()
    assert bench.disk.writes == [({b"u1": b"c", b"u2": b"b"}, 3)]


def test_an_offset_is_written_even_where_nothing_changed(bench: Bench) -> None:
    bench.store.apply([], 3)
    bench.store.write()
    assert bench.disk.next_offset == 3


def test_all_open_stores_are_written_and_no_closed_one() -> None:
    class Disks:
        def __init__(self) -> None:
            self.opened: list[Disk] = []

        def open(self, table: str, partition: int) -> Disk:
            self.opened.append(Disk())
            return self.opened[-1]

    disks = Disks()
    stores = WriteBehindStores(disks)
    opened = [stores.open(table, 0) for table in ("windows", "graph", "lists")]
    for store in opened:
        store.apply([(b"u1", b"a")], 1)
    disks.opened[2].full = True
    opened[2].close()
    disks.opened[2].full = False
    stores.write()
    assert [len(disk.writes) for disk in disks.opened] == [1, 1, 0]


def test_a_deletion_does_not_wait(bench: Bench) -> None:
    bench.store.apply([(b"u1", b"a"), (b"u2", b"b")], 2)
    bench.store.apply([(b"u1", None)], 3)
    assert bench.disk.writes == [({b"u1": None, b"u2": b"b"}, 3)]
    assert bench.store.get(b"u1") is None


def test_many_changes_do_not_wait(bench: Bench) -> None:
    bench.store.apply([(b"u%d" % n, b"a") for n in range(255)], 255)
    assert bench.disk.writes == []
    bench.store.apply([(b"u255", b"a")], 256)
    assert bench.disk.next_offset == 256


def test_who_reads_everything_sees_what_waits(bench: Bench) -> None:
    bench.store.apply([(b"u1", b"a")], 1)
    assert dict(bench.store.items()) == {b"u1": b"a"}


def test_closing_writes_what_waits(bench: Bench) -> None:
    bench.store.apply([(b"u1", b"a")], 1)
    bench.store.close()
    assert bench.disk.writes == [({b"u1": b"a"}, 1)]
    assert bench.disk.closed


def test_what_cannot_be_written_at_the_end_keeps_no_store_open(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.store.apply([(b"u1", b"a")], 1)
    bench.disk.full = True
    bench.store.close()
    assert bench.disk.closed
    assert "left to the changelog: no space left" in caplog.text


def test_what_waits_is_forgotten_with_the_rest(bench: Bench) -> None:
    bench.store.apply([(b"u1", b"a")], 7)
    bench.store.clear()
    assert (bench.store.next_offset, bench.store.get(b"u1")) == (0, None)
    bench.store.close()
    assert bench.disk.writes == []


KILLED = """
import os, sys
from pathlib import Path
from streams.stores import RocksStores
from streams.write_behind import WriteBehindStores
store = WriteBehindStores(RocksStores(Path(sys.argv[1]))).open("windows", 0)
store.apply([(b"u%d" % n, b"old") for n in range(300)], 300)
store.apply([(b"u1", b"new")], 301)
os._exit(9)
"""


def test_a_killed_process_has_a_prefix_of_the_changelog_and_knows_which(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, timeout=60)
    store = WriteBehindStores(RocksStores(tmp_path)).open("windows", 0)
    assert (store.next_offset, store.get(b"u1"), store.get(b"u299")) == (300, b"old", b"old")
