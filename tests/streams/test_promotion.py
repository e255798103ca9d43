"""Promotion and rollback of artefacts: one atomic link, and a history."""

from pathlib import Path

import pytest

from model.artifact import ArtifactError
from streams import promotion
from streams.promotion import PromotionError, current, list_models, promote, rollback

NOW = "2026-01-31T12:00:00.000Z"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three artefacts; `broken` does not pass the checks of an artefact."""

    def load(path: Path) -> None:
        if not path.is_dir():
            raise ArtifactError(f"there is no artefact directory {path}")
        if path.name == "broken":
            raise ArtifactError("model.onnx does not have the sha256 of the manifest")

    monkeypatch.setattr(promotion, "load_artifact", load)
    for name in ("v1", "v2", "v3", "broken"):
        (tmp_path / name).mkdir()
    return tmp_path


def _resolved(directory: Path) -> str:
    return (directory / "current").resolve().name


def test_the_link_goes_to_the_promoted_version(directory: Path) -> None:
    assert current(directory) is None
    promote(directory, "v1", NOW)
    assert (current(directory), _resolved(directory)) == ("v1", "v1")
    promote(directory, "v2", NOW)
    assert (current(directory), _resolved(directory)) == ("v2", "v2")
    assert not list(directory.glob(".current*"))


def test_the_link_survives_a_move_of_the_directory(directory: Path, tmp_path: Path) -> None:
    promote(directory, "v1", NOW)
    assert (directory / "current").readlink() == Path("v1")


def test_a_version_that_fails_a_check_is_not_promoted(directory: Path) -> None:
    promote(directory, "v1", NOW)
    for version, words in (("broken", "sha256"), ("v9", "no artefact directory")):
        with pytest.raises(PromotionError, match=words):
            promote(directory, version, NOW)
    assert _resolved(directory) == "v1"


@pytest.mark.parametrize("version", ["..", ".", "", "../v1", "a/b", "current", "/etc"])
def test_a_version_is_a_name_and_not_a_path(directory: Path, version: str) -> None:
    with pytest.raises(PromotionError, match="not the name"):
        promote(directory, version, NOW)


def test_rollbacks_walk_back_through_the_promotions(directory: Path) -> None:
    for version in ("v1", "v2", "v3"):
        promote(directory, version, NOW)
    assert rollback(directory, NOW).version == "v2"
    assert _resolved(directory) == "v2"
    assert rollback(directory, NOW).version == "v1"
    with pytest.raises(PromotionError, match="before the current one"):
        rollback(directory, NOW)
    assert _resolved(directory) == "v1"


def test_after_a_rollback_a_promotion_counts_again(directory: Path) -> None:
    for version in ("v1", "v2"):
        promote(directory, version, NOW)
    rollback(directory, NOW)
    promote(directory, "v3", NOW)
    assert rollback(directory, NOW).version == "v1"


def test_promoting_the_same_version_twice_is_no_way_back_to_it(directory: Path) -> None:
    for version in ("v1", "v2", "v2"):
        promote(directory, version, NOW)
    assert rollback(directory, NOW).version == "v1"


def test_a_directory_called_current_is_not_overwritten(directory: Path) -> None:
    (directory / "current").mkdir()
    with pytest.raises(PromotionError, match="not a link"):
        promote(directory, "v1", NOW)


def test_a_damaged_manifest_is_listed_with_its_fault(directory: Path) -> None:
    (directory / "v1" / "manifest.json").write_text("{}")
    (only,) = list_models(directory)
    assert only.version == "v1"
    assert only.fault is not None
    assert "required field" in only.fault


def test_a_damaged_history_and_a_missing_directory_are_sentences(directory: Path) -> None:
    promote(directory, "v1", NOW)
    (directory / promotion.HISTORY).write_text("oops\n")
    with pytest.raises(PromotionError, match="is damaged"):
        rollback(directory, NOW)
    with pytest.raises(PromotionError, match="no models directory"):
        list_models(directory / "none")
