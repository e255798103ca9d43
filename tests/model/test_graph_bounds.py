"""Hostile graphs: what could run for ever, take all memory or read elsewhere is one sentence."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tokenizers import Tokenizer, models

from model import scorer
from model.artifact import DEMO_ARTIFACT, Artifact, ArtifactError
from model.graph_bounds import memory_bytes
from model.item_text import TextSpec
from model.onnx_wire import graph_fault
from model.scorer import EncoderScorer
from model.sentences import SentenceEncoder


def changed(artifact: Artifact, directory: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    """An artefact whose hashes are right and whose graph is another."""
    copy = Path(shutil.copytree(artifact.path, directory / "hostile"))
    proto = onnx.load_from_string(artifact.model)
    change(proto)
    (copy / "model.onnx").write_bytes(proto.SerializeToString())
    manifest = json.loads((copy / "manifest.json").read_bytes())
    digest = hashlib.sha256((copy / "model.onnx").read_bytes()).hexdigest()
    manifest["files"]["model.onnx"] = digest
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


def put_before_the_scores(proto: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Have `candidate_log_probs` wait for the scalar "spent" that these nodes make."""
    last = next(node for node in proto.graph.node if "candidate_log_probs" in node.output)
    place = list(last.output).index("candidate_log_probs")
    last.output[place] = "honest"
    add = helper.make_node("Add", ["honest", "spent"], ["candidate_log_probs"], "hostile_add")
    proto.graph.node.extend([*nodes, add])


def with_a_loop(proto: onnx.ModelProto) -> None:
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["still"]),
            helper.make_node("Identity", ["value"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, []),
        ],
    )
    proto.graph.initializer.extend(
        [
            helper.make_tensor("always", TensorProto.BOOL, [], [True]),
            helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        ]
    )
    put_before_the_scores(
        proto, [helper.make_node("Loop", ["", "always", "zero"], ["spent"], body=body)]
    )


def with_huge_memory(proto: onnx.ModelProto) -> None:
    """A size that is computed: no shape in the file tells of it."""
    proto.graph.initializer.append(
        helper.make_tensor("side", TensorProto.INT64, [1], [memory_bytes()])
    )
    put_before_the_scores(
        proto,
        [
            helper.make_node("ConstantOfShape", ["side"], ["huge"]),
            helper.make_node("ReduceSum", ["huge"], ["spent"], keepdims=0),
        ],
    )


def with_a_foreign_operator(proto: onnx.ModelProto) -> None:
    proto.graph.node[0].domain = "org.example"


def with_functions(proto: onnx.ModelProto) -> None:
    proto.functions.append(
        helper.make_function("", "Twice", ["x"], ["y"], [], [helper.make_opsetid("", 20)])
    )


def with_a_tensor_elsewhere(proto: onnx.ModelProto) -> None:
    tensor = TensorProto(name="t", dims=[1], data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/dev/zero")
    proto.graph.node.append(helper.make_node("Constant", [], ["elsewhere"], value=tensor))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (with_a_loop, "has a graph within a graph .operator 'Loop'"),
        (with_a_foreign_operator, "of a library, 'org.example'"),
        (with_functions, "defines functions"),
        (with_a_tensor_elsewhere, "keeps weights in another file"),
    ],
)
def test_a_graph_that_could_do_anything_is_refused_before_it_is_loaded(
    artifact: Artifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[onnx.ModelProto], None],
    fault: str,
):
    monkeypatch.setattr("onnxruntime.InferenceSession", None)
    with pytest.raises(ArtifactError, match=fault):
        EncoderScorer.load(changed(artifact, tmp_path, change))


def test_a_graph_that_wants_all_memory_fails_and_the_process_does_not(
    artifact: Artifact, tmp_path: Path
):
    with pytest.raises(ArtifactError, match="cannot make its recorded inference within"):
        EncoderScorer.load(changed(artifact, tmp_path, with_huge_memory))
    good = EncoderScorer.load(artifact.path)
    assert np.isfinite(good.score([], np.zeros((0, 1), np.int64)).top_log_probs).all()


def test_a_graph_that_takes_too_long_is_stopped(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scorer, "SMOKE_SECONDS", 0.0)
    monkeypatch.setattr(
        "model.graph_bounds.threading.Timer",
        lambda _seconds, act, arguments: AtOnce(act, arguments),
    )
    with pytest.raises(ArtifactError, match=r"within 0 s and 50% of the memory.*terminate"):
        EncoderScorer.load(artifact.path)


class AtOnce:
    """A timer whose time is over when it starts."""

    def __init__(self, act: Callable[..., None], arguments: tuple[object, ...]) -> None:
        self._act, self._arguments = act, arguments

    def start(self) -> None:
        self._act(*self._arguments)

    def cancel(self) -> None:
        pass


def test_the_graphs_that_are_exported_here_pass(artifact: Artifact):
    assert graph_fault(artifact.model) is None
    assert graph_fault((DEMO_ARTIFACT / "model.onnx").read_bytes()) is None


def test_bytes_that_end_too_early_or_are_another_format_are_no_graph(artifact: Artifact):
    for model in (b"", b"\x00\x00\x00\x00ORTM", artifact.model[:-1], artifact.model * 2):
        assert graph_fault(model) == "is no ONNX protobuf"


def test_every_flipped_byte_at_the_begin_is_a_sentence_or_nothing(artifact: Artifact):
    for place in range(400):
        model = bytearray(artifact.model)
        model[place] ^= 0xFF
        fault = graph_fault(bytes(model))
        assert fault is None or fault.isprintable()


def test_the_encoder_of_item_text_is_held_to_the_same(artifact: Artifact):
    proto = onnx.load_from_string(artifact.model)
    with_a_loop(proto)
    spec = TextSpec(name="tiny", dim=32, max_tokens=24, precision="fp32")
    tokenizer = Tokenizer(models.WordLevel({"desk": 0}, unk_token="desk"))
    with pytest.raises(ValueError, match="has a graph within a graph"):
        SentenceEncoder(spec, proto.SerializeToString(), tokenizer.to_str().encode())


def test_a_container_with_less_memory_than_its_machine_counts(tmp_path: Path):
    limit = tmp_path / "memory.max"
    whole = memory_bytes(limit)
    limit.write_text("max\n")
    assert memory_bytes(limit) == whole
    limit.write_text("1048576\n")
    assert memory_bytes(limit) == 1 << 20
