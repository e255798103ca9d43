"""Stores: one partition of one table on this machine, memory or RocksDB.

A store holds only what the broker has acknowledged in the changelog, together with the
changelog offset that it reflects, written in one step. So a store is always a prefix of its
changelog, and recovery is the rest of it.
"""

import logging
import shutil
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol, cast

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    DbClosedError,
    Options,
    Rdict,
    WriteBatch,
    WriteOptions,
)

log = logging.getLogger(__name__)

Change = tuple[bytes, bytes | None]
"""A key and its new value; None deletes."""

_OFFSET_KEY = b"\x00next-offset"
_MIB = 1024 * 1024
_SIZES = ("rocksdb.live-sst-files-size", "rocksdb.cur-size-all-mem-tables")


# What the machine lacks, as RocksDB passes it on: the files themselves may be sound.
_NOT_DAMAGE = (
    "No space left",
    "File too large",
    "Disk quota",
    "Permission denied",
    "Read-only file system",
    "Too many open files",
)
# What a store that was opened says of damaged files.
_DAMAGE_IN_USE = ("Corruption", "checksum mismatch", "No such file", "truncated")


class StoreError(RuntimeError):
    """A store that cannot be opened, read or written, with what to do about it."""


class Store(Protocol):
    """One partition of one table."""

    next_offset: int
    """Changelog offset of the first record that this store does not reflect."""

    @property
    def size_bytes(self) -> int:
        """What it takes, in memory and on disk, about; 0 once closed. Cheap to ask."""

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""

    def apply(self, changes: Iterable[Change], next_offset: int) -> None:
        """Write changes and the offset they bring the store to, atomically."""

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every key and value, in no promised order."""

    def clear(self) -> None:
        """Forget everything; the offset is 0 again."""

    def close(self) -> None:
        """Release files; the contents stay."""


class StoreFactory(Protocol):
    """Opens the store of a partition."""

    def open(self, table: str, partition: int) -> Store:
        """Open or create; raises `StoreError`."""


class MemoryStore:
    """Contents live as long as the process; recovery reads the whole changelog."""

    def __init__(self) -> None:
        self.next_offset = 0
        self._data: dict[bytes, bytes] = {}

    @property
    def size_bytes(self) -> int:
        """Of keys and values, by the first thousand: a running sum would cost each write more than
        the write itself.
        """
        some = list(islice(self._data.items(), 1_000))
        size = sum(len(key) + len(value) for key, value in some)
        return size * len(self._data) // max(len(some), 1)

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        return self._data.get(key)

    def apply(self, changes: Iterable[Change], next_offset: int) -> None:
        """Write changes and the offset they bring the store to."""
        data = self._data
        for key, value in changes:
            if value is None:
                data.pop(key, None)
            else:
                data[key] = value
        self.next_offset = next_offset

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every key and value."""
        return iter(self._data.items())

    def clear(self) -> None:
        """Forget everything; the offset is 0 again."""
        self._data.clear()
        self.next_offset = 0

    def close(self) -> None:
        """Nothing to release."""


class MemoryStores:
    """Memory stores, kept while the process lives, so that a partition that returns is warm."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], MemoryStore] = {}

    def open(self, table: str, partition: int) -> MemoryStore:
        """The store of a partition."""
        return self._open.setdefault((table, partition), MemoryStore())


class RocksStore:
    """RocksDB through rocksdict; survives the process.

    A damaged file shows when its blocks are read, which may be long after the opening. It is
    noted beside the directory then, and the next opening begins anew.
    """

    def __init__(self, path: Path, cache: Cache) -> None:
        self._path = path
        self._cache = cache
        self._write = WriteOptions()
        self._open()

    def _open(self) -> None:
        options = _options(self._cache)
        self._db = Rdict(str(self._path), options, access_type=AccessType.read_write())
        stored = self._db.get(_OFFSET_KEY)
        self.next_offset = int.from_bytes(stored, "big") if stored is not None else 0

    @property
    def size_bytes(self) -> int:
        """Of the files in use, and of what is still in memory; 0 once closed."""
        try:
            return sum(self._db.property_int_value(name) or 0 for name in _SIZES)
        except DbClosedError:
            return 0

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        try:
            value: bytes | None = self._db.get(key)
        except Exception as error:
            raise self._fault(error) from error
        return value

    def apply(self, changes: Iterable[Change], next_offset: int) -> None:
        """One write batch: changes and offset, or neither."""
        batch = WriteBatch(raw_mode=True)
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(_OFFSET_KEY, next_offset.to_bytes(8, "big"))
        try:
            self._db.write(batch, self._write)
        except Exception as error:
            raise self._fault(error) from error
        self.next_offset = next_offset

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every key and value."""
        rows = self._db.iter()
        rows.seek_to_first()
        while rows.valid():
            key = rows.key()
            if key != _OFFSET_KEY:
                yield cast("bytes", key), rows.value()
            rows.next()
        try:
            # An iterator ends at a damaged block as it does at the last key; this tells which.
            rows.status()
        except Exception as error:
            raise self._fault(error) from error

    def clear(self) -> None:
        """Forget everything; the offset is 0 again."""
        self._db.close()
        shutil.rmtree(self._path)
        self._open()

    def close(self) -> None:
        """Flush and release the directory."""
        self._db.close()

    def _fault(self, error: Exception) -> Exception:
        """What to raise for a fault of RocksDB; damage is noted."""
        if not _is_damage(error):
            return StoreError(f"state in {self._path} cannot be used: {error}; {_advice(error)}")
        if not any(sign in str(error) for sign in _DAMAGE_IN_USE):
            return error
        _mark(self._path).touch()
        return StoreError(
            f"state in {self._path} is damaged: {error}; a restart rebuilds it from the changelog"
        )


class RocksStores:
    """One RocksDB directory a partition under `state_dir`, with a shared block cache."""

    def __init__(self, state_dir: Path, cache_bytes: int = 64 * _MIB) -> None:
        self._state_dir = state_dir
        self._cache = Cache(cache_bytes)

    def open(self, table: str, partition: int) -> RocksStore:
        """Open or create; a damaged directory is thrown away, since the changelog has it all."""
        path = self._state_dir / table / str(partition)
        path.parent.mkdir(parents=True, exist_ok=True)
        if _mark(path).exists():
            return self._anew(path, "it was found damaged in use")
        try:
            return RocksStore(path, self._cache)
        except Exception as error:  # rocksdict raises bare Exception
            if "/LOCK" in str(error):
                raise StoreError(
                    f"state directory {path} is in use by another worker; "
                    "give each worker its own --state directory"
                ) from error
            if not _is_damage(error) or not path.is_dir():
                raise StoreError(
                    f"cannot open state directory {path}: {error}; {_advice(error)}"
                ) from error
            return self._anew(path, str(error))

    def _anew(self, path: Path, why: str) -> RocksStore:
        log.warning("state in %s is damaged and is rebuilt from the changelog: %s", path, why)
        shutil.rmtree(path, ignore_errors=True)
        _mark(path).unlink(missing_ok=True)
        return RocksStore(path, self._cache)


def _mark(path: Path) -> Path:
    """The file whose presence says that the directory must not be used any more."""
    return path.with_name(f"{path.name}.damaged")


def _is_damage(error: Exception) -> bool:
    """Whether the files are at fault, not the machine."""
    return not any(sign in str(error) for sign in _NOT_DAMAGE)


def _advice(error: Exception) -> str:
    text = str(error)
    if any(sign in text for sign in ("No space left", "File too large", "Disk quota")):
        return "free space there and restart the worker"
    return "check that this user may write there, and the limit of open files (ulimit -n)"


def _options(cache: Cache) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(16 * _MIB)
    options.set_max_write_buffer_number(2)
    options.set_keep_log_file_num(2)
    options.increase_parallelism(2)
    table = BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_bloom_filter(10, False)
    options.set_block_based_table_factory(table)
    return options
