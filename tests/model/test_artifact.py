import hashlib
import json
import shutil
from pathlib import Path

import msgspec
import onnx
import pytest

from model.artifact import (
    CONTENT_FILES,
    CURVES_FILE,
    MAX_FILE_BYTES,
    Artifact,
    ArtifactError,
    load_artifact,
    write_artifact,
)
from model.scorer import EncoderScorer


@pytest.fixture
def copy(artifact: Artifact, tmp_path: Path) -> Path:
    return Path(shutil.copytree(artifact.path, tmp_path / "copy"))


def change_manifest(directory: Path, **changes: object) -> None:
    path = directory / "manifest.json"
    manifest = json.loads(path.read_bytes())
    for key, value in changes.items():
        manifest[key] = value
    path.write_text(json.dumps(manifest))


def rewrite(directory: Path, name: str, data: bytes) -> None:
    """Change a file and the manifest's sha256 with it."""
    (directory / name).write_bytes(data)
    manifest = json.loads((directory / "manifest.json").read_bytes())
    manifest["files"][name] = hashlib.sha256(data).hexdigest()
    change_manifest(directory, files=manifest["files"])


def test_a_written_artefact_loads_as_it_was(artifact: Artifact, copy: Path):
    loaded = load_artifact(copy)
    assert loaded.manifest == artifact.manifest
    assert loaded.items == artifact.items
    assert loaded.model == artifact.model


def test_a_missing_directory_says_how_to_get_one(tmp_path: Path):
    with pytest.raises(ArtifactError, match="freshrec train"):
        load_artifact(tmp_path / "none")


@pytest.mark.parametrize("name", [*CONTENT_FILES, "manifest.json"])
def test_a_missing_file_is_named(copy: Path, name: str):
    (copy / name).unlink()
    with pytest.raises(ArtifactError, match=name):
        load_artifact(copy)


@pytest.mark.parametrize("name", [*CONTENT_FILES, "manifest.json"])
def test_a_truncated_file_is_rejected(copy: Path, name: str):
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(ArtifactError, match=name):
        load_artifact(copy)


@pytest.mark.parametrize("name", CONTENT_FILES)
def test_one_flipped_bit_is_rejected(copy: Path, name: str):
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(bytes(data))
    with pytest.raises(ArtifactError, match="sha256"):
        load_artifact(copy)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"format": 99}, "format 99 is not known"),
        ({"format": "1"}, "is not known"),
        ({"features": ["time_gap", "mood"]}, "mood"),
        ({"features": ["time_gap", "time_gap"]}, "twice"),
        ({"max_length": 0}, "max_length"),
        ({"max_length": 10**9}, "max_length"),
        ({"top_k": 0}, "top_k"),
        ({"top_k": 10**6}, "top_k"),
        ({"opset": 7}, "opset"),
        ({"items": 59}, "59"),
        ({"repeat_policy": "sometimes"}, "sometimes"),
        ({"version": "../../etc"}, "version"),
        ({"name": "a/b"}, "name"),
        ({"blend": {"graph": "much"}}, "blend"),
        ({"files": {}}, "files must be exactly"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_rejected(
    copy: Path, changes: dict[str, object], fault: str
):
    change_manifest(copy, **changes)
    with pytest.raises(ArtifactError, match=fault):
        load_artifact(copy)


def test_a_manifest_cannot_name_files_of_its_own(copy: Path, tmp_path: Path):
    (tmp_path / "secret").write_text("x")
    files = json.loads((copy / "manifest.json").read_bytes())["files"]
    change_manifest(copy, files={**files, "../secret": "0" * 64})
    with pytest.raises(ArtifactError, match="files must be exactly"):
        load_artifact(copy)


@pytest.mark.parametrize("name", [*CONTENT_FILES, "manifest.json"])
def test_a_link_out_of_the_directory_is_not_followed(copy: Path, tmp_path: Path, name: str):
    outside = tmp_path / "outside"
    (copy / name).rename(outside)
    (copy / name).symlink_to(outside)
    with pytest.raises(ArtifactError, match="leads outside"):
        load_artifact(copy)


def test_the_directory_itself_may_be_reached_through_a_link(copy: Path, tmp_path: Path):
    (tmp_path / "current").symlink_to(copy)
    assert load_artifact(tmp_path / "current").manifest.name == "small"


def test_an_oversized_file_is_not_read(copy: Path):
    with (copy / "manifest.json").open("ab") as file:
        file.truncate(MAX_FILE_BYTES["manifest.json"] + 1)
    with pytest.raises(ArtifactError, match="more than the"):
        load_artifact(copy)


@pytest.mark.parametrize(
    ("items", "fault"),
    [
        (["a"] * 60, "twice"),
        ([""] + [str(i) for i in range(59)], "empty"),
        (["x" * 257] + [str(i) for i in range(59)], "longer"),
        (["a", "b"], "2 items"),
        ({"a": 1}, "list of strings"),
    ],
)
def test_a_dictionary_that_makes_no_sense_is_rejected(copy: Path, items: object, fault: str):
    rewrite(copy, "items.json", json.dumps(items).encode())
    with pytest.raises(ArtifactError, match=fault):
        load_artifact(copy)


def test_a_graph_without_a_feature_of_the_manifest_is_rejected(copy: Path):
    change_manifest(copy, features=["time_gap"])
    with pytest.raises(ArtifactError, match="features need"):
        EncoderScorer.load(copy)


def test_bytes_that_are_no_model_are_rejected(copy: Path):
    rewrite(copy, "model.onnx", b"\x08\x07not a model")
    with pytest.raises(ArtifactError, match="is no ONNX protobuf"):
        EncoderScorer.load(copy)


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "/etc/hostname"])
def test_weights_outside_the_model_file_are_never_read(copy: Path, location: str):
    model = onnx.load_from_string((copy / "model.onnx").read_bytes())
    weight = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    (copy / "weights.bin").write_bytes(weight.raw_data)
    (copy.parent / "weights.bin").write_bytes(weight.raw_data)
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    rewrite(copy, "model.onnx", model.SerializeToString())
    with pytest.raises(ArtifactError, match="keeps weights in another file"):
        EncoderScorer.load(copy)


def test_scores_that_differ_from_the_recorded_ones_are_rejected(copy: Path):
    smoke = json.loads((copy / "smoke.json").read_bytes())
    smoke["top_log_probs"][0][0] += 0.01
    rewrite(copy, "smoke.json", json.dumps(smoke).encode())
    with pytest.raises(ArtifactError, match="does not reproduce"):
        EncoderScorer.load(copy)


def test_a_dictionary_in_another_order_is_noticed_by_the_recorded_scores(copy: Path):
    items = json.loads((copy / "items.json").read_bytes())
    rewrite(copy, "items.json", json.dumps(items[::-1]).encode())
    with pytest.raises(ArtifactError, match="does not reproduce"):
        EncoderScorer.load(copy)


def write_again(artifact: Artifact, path: Path) -> Artifact:
    return write_artifact(
        path,
        artifact.manifest,
        model=artifact.model,
        items=artifact.items,
        smoke=artifact.smoke,
    )


def test_writing_replaces_an_artefact_and_leaves_nothing_else_behind(
    artifact: Artifact, copy: Path
):
    (copy / "items.json").write_bytes(b"broken")
    write_again(artifact, copy)
    assert load_artifact(copy).items == artifact.items
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_writing_never_replaces_what_is_not_an_artefact(artifact: Artifact, tmp_path: Path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_bytes(b"x")
    for target in (tmp_path / "photos", tmp_path / "photos" / "one.jpg"):
        with pytest.raises(ArtifactError, match="choose another"):
            write_again(artifact, target)
    assert (tmp_path / "photos" / "one.jpg").read_bytes() == b"x"


def test_a_failed_write_keeps_the_old_artefact(artifact: Artifact, copy: Path):
    bad = msgspec.structs.replace(artifact.manifest, top_k=0)
    with pytest.raises(ArtifactError, match="top_k"):
        write_artifact(copy, bad, model=artifact.model, items=artifact.items, smoke=artifact.smoke)
    assert load_artifact(copy).manifest == artifact.manifest
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_the_version_follows_from_the_content(artifact: Artifact, tmp_path: Path):
    unnamed = msgspec.structs.replace(artifact.manifest, version="")
    parts = {"model": artifact.model, "items": artifact.items}
    first = write_artifact(tmp_path / "a", unnamed, **parts, smoke=artifact.smoke)
    looser = msgspec.structs.replace(artifact.smoke, tolerance=0.5)
    second = write_artifact(tmp_path / "b", unnamed, **parts, smoke=looser)
    assert first.manifest.version == artifact.manifest.version != second.manifest.version


def with_curves(artifact: Artifact, path: Path, curves: bytes = b"\x89PNG drawn") -> Artifact:
    return write_artifact(
        path,
        msgspec.structs.replace(artifact.manifest, version=""),
        model=artifact.model,
        items=artifact.items,
        smoke=artifact.smoke,
        curves=curves,
    )


def test_the_picture_of_the_training_is_named_in_the_manifest_and_loaded(
    artifact: Artifact, tmp_path: Path
):
    assert artifact.curves is None
    assert CURVES_FILE not in artifact.manifest.files
    written = with_curves(artifact, tmp_path / "drawn")
    assert written.curves == (tmp_path / "drawn" / CURVES_FILE).read_bytes() == b"\x89PNG drawn"
    assert written.manifest.content_files() == (*CONTENT_FILES, CURVES_FILE)
    assert EncoderScorer.load(tmp_path / "drawn", engine="cpu").version == written.manifest.version


def test_the_version_does_not_depend_on_the_picture(artifact: Artifact, tmp_path: Path):
    versions = {with_curves(artifact, tmp_path / str(n), bytes([n])).manifest.version
                for n in range(2)}  # fmt: skip
    assert versions == {artifact.manifest.version}


def test_a_changed_or_missing_picture_is_refused_like_any_other_file(
    artifact: Artifact, tmp_path: Path
):
    with_curves(artifact, tmp_path / "drawn")
    (tmp_path / "drawn" / CURVES_FILE).write_bytes(b"\x89PNG of something better")
    with pytest.raises(ArtifactError, match=r"curves\.png .* sha256"):
        load_artifact(tmp_path / "drawn")
    (tmp_path / "drawn" / CURVES_FILE).unlink()
    with pytest.raises(ArtifactError, match=r"curves\.png"):
        load_artifact(tmp_path / "drawn")


def test_a_picture_that_the_manifest_does_not_name_is_not_read(copy: Path):
    (copy / CURVES_FILE).write_bytes(b"anything")
    assert load_artifact(copy).curves is None
