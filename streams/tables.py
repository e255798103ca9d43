"""Tables: typed state over a store, with a coalesced changelog.

A table partition reads through three layers: decoded states (a bounded cache), blobs sent to
the changelog but not yet acknowledged, and the store. Folds change decoded states and mark
them dirty; a batch's dirty states leave once, as the blobs of `take_changes`, and reach the
store by `acknowledge` when the broker has them.
"""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from streams.stores import Change, Store

State = TypeVar("State")


class TablePartition(Generic[State]):
    """One partition of one table. Not thread-safe: it belongs to the event loop."""

    def __init__(
        self,
        store: Store,
        encode: Callable[[State], bytes],
        decode: Callable[[bytes], State],
        *,
        cache_entries: int = 100_000,
    ) -> None:
        self._store = store
        self._encode = encode
        self._decode = decode
        self._cache_entries = cache_entries
        self._states: dict[str, State | None] = {}
        self._dirty: set[str] = set()
        self._unacknowledged: dict[bytes, bytes | None] = {}

    @property
    def next_offset(self) -> int:
        """Changelog offset of the first record that the store does not reflect."""
        return self._store.next_offset

    def get(self, key: str) -> State | None:
        """The state of a key, or None. What is returned may be changed and `put` back."""
        try:
            return self._states[key]
        except KeyError:
            pass
        raw_key = key.encode()
        if raw_key in self._unacknowledged:
            blob = self._unacknowledged[raw_key]
        else:
            blob = self._store.get(raw_key)
        state = None if blob is None else self._decode(blob)
        self._states[key] = state
        return state

    def put(self, key: str, state: State) -> None:
        """Set the state of a key and mark it for the changelog."""
        self._states[key] = state
        self._dirty.add(key)

    def delete(self, key: str) -> None:
        """Remove a key; a tombstone goes to the changelog."""
        self._states[key] = None
        self._dirty.add(key)

    def take_changes(self) -> list[Change]:
        """Encode every dirty state once; the caller sends the result to the changelog."""
        changes: list[Change] = []
        states = self._states
        encode = self._encode
        for key in self._dirty:
            state = states[key]
            changes.append((key.encode(), None if state is None else encode(state)))
        self._dirty.clear()
        self._unacknowledged.update(changes)
        if len(states) > self._cache_entries:
            self._shrink()
        return changes

    def acknowledge(self, changes: list[Change], next_offset: int) -> None:
        """The broker has these changes: they go to the store. Call in the order of sending."""
        self._store.apply(changes, next_offset)
        waiting = self._unacknowledged
        for key, blob in changes:
            if waiting.get(key, _ABSENT) is blob:
                del waiting[key]

    def recover(self, changes: list[Change], next_offset: int) -> None:
        """Apply records read back from the changelog."""
        self._store.apply(changes, next_offset)

    def items(self) -> Iterator[tuple[str, State]]:
        """Every acknowledged key and its state, decoded (for inspection and start-up)."""
        for key, blob in self._store.items():
            if not key.startswith(_INTERNAL):
                yield key.decode(), self._decode(blob)

    def raw(self, key: str) -> bytes | None:
        """The acknowledged bytes of a key, undecoded."""
        return self._store.get(key.encode())

    def blobs(self) -> Iterator[tuple[bytes, bytes]]:
        """Every acknowledged key and blob."""
        return self._store.items()

    def __len__(self) -> int:
        """Number of decoded states in memory."""
        return len(self._states)

    def close(self) -> None:
        """Drop what is in memory and close the store; what is unacknowledged will be replayed."""
        self._states.clear()
        self._dirty.clear()
        self._unacknowledged.clear()
        self._store.close()

    def _shrink(self) -> None:
        """Forget the oldest decoded states down to nine tenths of the bound."""
        excess = len(self._states) - self._cache_entries * 9 // 10
        for key in list(self._states)[:excess]:
            del self._states[key]


_ABSENT: object = object()
_INTERNAL = b"\x00"
"""Keys of a table's own bookkeeping begin like this; identifiers never hold a NUL."""
