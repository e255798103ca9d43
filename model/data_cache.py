"""Logs kept as columns on disk, so that a second training of a large file starts at once.

A kept log is a directory: one .npy file per column, which is mapped and not read, the names as
JSON, and a manifest written last, with the size and a hash of every file. Whatever does not match
it is damage, and a damaged or outdated log is read anew from its source.
"""

import hashlib
import logging
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from model.data import Sequences

IntArray = NDArray[np.int64]

_log = logging.getLogger(__name__)

FORMAT_VERSION = 1
MANIFEST_FILE = "manifest.json"
LEAST_BYTES = 8_000_000  # a smaller file is read in about a second
_COLUMNS = ("starts", "user", "item", "event_type", "time_ms", "place_cell", "rank")
_NAMES = ("users", "items", "event_types")
_CHUNK_BYTES = 1 << 22


class CacheError(ValueError):
    """A directory holds no whole log; the message is one sentence that says why."""


class _File(msgspec.Struct, frozen=True):
    """What a file must be like."""

    bytes: int
    xxh3_64: str


class _Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a kept log is, and of what."""

    format_version: int
    source: str  # what it was read from and how, as `key` says
    has_times: bool
    fingerprint: str
    files: dict[str, _File]


def save_sequences(log: Sequences, directory: Path, *, source: str = "") -> None:
    """Write a log to a directory, which appears whole or not at all and replaces an older one.

    source: what `load_sequences` is to find again. OSError if it cannot be written.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=directory.parent, prefix=f".{directory.name}-", ignore_cleanup_errors=True
    ) as parent:
        made = Path(parent) / "log"
        made.mkdir()
        for name in _COLUMNS:
            np.save(made / f"{name}.npy", getattr(log, name), allow_pickle=False)
        for name in _NAMES:
            (made / f"{name}.json").write_bytes(msgspec.json.encode(getattr(log, name)))
        manifest = _Manifest(
            format_version=FORMAT_VERSION,
            source=source,
            has_times=log.has_times,
            fingerprint=log.fingerprint,
            files={file.name: _described(file) for file in sorted(made.iterdir())},
        )
        (made / MANIFEST_FILE).write_bytes(msgspec.json.encode(manifest))
        # Who has the old files mapped keeps them; only their names go.
        if directory.exists():
            directory.rename(Path(parent) / "old")
        made.rename(directory)


def load_sequences(directory: Path, *, source: str = "") -> Sequences:
    """What `save_sequences` wrote, its columns mapped read-only.

    CacheError if it is not there, is of another `source` or format, or was changed since.
    """
    try:
        manifest = msgspec.json.decode((directory / MANIFEST_FILE).read_bytes(), type=_Manifest)
        if (manifest.format_version, manifest.source) != (FORMAT_VERSION, source):
            message = f"{directory} holds another log, or one in another format"
            raise CacheError(message)
        expected = {f"{name}.npy" for name in _COLUMNS} | {f"{name}.json" for name in _NAMES}
        for name in expected:
            if manifest.files.get(name) != _described(directory / name):
                message = f"{directory / name} is not as it was written"
                raise CacheError(message)
        users, items, event_types = (_names(directory, name) for name in _NAMES)
        starts, user, item, event_type, time_ms, place_cell, rank = (
            _column(directory, name) for name in _COLUMNS
        )
    except (OSError, msgspec.DecodeError, EOFError) as error:
        message = f"{directory} holds no whole log: {error}"
        raise CacheError(message) from error
    return Sequences(
        users,
        items,
        event_types,
        starts,
        user,
        item,
        event_type,
        time_ms,
        place_cell,
        rank,
        manifest.has_times,
        manifest.fingerprint,
    )


def cached_log(
    path: Path,
    cache: Path,
    read: Callable[[], Sequences],
    *,
    how: Mapping[str, object],
    least_bytes: int | None = None,
) -> Sequences:
    """The log of a file: as it was kept when last read in the same way, else read and kept.

    cache: directory of kept logs, one for each path and way to read it. how: all that the result
    depends on beside the file, whose size and time of change tell whether it is still the same.
    Files below `least_bytes`, None for LEAST_BYTES, are always read. A cache that cannot be written
    costs only time.
    """
    try:
        found = path.stat()
    except OSError:
        return read()  # which says what is wrong with it
    if found.st_size < (LEAST_BYTES if least_bytes is None else least_bytes):
        return read()
    place = [str(path.resolve()), sorted((name, repr(value)) for name, value in how.items())]
    digest = hashlib.sha256(msgspec.json.encode(place)).hexdigest()[:32]
    directory = cache / digest
    source = msgspec.json.encode([place, found.st_size, found.st_mtime_ns]).decode()
    try:
        return load_sequences(directory, source=source)
    except CacheError as reason:
        _log.debug("reading %s: %s", path, reason)
    log = read()
    try:
        save_sequences(log, directory, source=source)
    except OSError as error:
        _log.warning("%s is not kept for the next time: %s", path.name, error)
    return log


def _names(directory: Path, name: str) -> list[str]:
    return msgspec.json.decode((directory / f"{name}.json").read_bytes(), type=list[str])


def _column(directory: Path, name: str) -> IntArray:
    mapped: IntArray = np.load(directory / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    return mapped


def _described(file: Path) -> _File:
    """Size and hash; the file must be there."""
    digest = xxhash.xxh3_64()
    size = 0
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return _File(size, digest.hexdigest())
