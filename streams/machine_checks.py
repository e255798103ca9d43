"""What a worker takes of its machine: room and files for state, memory, open files."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from streams.findings import Finding, size
from streams.settings import Settings
from streams.topics import TABLES

_MIN_FREE_BYTES = 1 << 30
_MIN_FREE_FILES = 10_000
_MIN_MEMORY_BYTES = 1 << 30
_FILES_PER_STORE = 16
"""Open files of a small RocksDB: log, manifest, lock, a few tables."""
_TABLE_FILE_BYTES = 32 << 20
_OTHER_FILES = 256
"""Of connections, libraries and the model."""

_MEMORY_FILES = ("tmpfs", "ramfs")
_NETWORK_FILES = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "fuse.sshfs")


class Disk(msgspec.Struct, frozen=True):
    """The file system of a state directory, and what of the state is there already."""

    directory: Path
    free_bytes: int
    free_files: int | None
    """None: of a file system that makes them as needed."""
    kind: str | None
    state_bytes: int


def kernels_finding(*, compiled: bool) -> Finding:
    """Whether the innermost loops were compiled when this was installed."""
    if compiled:
        return Finding("kernels", "ok", "compiled")
    return Finding(
        "kernels", "note", "not compiled: the same loops run in Python, and clicks take longer",
        "install a C compiler and the headers of Python (Debian: gcc python3-dev), and freshrec"
        " again; no harm where few clicks come",
    )  # fmt: skip


def interpreter_finding(build: Mapping[str, object]) -> Finding:
    """Whether Python was built with profile-guided optimisation, as far as it knows.

    `build`: `sysconfig.get_config_vars()` of it. A build from source has the flags for it and was
    asked for it or not; a distribution that does it in its own way has neither.
    """
    words = f"Python {platform.python_version()}"
    asked = "--enable-optimizations" in str(build.get("CONFIG_ARGS", ""))
    if asked or not build.get("PGO_PROF_USE_FLAG"):
        return Finding("interpreter", "ok", words)
    return Finding(
        "interpreter", "note", f"{words} was built without profile-guided optimisation, and clicks"
        " take longer",
        "take one of a distribution or of Docker's python images, or build it with"
        " --enable-optimizations; no harm where few clicks come",
    )  # fmt: skip


def disk_findings(disk: Disk, changelog_bytes: int | None) -> Iterator[Finding]:
    """`changelog_bytes`: what the changelogs hold on the brokers, a bound for all state together;
    None where the brokers do not say.
    """
    known = max(disk.state_bytes, changelog_bytes or 0)
    room = disk.free_bytes + disk.state_bytes
    words = f"{disk.directory} can be written, {size(disk.free_bytes)} free"
    if known:
        words += f", at most {size(known)} of state known so far"
    if disk.free_bytes < _MIN_FREE_BYTES or room < known:
        yield Finding("state", "fault", words, "free some space, or say --state DIR")
    elif room < 2 * known:
        yield Finding(
            "state", "note", words, "RocksDB rewrites files before it drops old ones: leave room"
        )
    else:
        yield Finding("state", "ok", words)
    if disk.free_files is not None and disk.free_files < _MIN_FREE_FILES:
        yield Finding(
            "state", "fault", f"only {disk.free_files} more files fit there (inodes)",
            "remove small files, or say --state DIR on another file system",
        )  # fmt: skip
    if disk.kind in _MEMORY_FILES:
        yield Finding(
            "state", "note", f"{disk.directory} is {disk.kind}: state takes memory and is lost"
            " when the machine restarts, and then read from the changelogs",
            "say --state DIR on a disk, or --store memory",
        )  # fmt: skip
    elif disk.kind in _NETWORK_FILES:
        yield Finding(
            "state", "note", f"{disk.directory} is on {disk.kind}: slow, and locks on it may fail",
            "say --state DIR on a disk of this machine",
        )  # fmt: skip


def memory_finding(limit_bytes: int) -> Finding:
    """`limit_bytes`: of the machine, or of the container where that has less."""
    words = f"{size(limit_bytes)} for this process and what runs beside it"
    if limit_bytes < _MIN_MEMORY_BYTES:
        advice = "give the container or machine 1 GiB or more: windows, graph and a model take it"
        return Finding("memory", "note", words, advice)
    return Finding("memory", "ok", words)


def open_files_finding(limit: int, partitions: int, state_bytes: int, *, on_disk: bool) -> Finding:
    """Whether a worker that has all partitions may open its files. `limit`: ulimit -n, soft."""
    stores = partitions * len(TABLES) if on_disk else 0
    needed = _OTHER_FILES + stores * _FILES_PER_STORE + state_bytes // _TABLE_FILE_BYTES
    words = f"{limit:,} may be open, about {needed:,} are needed for {partitions} partitions"
    if limit < needed:
        advice = f"raise ulimit -n to {2 * needed:,} (LimitNOFILE of a systemd unit)"
        return Finding("open files", "fault", words, advice)
    return Finding("open files", "ok", words)


def look_at_disk(settings: Settings) -> Disk | Finding:
    """The file system of the state directory; a fault where it cannot be written."""
    wanted = directory = settings.state_dir.absolute()
    try:
        wanted = directory = wanted.resolve()  # the file system is that of the link's target
        while not directory.exists():  # a worker makes what is missing; a check changes nothing
            directory = directory.parent
        with tempfile.TemporaryFile(dir=directory):
            free = shutil.disk_usage(directory).free
        files = os.statvfs(directory)
    except RuntimeError:  # what Python 3.11 and 3.12 make of links in a circle
        words = f"cannot write in {directory}: its links lead in a circle"
        return Finding("state", "fault", words, "mend them, or say --state DIR")
    except OSError as error:
        return Finding(
            "state", "fault", f"cannot write in {directory}: {error.strerror}",
            "give this user the right to write there, or say --state DIR",
        )  # fmt: skip
    return Disk(
        directory=directory,
        free_bytes=free,
        free_files=files.f_favail if files.f_files else None,
        kind=file_system(directory, Path("/proc/self/mountinfo")),
        state_bytes=_size_bytes(wanted) if directory == wanted else 0,
    )


def file_system(directory: Path, mounts: Path) -> str | None:
    """The kind of file system that a directory is on, by Linux's list of mounts; None: unknown."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    best, kind = -1, None
    for line in lines:
        place, _, source = line.partition(" - ")
        fields = place.split()
        if len(fields) < 5 or not source:
            continue
        mounted = Path(fields[4].replace("\\040", " "))
        if directory.is_relative_to(mounted) and len(mounted.parts) >= best:
            best, kind = len(mounted.parts), source.split()[0]
    return kind


def memory_limit_bytes(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Memory of the machine, or of the narrowest control group (v1, v2) of this process."""
    limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return limit
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            root, name = groups, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = groups / "memory", "memory.limit_in_bytes"
        else:
            continue
        # Within a container the path is often that of the host, and the root its own group.
        inner = root / path.lstrip("/")
        for place in (root, inner, *inner.parents):
            if place.is_relative_to(root):
                limit = min(limit, _number(place / name, limit))
    return limit


def open_file_limit() -> int:
    """The soft limit, as ulimit -n says."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 1 << 30


def _number(path: Path, otherwise: int) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # not there, or "max"
        return otherwise


def _size_bytes(directory: Path) -> int:
    """Files of a running worker come and go meanwhile."""
    total = 0
    for path, _, names in os.walk(directory):
        for name in names:
            try:
                total += (Path(path) / name).stat().st_blocks * 512
            except OSError:
                continue
    return total
