"""Write-behind: a store on disk is written before offsets are committed, many changes at once.

What is applied is in the changelog already, so a process that is killed loses nothing by what it
had not written yet: the store is a shorter prefix of its changelog, and recovery reads the rest. A
write of one change costs nearly as much as one of ten, and a worker that keeps up has three tables
of each partition to write for every click.
"""

import logging
from collections.abc import Iterable, Iterator
from weakref import WeakSet

from streams.stores import Change, Store, StoreFactory

log = logging.getLogger(__name__)

_MOST_CHANGES = 256
"""That wait: with more, a write would hold the event loop up, and recovery take longer."""


class WriteBehindStore:
    """A store whose changes wait in memory until they are written."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[bytes, bytes | None] = {}
        self.next_offset = store.next_offset

    @property
    def size_bytes(self) -> int:
        """Of what is written."""
        return self._store.size_bytes

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        if key in self._waiting:
            return self._waiting[key]
        return self._store.get(key)

    def apply(self, changes: Iterable[Change], next_offset: int) -> None:
        """Take changes and the offset they bring the store to; they are written together.

        What is deleted is so at once: an erased user's state on the disk must not wait for another
        user's click.
        """
        newest = dict(changes)
        self._waiting.update(newest)
        self.next_offset = next_offset
        if len(self._waiting) >= _MOST_CHANGES or None in newest.values():
            self.write()

    def write(self) -> None:
        """Write what waits."""
        if self._waiting or self.next_offset != self._store.next_offset:
            self._store.apply(self._waiting.items(), self.next_offset)
            self._waiting.clear()

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every key and value."""
        self.write()
        return self._store.items()

    def clear(self) -> None:
        """Forget everything; the offset is 0 again."""
        self._waiting.clear()
        self._store.clear()
        self.next_offset = self._store.next_offset

    def close(self) -> None:
        """Write what waits and release the store; what cannot be written is in the changelog."""
        try:
            self.write()
        except Exception as error:  # noqa: BLE001  (RocksDB raises bare Exception)
            log.warning("the last changes of a store are left to the changelog: %s", error)
            self._waiting.clear()
            self.next_offset = self._store.next_offset
        self._store.close()


class WriteBehindStores:
    """Stores of another factory, written behind."""

    def __init__(self, stores: StoreFactory) -> None:
        self._stores = stores
        self._opened: WeakSet[WriteBehindStore] = WeakSet()

    def open(self, table: str, partition: int) -> WriteBehindStore:
        """Open or create; raises `StoreError`."""
        store = WriteBehindStore(self._stores.open(table, partition))
        self._opened.add(store)
        return store

    def write(self) -> None:
        """Write what waits, of all stores."""
        for store in tuple(self._opened):
            store.write()
