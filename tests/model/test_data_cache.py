"""Kept logs: equal to what was read, mapped and not copied, never believed when damaged."""

import os
from pathlib import Path

import msgspec
import numpy as np
import pytest

from model.data import Event, Sequences, leave_one_out, sequences
from model.data_cache import (
    MANIFEST_FILE,
    CacheError,
    cached_log,
    load_sequences,
    save_sequences,
)
from model.datasets import read_data
from model.log_files import read_log


def a_log(events: int = 300) -> Sequences:
    random = np.random.default_rng(0)
    return sequences(
        Event(
            f"ü{n % 20}", f"i{random.integers(0, 30)}", int(random.integers(1, 10**6)), "click", n
        )
        for n in range(events)
    )


def equal(one: Sequences, other: Sequences) -> bool:
    return all(
        np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b
        for a, b in zip(one, other, strict=True)
    )


def test_a_log_comes_back_as_it_was_with_its_columns_mapped(tmp_path: Path):
    log = a_log()
    save_sequences(log, tmp_path / "kept")
    found = load_sequences(tmp_path / "kept")
    assert equal(found, log)
    assert isinstance(found.item, np.memmap)
    assert not found.item.flags.writeable
    assert np.array_equal(leave_one_out(found).test, leave_one_out(log).test)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"]


def test_an_order_only_log_stays_order_only(tmp_path: Path):
    log = sequences([Event("u", "a", 0), Event("u", "b", 0)], has_times=False)
    save_sequences(log, tmp_path / "kept")
    assert not load_sequences(tmp_path / "kept").has_times


def test_a_newer_log_replaces_the_older_one_under_a_reader(tmp_path: Path):
    old, new = a_log(100), a_log(200)
    save_sequences(old, tmp_path / "kept")
    reading = load_sequences(tmp_path / "kept")
    save_sequences(new, tmp_path / "kept")
    assert equal(load_sequences(tmp_path / "kept"), new)
    assert equal(reading, old)


@pytest.mark.parametrize(
    "name", ["item.npy", "starts.npy", "users.json", "event_types.json", MANIFEST_FILE]
)
@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_any_damage_to_any_file_is_noticed(tmp_path: Path, name: str, damage: str):
    save_sequences(a_log(), tmp_path / "kept")
    file = tmp_path / "kept" / name
    content = bytearray(file.read_bytes())
    if damage == "changed":
        content[-2] ^= 1
        file.write_bytes(content)
    elif damage == "cut":
        file.write_bytes(content[:-9])
    else:
        file.unlink()
    with pytest.raises(CacheError):
        load_sequences(tmp_path / "kept")


def test_another_format_or_source_is_not_believed(tmp_path: Path):
    save_sequences(a_log(), tmp_path / "kept", source="a")
    with pytest.raises(CacheError, match="another log"):
        load_sequences(tmp_path / "kept", source="b")
    file = tmp_path / "kept" / MANIFEST_FILE
    manifest = msgspec.json.decode(file.read_bytes())
    file.write_bytes(msgspec.json.encode(manifest | {"format_version": 0}))
    with pytest.raises(CacheError, match="another format"):
        load_sequences(tmp_path / "kept", source="a")


class File:
    """A log file and how often it was really read."""

    def __init__(self, folder: Path, rows: int = 200) -> None:
        self.path = folder / "log.csv"
        self.cache = folder / "cache"
        self.reads = 0
        self.write(rows)

    def write(self, rows: int) -> None:
        lines = [f"u{n % 9},i{n % 7},{n + 1}" for n in range(rows)]
        self.path.write_text("\n".join(["user_id,item_id,timestamp", *lines]))

    def get(self, **how: object) -> Sequences:
        def read() -> Sequences:
            self.reads += 1
            return read_log(self.path)

        return cached_log(self.path, self.cache, read, how=how, least_bytes=100)


def test_a_file_is_read_once_and_then_mapped(tmp_path: Path):
    file = File(tmp_path)
    first, second = file.get(), file.get()
    assert file.reads == 1
    assert equal(first, second)
    assert isinstance(second.item, np.memmap)


def test_a_changed_file_is_read_again_and_replaces_what_was_kept(tmp_path: Path):
    file = File(tmp_path)
    file.get()
    file.write(250)
    assert file.get().events == 250
    assert file.get().events == 250
    assert file.reads == 2
    assert len(list(file.cache.iterdir())) == 1
    stat = file.path.stat()
    os.utime(file.path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    file.get()
    assert file.reads == 3


def test_another_way_to_read_the_file_is_another_log(tmp_path: Path):
    file = File(tmp_path)
    file.get(columns={"item_id": "item_id"})
    file.get(columns={"item_id": "timestamp"})
    file.get(columns={"item_id": "item_id"})
    assert file.reads == 2


def test_a_damaged_log_is_read_anew_and_mended(tmp_path: Path):
    file = File(tmp_path)
    whole = file.get()
    (kept,) = file.cache.iterdir()
    (kept / "item.npy").write_bytes(b"\0" * 10)
    assert equal(file.get(), whole)
    assert file.reads == 2
    assert equal(file.get(), whole)
    assert file.reads == 2


def test_a_small_file_is_not_kept(tmp_path: Path):
    file = File(tmp_path)
    log = cached_log(file.path, file.cache, lambda: read_log(file.path), how={})
    assert log.events == 200
    assert not file.cache.exists()


def test_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    file = File(tmp_path)
    file.cache.write_text("a file where the directory should be")
    assert file.get().events == 200
    assert "is not kept" in caplog.text


def test_a_file_that_is_not_there_is_the_readers_to_name(tmp_path: Path):
    with pytest.raises(ValueError, match="there is no file"):
        cached_log(
            tmp_path / "no.csv", tmp_path / "cache", lambda: read_log(tmp_path / "no.csv"), how={}
        )


def test_a_large_log_file_is_kept_under_the_default_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("model.data_cache.LEAST_BYTES", 100)
    file = File(tmp_path)
    first, second = read_data(file.path), read_data(file.path)
    assert equal(first, second)
    assert isinstance(second.item, np.memmap)
    assert len(list((tmp_path / "home" / "freshrec" / "logs").iterdir())) == 1
    read_data(file.path, time_unit="day")
    assert len(list((tmp_path / "home" / "freshrec" / "logs").iterdir())) == 2
