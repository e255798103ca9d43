"""Artefacts with item text: what the scorer makes of items that are not in its graph."""

import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from model.artifact import Artifact, ArtifactError, load_artifact
from model.cold_items import ItemVectors
from model.engine import OUTPUTS, STATE_OUTPUTS
from model.export import export
from model.item_text import TEXT_FILES, projection_bytes
from model.net import SequenceEncoder
from model.scorer import EncoderScorer
from tests.model.samples import ITEMS, make_history

V, DIM = len(ITEMS), 16


@pytest.fixture(scope="module")
def text_scorer(text_artifact: Artifact) -> EncoderScorer:
    return EncoderScorer.load(text_artifact.path)


@pytest.fixture
def copy(text_artifact: Artifact, tmp_path: Path) -> Path:
    return Path(shutil.copytree(text_artifact.path, tmp_path / "copy"))


def twins(encoder: SequenceEncoder, items: list[int], *, lift: float = 0.0) -> ItemVectors:
    """New items that stand where items of the encoder stand."""
    return ItemVectors(
        encoder.item_embeddings.detach().numpy()[items],
        encoder.item_bias.detach().numpy()[items] + np.float32(lift),
    )


HISTORIES = [make_history(seed, length) for seed, length in enumerate((1, 4, 20, 33, 9))]


def test_a_new_item_scores_as_an_item_of_the_encoder_at_the_same_place(encoder, text_scorer):
    everyone = np.broadcast_to(np.arange(1, V + 1), (5, V))
    expected = text_scorer.score(HISTORIES, everyone).candidate_log_probs
    found = twins(encoder, list(range(V))).log_probs(*text_scorer.states(HISTORIES))
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


def test_what_the_encoder_says_of_its_own_items_is_not_changed_by_new_ones(encoder, text_scorer):
    candidates = np.random.default_rng(0).integers(0, V + 1, (5, 7))
    alone = text_scorer.score(HISTORIES, candidates)
    prepared = text_scorer.prepare(HISTORIES, candidates, twins(encoder, [3, 8], lift=2.0))
    beside = text_scorer.run(prepared)
    np.testing.assert_array_equal(beside.top_ids[:, :10], alone.top_ids)
    np.testing.assert_array_equal(beside.top_log_probs[:, :10], alone.top_log_probs)
    np.testing.assert_array_equal(beside.candidate_log_probs, alone.candidate_log_probs)


def test_the_best_new_items_stand_behind_the_encoders_own_with_the_ids_that_follow(
    encoder, text_scorer
):
    new = twins(encoder, list(range(V)), lift=0.25)
    scores = text_scorer.run(text_scorer.prepare(HISTORIES, np.zeros((5, 0), np.int64), new))
    log_probs = new.log_probs(*text_scorer.states(HISTORIES))
    for row in range(5):
        ids, found = scores.top_ids[row, 10:], scores.top_log_probs[row, 10:]
        named = ids[ids > 0]
        assert len(named)
        assert named.min() > V
        np.testing.assert_array_equal(found[ids > 0], log_probs[row, named - V - 1])
        lowest = scores.top_log_probs[row, :10].min()
        assert set(named - V - 1) == set(np.flatnonzero(log_probs[row] >= lowest))
        assert np.isneginf(found[ids == 0]).all()


def test_a_new_item_below_all_of_the_encoders_best_is_as_unknown_as_any(encoder, text_scorer):
    new = twins(encoder, [0, 1], lift=-50.0)
    candidates = np.tile([V + 1, V + 2], (5, 1))
    scores = text_scorer.run(text_scorer.prepare(HISTORIES, candidates, new))
    assert np.isneginf(scores.candidate_log_probs).all()
    assert not scores.top_ids[:, 10:].any()


def test_candidates_may_be_new_items(encoder, text_scorer):
    new = twins(encoder, [5, 6], lift=30.0)
    candidates = np.tile([V + 2, 4, 0, V + 1], (5, 1))
    scores = text_scorer.run(text_scorer.prepare(HISTORIES, candidates, new))
    log_probs = new.log_probs(*text_scorer.states(HISTORIES))
    np.testing.assert_array_equal(scores.candidate_log_probs[:, [3, 0]], log_probs)
    assert np.isneginf(scores.candidate_log_probs[:, 2]).all()


def test_a_history_without_a_known_event_says_nothing_of_new_items(encoder, text_scorer):
    stranger = make_history(0, 3, items=["never", "heard"])
    new = twins(encoder, [5], lift=30.0)
    scores = text_scorer.run(text_scorer.prepare([stranger], np.array([[V + 1]]), new))
    assert not scores.top_ids.any()
    assert np.isneginf(scores.candidate_log_probs).all()


def test_an_id_beyond_the_new_items_is_an_error(encoder, text_scorer):
    with pytest.raises(ValueError, match=f"0..{V + 1}"):
        text_scorer.prepare(HISTORIES[:1], np.array([[V + 2]]), twins(encoder, [5]))


def test_an_artefact_without_item_text_scores_no_new_items(encoder, scorer):
    with pytest.raises(ValueError, match="has no text"):
        scorer.prepare(HISTORIES[:1], np.zeros((1, 0), np.int64), twins(encoder, [5]))


def test_only_artefacts_with_item_text_give_hidden_states(artifact, text_artifact):
    def outputs(model: bytes) -> list[str]:
        return [value.name for value in onnx.load_from_string(model).graph.output]

    assert outputs(artifact.model) == list(OUTPUTS)
    assert outputs(text_artifact.model) == [*OUTPUTS, *STATE_OUTPUTS]
    assert artifact.text is None


def test_a_title_is_placed_by_the_artefact_as_recorded(text_artifact, text_scorer):
    smoke = text_artifact.smoke
    places = text_scorer.text.encode(smoke.titles, [()] * len(smoke.titles))
    np.testing.assert_allclose(np.column_stack(places), smoke.text_vectors, atol=1e-4)


def rewrite(directory: Path, name: str, data: bytes) -> None:
    """Change a file and the manifest's sha256 with it."""
    (directory / name).write_bytes(data)
    manifest = json.loads((directory / "manifest.json").read_bytes())
    manifest["files"][name] = hashlib.sha256(data).hexdigest()
    (directory / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", TEXT_FILES)
def test_a_changed_text_file_is_refused(copy: Path, name: str):
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(bytes(data))
    with pytest.raises(ArtifactError, match=f"{name}.*sha256"):
        load_artifact(copy)


@pytest.mark.parametrize("name", TEXT_FILES)
def test_a_missing_text_file_is_named(copy: Path, name: str):
    (copy / name).unlink()
    with pytest.raises(ArtifactError, match=name):
        load_artifact(copy)


def test_text_files_that_the_manifest_does_not_speak_of_are_refused(copy: Path):
    manifest = json.loads((copy / "manifest.json").read_bytes())
    manifest["text"] = None
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="files must be exactly"):
        load_artifact(copy)


def test_a_projection_of_another_size_is_refused(copy: Path):
    rewrite(copy, "projection.npy", projection_bytes(np.zeros((3, 3), np.float32)))
    with pytest.raises(ArtifactError, match="shape"):
        load_artifact(copy)


def test_a_tokenizer_that_is_none_is_refused(copy: Path):
    rewrite(copy, "tokenizer.json", b"{}")
    load_artifact(copy)
    with pytest.raises(ArtifactError, match="tokenizer"):
        EncoderScorer.load(copy)


def test_a_projection_that_places_items_elsewhere_is_refused(copy: Path, text_artifact):
    random = np.random.default_rng(9)
    shape = (text_artifact.manifest.text.dim + 1, DIM + 1)
    rewrite(copy, "projection.npy", projection_bytes(random.normal(size=shape).astype(np.float32)))
    with pytest.raises(ArtifactError, match="place items"):
        EncoderScorer.load(copy)


def test_without_tokenizers_all_but_new_items_is_served(text_artifact, text_scorer, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    scorer = EncoderScorer.load(text_artifact.path)
    assert scorer.text is None
    candidates = np.ones((5, 1), np.int64)
    np.testing.assert_array_equal(
        scorer.score(HISTORIES, candidates).top_ids,
        text_scorer.score(HISTORIES, candidates).top_ids,
    )


def test_a_checkpoint_keeps_the_item_text(text_artifact: Artifact, tmp_path: Path):
    result = export(text_artifact.path.parent / "checkpoint", tmp_path / "again")
    assert result["version"] == text_artifact.manifest.version
    for name in TEXT_FILES:
        again = (tmp_path / "again" / name).read_bytes()
        assert again == (text_artifact.path / name).read_bytes()


def test_a_checkpoint_that_lost_its_item_text_is_an_error(text_artifact, tmp_path):
    checkpoint = Path(shutil.copytree(text_artifact.path.parent / "checkpoint", tmp_path / "c"))
    (checkpoint / "tokenizer.json").unlink()
    with pytest.raises(ArtifactError, match="not whole"):
        export(checkpoint, tmp_path / "out")
