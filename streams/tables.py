"""Tables: typed state over a store, with a coalesced changelog.

A table partition reads through three layers: decoded states (a bounded cache), blobs sent to
the changelog but not yet acknowledged, and the store. Folds change decoded states and mark
them dirty; a batch's dirty states leave once, as the blobs of `take_changes`, and reach the
store by `acknowledge` when the broker has them.

A worker that was stopped for so long that it was thrown out of the group can, when it wakes, still
write what it held to changelogs that are no longer its own. Two things keep that from doing harm:
a changelog offset that is not the owner's own is noticed when the next acknowledgement comes
(`ForeignWriteError`), and a recovery never lets a state be followed by an older one.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from streams.codec import CodecError, check_format, is_intact
from streams.stores import Change, Store

State = TypeVar("State")
Progress = Callable[[bytes, bytes], Mapping[int, int]]
"""From a key and its blob: the last offset that the state reflects, by source."""


class ForeignWriteError(RuntimeError):
    """Another worker wrote to a changelog that this one owns."""


class TablePartition(Generic[State]):
    """One partition of one table. Not thread-safe: it belongs to the event loop."""

    def __init__(
        self,
        store: Store,
        encode: Callable[[State], bytes],
        decode: Callable[[bytes], State],
        *,
        progress: Progress | None = None,
        written_as: Callable[[bytes], tuple[int, str]] | None = None,
        cache_entries: int,
    ) -> None:
        """Without `progress`, states have no order: the last one written is taken as it is.

        `written_as`: format byte and noun of a key's blob, to refuse another version's at recovery.
        `cache_entries`: most decoded states that are kept.
        """
        self._store = store
        self._progress = progress
        self._written_as = written_as
        self._stale: set[bytes] = set()
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

    @property
    def size_bytes(self) -> int:
        """What the store takes, in memory and on disk, about."""
        return self._store.size_bytes

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
        """The broker has these changes: they go to the store. Call in the order of sending.

        Raises `ForeignWriteError` where others wrote between the changes before and these.
        """
        foreign = next_offset - len(changes) - self._store.next_offset
        if self._progress is not None and foreign > 0:
            raise ForeignWriteError(
                f"{foreign} records before changelog offset {next_offset - len(changes)} are not "
                "this worker's: another one, that had lost the partition, wrote late. A restart "
                "reads them and sorts them out"
            )
        self._store.apply(changes, next_offset)
        waiting = self._unacknowledged
        for key, blob in changes:
            if waiting.get(key, _ABSENT) is blob:
                del waiting[key]

    def start_over(self) -> None:
        """The changelog is not the one that the store reflects: forget everything."""
        self._states.clear()
        self._dirty.clear()
        self._unacknowledged.clear()
        self._stale.clear()
        self._store.clear()

    def recover(self, changes: list[Change], next_offset: int) -> None:
        """Apply records read back from the changelog, leaving out what is older than its key's.

        Keys whose last record was left out are told by `stale_changes`. Raises FormatError where
        another version wrote a record, before anything is applied.
        """
        if self._written_as is not None:
            for key, blob in changes:
                if not blob:
                    continue
                format_byte, what = self._written_as(key)
                if blob[0] != format_byte and is_intact(blob):
                    check_format(blob, format_byte, what)
        if self._progress is not None:
            changes = self._in_order(changes, self._progress)
        self._store.apply(changes, next_offset)

    def _in_order(self, changes: list[Change], progress: Progress) -> list[Change]:
        newest: dict[bytes, tuple[bytes | None, Mapping[int, int] | None]] = {}
        for key, blob in changes:
            known, reflects = newest.get(key, _UNREAD)
            if reflects is None:
                if known is None and key not in newest:
                    known = self._store.get(key)
                if known is not None and blob is not None:
                    reflects = _read(progress, key, known)
            if blob is None or known is None:
                newest[key] = (blob, None)
            else:
                arrived = _read(progress, key, blob)
                if arrived != reflects and _is_within(arrived, reflects or {}):
                    newest[key] = (known, reflects)
                    self._stale.add(key)
                    continue
                newest[key] = (blob, arrived)
            self._stale.discard(key)
        return [(key, blob) for key, (blob, _) in newest.items()]

    def stale_changes(self) -> list[Change]:
        """What must be written to the changelog again, since its last record there is an older
        state; forgotten once told.
        """
        changes = [(key, self._store.get(key)) for key in sorted(self._stale)]
        self._stale.clear()
        return changes

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


def _is_within(older: Mapping[int, int], newer: Mapping[int, int]) -> bool:
    """Whether one state reflects nothing that the other does not."""
    for source, offset in older.items():  # noqa: SIM110  (half the time of all(), a record)
        if offset > newer.get(source, -1):
            return False
    return True


def _read(progress: Progress, key: bytes, blob: bytes) -> Mapping[int, int]:
    """What a state reflects; a damaged one gives way to any other."""
    try:
        return progress(key, blob)
    except CodecError:
        return {}


_UNREAD: tuple[None, None] = (None, None)
_ABSENT: object = object()
_INTERNAL = b"\x00"
"""Keys of a table's own bookkeeping begin like this; identifiers never hold a NUL."""
