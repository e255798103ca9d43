import re
from pathlib import Path

import numpy as np
import onnx
import pytest

from model.artifact import Artifact, ArtifactError
from model.export import (
    PARITY_TOLERANCE,
    ExportError,
    export,
    parity,
    to_onnx,
)
from model.features import FeatureSpec
from model.net import SequenceEncoder, load_checkpoint
from tests.model.samples import SPEC, random_encoder


def test_onnx_and_torch_agree_at_every_batch_size(artifact: Artifact):
    recorded = artifact.manifest.metrics["parity"]
    assert isinstance(recorded, dict)
    assert set(recorded) == {"1", "2", "7", "64"}
    assert max(recorded.values()) <= PARITY_TOLERANCE


def test_a_graph_that_is_not_the_encoder_is_noticed(artifact: Artifact):
    encoder = random_encoder(SPEC, 60)
    encoder.item_bias.data[3] += 0.01
    with pytest.raises(ExportError, match="differ by"):
        parity(encoder, SPEC, artifact.model)


def test_batch_length_and_candidates_are_free_in_the_graph(artifact: Artifact):
    graph = onnx.load_from_string(artifact.model).graph
    axes = {
        value.name: [axis.dim_param for axis in value.type.tensor_type.shape.dim]
        for value in graph.input
    }
    assert axes["items"] == ["batch", "length"]
    assert axes["places"] == ["batch", "length"]
    assert axes["lengths"] == ["batch"]
    assert axes["candidates"] == ["batch", "candidates"]


def test_the_catalogues_scores_stay_inside_the_graph(artifact: Artifact):
    outputs = onnx.load_from_string(artifact.model).graph.output
    assert [value.name for value in outputs] == [
        "top_ids",
        "top_log_probs",
        "candidate_log_probs",
    ]
    assert outputs[0].type.tensor_type.shape.dim[1].dim_value == 10


def test_the_graph_names_no_file_of_the_exporting_machine(artifact: Artifact):
    assert not re.search(rb"site-packages|\.py|/home/|/root/|/tmp/|/work/", artifact.model)


def test_weights_are_inside_the_model_file(artifact: Artifact):
    graph = onnx.load_from_string(artifact.model).graph
    assert all(weight.data_location == onnx.TensorProto.DEFAULT for weight in graph.initializer)


def test_a_checkpoint_exports_to_the_same_artefact(artifact: Artifact, tmp_path: Path):
    result = export(artifact.path.parent / "checkpoint", tmp_path / "again")
    assert result["version"] == artifact.manifest.version
    assert (tmp_path / "again" / "model.onnx").read_bytes() == artifact.model


def test_a_checkpoint_holds_the_encoder(artifact: Artifact, encoder: SequenceEncoder):
    loaded, manifest, items = load_checkpoint(artifact.path.parent / "checkpoint")
    assert (manifest.name, items) == ("small", artifact.items)
    for name, weight in encoder.state_dict().items():
        np.testing.assert_array_equal(loaded.state_dict()[name], weight)


def test_what_is_not_a_checkpoint_is_named(tmp_path: Path):
    with pytest.raises(ArtifactError, match="not a checkpoint"):
        export(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("features", [(), ("time_gap", "hour_of_week")])
def test_an_encoder_that_sees_both_sides_is_exported_with_the_masked_event_inside(
    features: tuple[str, ...],
):
    spec = FeatureSpec(features, (), 0, 6)
    encoder = random_encoder(spec, 40, causal=False)
    differences = parity(encoder, spec, to_onnx(encoder, spec, top_k=5))
    assert max(differences.values()) <= PARITY_TOLERANCE
