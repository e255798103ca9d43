"""Write-behind: a store on disk is written seldom, and many changes at once.

What is applied is in the changelog already, so a process that is killed loses nothing by what it
had not written yet: the store is a shorter prefix of its changelog, and recovery reads the rest. A
write of one change costs nearly as much as one of ten, and a worker that keeps up has three tables
of each partition to write for every click.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator

from streams.stores import Change, Store, StoreFactory

log = logging.getLogger(__name__)

_SECONDS = 0.25
"""Between two writes, and so of changes that a killed process reads again."""
_MOST_CHANGES = 256
"""That wait; with more, a write would hold the event loop up."""


class WriteBehindStore:
    """A store whose changes wait in memory for a while."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: in seconds."""
        self._store = store
        self._clock = clock
        self._waiting: dict[bytes, bytes | None] = {}
        self._written_at = clock()
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
        late = self._clock() - self._written_at >= _SECONDS
        if late or len(self._waiting) >= _MOST_CHANGES or None in newest.values():
            self._write()

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every key and value."""
        self._write()
        return self._store.items()

    def clear(self) -> None:
        """Forget everything; the offset is 0 again."""
        self._waiting.clear()
        self._store.clear()
        self.next_offset = self._store.next_offset

    def close(self) -> None:
        """Write what waits and release the store; what cannot be written is in the changelog."""
        try:
            self._write()
        except Exception as error:  # noqa: BLE001  (RocksDB raises bare Exception)
            log.warning("the last changes of a store are left to the changelog: %s", error)
        self._store.close()

    def _write(self) -> None:
        if self._waiting or self.next_offset != self._store.next_offset:
            self._store.apply(self._waiting.items(), self.next_offset)
            self._waiting.clear()
        self._written_at = self._clock()


class WriteBehindStores:
    """Stores of another factory, written behind."""

    def __init__(self, stores: StoreFactory) -> None:
        self._stores = stores

    def open(self, table: str, partition: int) -> WriteBehindStore:
        """Open or create; raises `StoreError`."""
        return WriteBehindStore(self._stores.open(table, partition))
