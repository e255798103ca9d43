"""The settings files of the scenes: they load, say something, and docs/scenes.md tells the same."""

import re
import tomllib
from pathlib import Path

import pytest

from streams.event_types import DEFAULT_EVENT_TYPES
from streams.setting_sources import load_settings
from streams.settings import FIELDS, Settings
from tests.documents import ROOT

FILES = sorted((ROOT / "deploy/settings").glob("*.toml"))
DOCUMENT = (ROOT / "docs/scenes.md").read_text(encoding="utf-8")
DEFAULTS = {field.name: field.default for field in FIELDS}
DAY_SECONDS = 86_400


def scene(path: Path) -> Settings:
    return load_settings({}, {}, path)


def column(path: Path) -> list[str]:
    """What the table of the document says of a scene, from the row of windows on."""
    rows = re.findall(r"(?m)^\| (.+) \|$", DOCUMENT.partition("| file |")[2])
    place = ["", "shop", "social", "video", "travel"].index(path.stem)
    return [row.split(" | ")[place] for row in rows][1:]


def test_there_is_a_file_for_each_scene_of_the_document() -> None:
    assert {path.stem for path in FILES} == {"shop", "social", "video", "travel"}
    assert {path.stem.capitalize() for path in FILES} <= set(
        re.findall(r"(?m)^## (\w+)$", DOCUMENT)
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenes_file_loads_and_every_type_of_event_it_adds_is_used_in_its_guide(
    path: Path,
) -> None:
    types = scene(path).event_type_registry()
    section = DOCUMENT.partition(f"\n## {path.stem.capitalize()}\n")[2].partition("\n## ")[0]
    added = types.names - {known.name for known in DEFAULT_EVENT_TYPES}
    assert added
    for name in added:
        assert f'"event_type": "{name}"' in section


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scene_says_only_what_is_its_own(path: Path) -> None:
    said = tomllib.loads(path.read_text(encoding="utf-8"))
    assert not set(said) & {"bootstrap", "group", "model_dir", "state_dir", "partitions"}
    built_in = {known.name: known for known in DEFAULT_EVENT_TYPES}
    for name, changes in said.pop("event_types").items():
        base = built_in.get(name, built_in["click"])
        assert [key for key, value in changes.items() if getattr(base, key) == value] == [], name
    assert [name for name, value in said.items() if DEFAULTS[name] == value] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_type_of_aversion_says_no_weight_and_no_half_life_because_they_do_nothing(
    path: Path,
) -> None:
    said = tomllib.loads(path.read_text(encoding="utf-8"))["event_types"]
    aversions = [changes for changes in said.values() if changes.get("polarity") == -1]
    assert aversions == [{"polarity": -1}]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_table_of_scenes_says_what_the_files_say(path: Path) -> None:
    settings = scene(path)
    window, predecessors, half_lives, repeats, strongest, aversion = column(path)
    assert int(re.findall(r"\d+", window)[0]) == settings.window_events
    assert _seconds(window.partition(", ")[2]) == settings.window_seconds
    assert int(predecessors) == settings.predecessors
    popularity, trend = half_lives.split(", ")
    assert _seconds(popularity) == settings.popularity_half_life_seconds
    assert _seconds(trend) == settings.trending_half_life_seconds
    assert repeats == f"`{settings.repeat_policy}`"
    types = settings.event_type_registry()
    own = {change.name for change in settings.event_types} & types.positive_names
    assert strongest == f"`{max(own, key=types.weight)}`"
    assert types.is_negative(aversion.strip("`"))


def _seconds(words: str) -> float:
    number, unit = words.split()
    units = {"hour": 3600, "day": DAY_SECONDS, "year": 365 * DAY_SECONDS}
    return int(number) * units[unit.rstrip("s")]
