"""Disk, memory, open files and clock: facts to findings, and the facts of files that say them."""

import platform
import resource
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from streams.clock_checks import KernelClock, clock_findings, kernel_clock
from streams.findings import Finding
from streams.machine_checks import (
    Disk,
    disk_findings,
    file_system,
    interpreter_finding,
    kernels_finding,
    look_at_disk,
    memory_finding,
    memory_limit_bytes,
    open_file_limit,
    open_files_finding,
)
from streams.settings import Settings

GIB = 1 << 30
DISK = Disk(Path("/state"), 50 * GIB, None, "ext4", 2 * GIB)
SYNCHRONISED = KernelClock(synchronised=True, largest_error_seconds=0.02)
NOW_MS = 1_769_860_800_000


def test_kernels_in_python_are_told_with_what_to_install() -> None:
    assert kernels_finding(compiled=True).level == "ok"
    finding = kernels_finding(compiled=False)
    assert finding.level == "note"
    assert "gcc" in (finding.advice or "")


@pytest.mark.parametrize(
    ("build", "level"),
    [
        ({"CONFIG_ARGS": "'--enable-optimizations' '--with-lto'", "PGO_PROF_USE_FLAG": "-f"}, "ok"),
        ({"CONFIG_ARGS": "'--enable-shared'", "PGO_PROF_USE_FLAG": "-fprofile-use"}, "note"),
        ({"CONFIG_ARGS": "'--enable-shared'", "PGO_PROF_USE_FLAG": ""}, "ok"),  # Debian's own way
        ({}, "ok"),  # does not say
    ],
)
def test_a_python_that_is_known_to_be_slower_than_it_could_be_is_told(
    build: dict[str, object], level: str
) -> None:
    finding = interpreter_finding(build)
    assert finding.level == level
    assert platform.python_version() in finding.words
    assert ("--enable-optimizations" in (finding.advice or "")) == (level == "note")


def test_a_disk_with_room_for_the_state_twice_is_fine() -> None:
    (finding,) = disk_findings(DISK, 10 * GIB)
    assert finding.level == "ok"
    assert "50.0 GiB free, at most 10.0 GiB of state" in finding.words


@pytest.mark.parametrize(
    ("changes", "changelogs", "levels"),
    [
        ({}, 30 * GIB, ["note"]),  # compaction needs room
        ({}, 60 * GIB, ["fault"]),
        ({"free_bytes": GIB // 2, "state_bytes": 0}, None, ["fault"]),
        ({"free_files": 12}, None, ["ok", "fault"]),
        ({"kind": "tmpfs"}, None, ["ok", "note"]),
        ({"kind": "nfs4"}, None, ["ok", "note"]),
    ],
)
def test_a_disk_that_is_small_in_memory_or_far_is_told(
    changes: dict[str, object], changelogs: int | None, levels: list[str]
) -> None:
    found = list(disk_findings(msgspec.structs.replace(DISK, **changes), changelogs))
    assert [finding.level for finding in found] == levels
    assert all(finding.advice for finding in found if finding.level != "ok")


def disk_of(directory: Path) -> Disk | Finding:
    return look_at_disk(Settings(state_dir=directory))


def test_state_is_what_its_directory_takes_of_the_disk_and_nothing_beside_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "other").write_bytes(b"x" * 100_000)
    absent = disk_of(tmp_path / "state")
    assert isinstance(absent, Disk)
    assert (absent.directory, absent.state_bytes) == (tmp_path, 0)
    (tmp_path / "state" / "inner").mkdir(parents=True)
    (tmp_path / "state" / "inner" / "table").write_bytes(b"x" * 100_000)
    with (tmp_path / "state" / "sparse").open("wb") as sparse:
        sparse.truncate(GIB)
    there = disk_of(tmp_path / "state")
    assert isinstance(there, Disk)
    assert 100_000 <= there.state_bytes < 1_000_000


@pytest.mark.parametrize(("files", "free"), [(0, None), (10, 3)])
def test_inodes_count_where_a_file_system_has_a_number_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int, free: int | None
) -> None:
    told = SimpleNamespace(f_files=files, f_favail=3)
    monkeypatch.setattr("streams.machine_checks.os.statvfs", lambda _: told)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=GIB))
    disk = disk_of(tmp_path)
    assert isinstance(disk, Disk)
    assert disk.free_files == free


def test_a_state_directory_of_links_in_a_circle_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    found = disk_of(tmp_path / "a")
    assert isinstance(found, Finding)
    assert found.level == "fault"
    assert "--state DIR" in found.advice


def test_the_file_system_is_that_of_the_innermost_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "2 1 0:5 / /data rw shared:1 - nfs4 host:/x rw\n"
        "3 2 0:6 / /data/fast\\040disk rw - tmpfs tmpfs rw\n"
        "a line of something else\n"
    )
    assert file_system(Path("/var"), mounts) == "ext4"
    assert file_system(Path("/data/state"), mounts) == "nfs4"
    assert file_system(Path("/data/fast disk/state"), mounts) == "tmpfs"
    assert file_system(Path("/data"), tmp_path / "none") is None


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("0::/kubepods/pod1\n", "memory.max"),
        ("0::/kubepods/pod1\n", "kubepods/pod1/memory.max"),
        ("0::/kubepods/pod1\n", "kubepods/memory.max"),
        ("4:memory:/docker/1\n", "memory/docker/1/memory.limit_in_bytes"),
        ("4:memory:/docker/1\n", "memory/memory.limit_in_bytes"),
    ],
)
def test_the_memory_limit_is_the_narrowest_of_the_control_groups(
    tmp_path: Path, line: str, file: str
) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("3:cpuset:/\n" + line)
    limit = tmp_path / "groups" / file
    limit.parent.mkdir(parents=True)
    limit.write_text("max\n")
    unlimited = memory_limit_bytes(tmp_path / "proc", tmp_path / "groups")
    limit.write_text("1048576\n")
    assert memory_limit_bytes(tmp_path / "proc", tmp_path / "groups") == 1 << 20 < unlimited


def test_little_memory_is_a_note_and_enough_is_not() -> None:
    assert memory_finding(GIB // 2).level == "note"
    assert memory_finding(8 * GIB).level == "ok"


def test_a_limit_of_open_files_below_what_all_partitions_take_is_a_fault() -> None:
    assert open_files_finding(1024, 4, 0, on_disk=True).level == "ok"
    tight = open_files_finding(1024, 64, 0, on_disk=True)
    assert tight.level == "fault"
    assert "ulimit -n" in tight.advice
    assert open_files_finding(1024, 64, 0, on_disk=False).level == "ok"
    assert open_files_finding(1024, 4, 100 * GIB, on_disk=True).level == "fault"


def test_no_limit_of_open_files_is_one_that_nobody_reaches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr("resource.getrlimit", lambda _: unlimited)
    assert open_files_finding(open_file_limit(), 10_000, 0, on_disk=True).level == "ok"


def test_a_clock_that_follows_a_server_and_is_not_behind_is_fine() -> None:
    (finding,) = clock_findings(SYNCHRONISED, NOW_MS, NOW_MS - 3_600_000, NOW_MS - 100)
    assert finding.level == "ok"


@pytest.mark.parametrize(("ahead_ms", "level"), [(900, "note"), (60_000, "fault")])
def test_records_that_brokers_stamped_later_than_now_show_that_this_clock_is_behind(
    ahead_ms: int, level: str
) -> None:
    found = list(clock_findings(SYNCHRONISED, NOW_MS, NOW_MS + ahead_ms, NOW_MS + ahead_ms))
    assert [finding.level for finding in found] == [level, "ok"]
    assert f"at least {ahead_ms / 1000:.1f} s behind the brokers'" in found[0].words


def test_a_click_from_ahead_of_brokers_and_of_now_is_of_a_producer_with_a_fast_clock() -> None:
    found = list(clock_findings(SYNCHRONISED, NOW_MS, NOW_MS, NOW_MS + 20_000))
    assert found[0].level == "note"
    assert "LogAppendTime" in found[0].advice


@pytest.mark.parametrize("kernel", [None, KernelClock(False, 16.0)])
def test_a_clock_that_follows_nothing_or_does_not_say_is_a_note(kernel: KernelClock | None) -> None:
    (finding,) = clock_findings(kernel, NOW_MS, None, None)
    assert finding.level == "note"
    assert finding.advice


def test_the_kernel_is_asked_without_setting_anything() -> None:
    kernel = kernel_clock()
    assert kernel is None or kernel.largest_error_seconds >= 0
