import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
import torch

from model import compress, variants
from model.artifact import VARIANTS, ArtifactError, load_artifact
from model.blend import Blend
from model.compress import export
from model.engine import VARIANT_KEY
from model.export import ExportError, save_artifact, to_onnx
from model.features import FeatureSpec
from model.int8 import weights_only
from model.net import EncoderConfig, SequenceEncoder, load_checkpoint
from model.pruning import keep_layers, prune_layers
from model.scorer import EncoderScorer, History

ITEMS = 300  # more than the smallest table that is looked up in int8
USERS = 60
SPEC = FeatureSpec((), (), 0, 8)


@dataclasses.dataclass
class Trained:
    """A checkpoint, and a log that its encoder predicts without a fault."""

    checkpoint: Path
    data: Path
    encoder: SequenceEncoder
    items: list[str]


@dataclasses.dataclass
class Written:
    """An artefact of one variant, and what its export reported."""

    variant: str
    path: Path
    report: dict[str, object]


@pytest.fixture(scope="module", autouse=True)
def _each_encoder_traced_once() -> Iterator[None]:
    """torch takes seconds to trace a graph, and most tests begin with the same one."""
    traced: dict[bytes, bytes] = {}

    def to_onnx_once(encoder: SequenceEncoder, spec: FeatureSpec, **options: Any) -> bytes:
        weights = (weight.numpy().tobytes() for weight in encoder.state_dict().values())
        key = hashlib.sha256(b"".join(weights)).digest()
        if key not in traced:
            traced[key] = to_onnx(encoder, spec, **options)
        return traced[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(variants, "to_onnx", to_onnx_once)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Layer 1 of three adds nothing to what goes through it; the others make the lists."""
    folder = tmp_path_factory.mktemp("compress")
    torch.manual_seed(3)
    config = EncoderConfig(items=ITEMS, dim=32, layers=3, heads=2, max_length=SPEC.max_length)
    encoder = SequenceEncoder(config).eval()
    with torch.no_grad():
        for name, weight in encoder.named_parameters():
            if weight.ndim == 2:
                weight.mul_(8)
            if name.startswith("bert.encoder.layer.1.") and "output.dense" in name:
                weight.zero_()
    # Every user goes on with what the encoder holds most likely.
    items = [f"i{number}" for number in range(ITEMS)]
    random = np.random.default_rng(0)
    users = random.integers(1, ITEMS + 1, (USERS, 1))
    with torch.no_grad():
        for _ in range(9):
            window = torch.from_numpy(users[:, -SPEC.max_length :])
            lengths = torch.full((USERS,), window.shape[1])
            scores = encoder.last_logits({"items": window}, lengths).numpy()
            np.put_along_axis(scores, users - 1, -np.inf, 1)
            users = np.concatenate([users, scores.argmax(1)[:, None] + 1], 1)
    # The last user has every item, once, so that all are known.
    rows = [[items[i - 1] for i in row] for row in users]
    rows.append(items)
    data = folder / "log.tsv"
    data.write_text("".join(f"u{n}\t{' '.join(row)}\n" for n, row in enumerate(rows)))
    save_artifact(
        encoder,
        folder / "whole",
        name="tiny",
        spec=SPEC,
        items=items,
        top_k=10,
        blend=Blend(),
        repeat_policy="exclude",
        training={"split": "leave-one-out"},
        metrics={"validation": {"examples": USERS}},
        versions={},
        created="2026-01-31T12:00:00Z",
        checkpoint=folder / "checkpoint",
    )
    return Trained(folder / "checkpoint", data, encoder, items)


@pytest.fixture(scope="module")
def compared(trained: Trained) -> dict[tuple[str, int], dict[str, Any]]:
    report = export(trained.checkpoint, data=trained.data, compare=True)
    figures: Any = report["variants"]
    return {(each["variant"], each["layers"]): each for each in figures}


def test_the_comparison_has_every_variant_and_a_pruned_one(
    compared: dict[tuple[str, int], dict[str, Any]],
):
    assert set(compared) == {
        *((variant, 3) for variant in VARIANTS),
        *((variant, 2) for variant in compress.COMPARED_PRUNED),
    }
    whole = compared["fp32", 3]
    assert whole["overlap_at_10"] == 1.0
    assert whole["ndcg_at_10"] == whole["ndcg_at_10_fp32"] > 0.9
    assert whole["refused"] is None
    assert all(each["lists_per_second"] > 0 for each in compared.values())


def test_variants_keep_the_lists(compared: dict[tuple[str, int], dict[str, Any]]):
    overlaps = {variant: compared[variant, 3]["overlap_at_10"] for variant in VARIANTS}
    assert overlaps["fp16"] > 0.99
    assert overlaps["int8-weights"] > 0.95
    assert overlaps["int8-dynamic"] > 0.9
    assert overlaps["int8-static"] > 0.85


def test_variants_are_smaller(compared: dict[tuple[str, int], dict[str, Any]]):
    whole = compared["fp32", 3]["model_bytes"]
    assert compared["fp16", 3]["model_bytes"] < 0.7 * whole
    for variant in VARIANTS[2:]:
        assert compared[variant, 3]["model_bytes"] < 0.65 * whole


def test_only_dynamic_activations_make_a_list_depend_on_the_batch(
    compared: dict[tuple[str, int], dict[str, Any]],
):
    for variant in VARIANTS:
        report = compared[variant, 3]
        depends = report["batch_dependence"] > compress.MAX_BATCH_DEPENDENCE
        assert depends == (variant == "int8-dynamic")
    assert "with others in the batch" in compared["int8-dynamic", 3]["refused"]


@pytest.fixture(scope="module", params=["fp16", "int8-weights"])
def written(
    request: pytest.FixtureRequest, trained: Trained, tmp_path_factory: pytest.TempPathFactory
) -> Written:
    out = tmp_path_factory.mktemp(request.param) / "v"
    report = export(trained.checkpoint, out, variant=request.param, data=trained.data)
    return Written(request.param, out, report)


def test_a_written_variant_loads_and_says_what_it_is(trained: Trained, written: Written):
    manifest = EncoderScorer.load(written.path, engine="cpu").manifest
    _, source, _ = load_checkpoint(trained.checkpoint)
    assert (manifest.variant, manifest.source_version) == (written.variant, source.version)
    assert manifest.version != source.version
    figures: Any = manifest.metrics["compression"]
    assert figures == written.report["compression"]
    assert figures["forced"] is False
    assert {"model_bytes", "lists_per_second", "overlap_at_10", "ndcg_at_10"} <= set(figures)
    assert load_artifact(written.path).smoke.tolerance >= figures["largest_difference"]


def test_log_probabilities_are_those_of_float32(trained: Trained, written: Written):
    scorer = EncoderScorer.load(written.path, engine="cpu")
    history = History(trained.items[:5], [""] * 5, [0] * 5, [0] * 5)
    log_probs = scorer.score([history], np.arange(1, ITEMS + 1)[None, :]).candidate_log_probs[0]
    assert not np.array_equal(log_probs, log_probs.astype(np.float16).astype(np.float32))
    np.testing.assert_allclose(np.exp(log_probs.astype(np.float64)).sum(), 1, atol=1e-4)


def test_a_graph_names_its_variant_where_the_sha256_covers_it(written: Written):
    proto = onnx.load_from_string(load_artifact(written.path).model)
    assert [(entry.key, entry.value) for entry in proto.metadata_props] == [
        (VARIANT_KEY, written.variant)
    ]


@pytest.mark.parametrize(
    ("stated", "sentence"),
    [
        ("int4", "variant 'int4' is none of"),
        ("fp32", "but its manifest says fp32"),
        ("int8-static", "but its manifest says int8-static"),
    ],
)
def test_a_variant_that_is_unknown_or_not_the_graphs_is_refused_by_the_loader(
    written: Written, tmp_path: Path, stated: str, sentence: str
):
    shutil.copytree(written.path, tmp_path / "v")
    manifest = tmp_path / "v" / "manifest.json"
    manifest.write_bytes(
        msgspec.json.encode(json.loads(manifest.read_text()) | {"variant": stated})
    )
    with pytest.raises(ArtifactError, match=sentence):
        EncoderScorer.load(tmp_path / "v", engine="cpu")


def test_without_data_a_whole_encoder_is_exported_as_it_was(trained: Trained, tmp_path: Path):
    export(trained.checkpoint, tmp_path / "again")
    _, source, _ = load_checkpoint(trained.checkpoint)
    manifest = load_artifact(tmp_path / "again").manifest
    assert (manifest.version, manifest.variant) == (source.version, "fp32")


def test_a_variant_that_loses_too_much_is_refused_unless_forced(trained: Trained, tmp_path: Path):
    out = tmp_path / "one"
    with pytest.raises(ExportError, match=r"loses .* of NDCG@10 .* more than 1%"):
        export(trained.checkpoint, out, layers=1, data=trained.data)
    assert not out.exists()


def test_a_refused_variant_can_be_forced_and_says_so(trained: Trained, tmp_path: Path):
    out = tmp_path / "dynamic"
    export(trained.checkpoint, out, variant="int8-dynamic", data=trained.data, force=True)
    manifest = EncoderScorer.load(out, engine="cpu").manifest
    figures: Any = manifest.metrics["compression"]
    assert (manifest.variant, figures["forced"]) == ("int8-dynamic", True)


def test_a_loss_up_to_one_percent_is_accepted(compared: dict[tuple[str, int], dict[str, Any]]):
    report = {**compared["fp16", 3], "ndcg_at_10_fp32": 0.5, "batch_dependence": 0.0}
    assert compress.refusals({**report, "ndcg_at_10": 0.4951}) == []
    assert len(compress.refusals({**report, "ndcg_at_10": 0.4949})) == 1


def test_pruning_removes_the_layer_that_adds_nothing(trained: Trained, tmp_path: Path):
    report = export(trained.checkpoint, tmp_path / "p", prune=True, data=trained.data)
    figures: Any = report["compression"]
    assert figures["kept_layers"] == [0, 2]
    assert [step["layer"] for step in figures["removals"]] == [1]
    assert figures["overlap_at_10"] > 0.99
    assert load_artifact(tmp_path / "p").manifest.layers == 2


def test_what_each_removal_costs_is_measured_again_after_the_first():
    torch.manual_seed(0)
    encoder = SequenceEncoder(EncoderConfig(items=5, dim=8, layers=4, heads=1, max_length=4))
    for number, layer in enumerate(encoder.bert.encoder.layer):
        layer.output.dense.bias.data[0] = number  # marks the layer
    worth = {(0, 1, 2, 3): 1.0, (0, 1, 3): 0.9, (0, 1): 0.8, (1, 3): 0.7}

    def quality(smaller: SequenceEncoder) -> float:
        layers = smaller.bert.encoder.layer
        return worth.get(tuple(int(layer.output.dense.bias.data[0]) for layer in layers), 0.1)

    pruned = prune_layers(encoder, quality, layers=2)
    assert pruned.kept == (0, 1)
    assert [step.removed for step in pruned.removals] == [2, 3]
    assert pruned.removals[1].without == {0: 0.7, 1: 0.1, 3: 0.8}
    assert (pruned.quality_before, pruned.quality) == (1.0, 0.8)
    assert prune_layers(encoder, quality, max_loss=0.1).kept == (0, 1, 3)
    assert prune_layers(encoder, quality, max_loss=0.05).kept == (0, 1, 2, 3)


def test_a_layer_count_that_is_not_there_is_an_error(trained: Trained):
    with pytest.raises(ValueError, match="from 1 to 3"):
        prune_layers(trained.encoder, lambda _: 1.0, layers=4)


def test_keeping_every_layer_changes_nothing(trained: Trained):
    copied = keep_layers(trained.encoder, (0, 1, 2))
    for name, weight in trained.encoder.state_dict().items():
        torch.testing.assert_close(copied.state_dict()[name], weight, rtol=0, atol=0)


def test_the_items_stand_once_in_int8(trained: Trained):
    model = load_artifact(trained.checkpoint.parent / "whole").model
    graph = onnx.load_from_string(weights_only(model)).graph
    of_catalogue = [each for each in graph.initializer if ITEMS in each.dims and len(each.dims) > 1]
    bytes_of_items = [each for each in of_catalogue if each.data_type == onnx.TensorProto.UINT8]
    assert len(bytes_of_items) == 1
    assert all(np.prod(each.dims) <= ITEMS for each in of_catalogue if each not in bytes_of_items)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"variant": "int4"}, "none of fp32, fp16"),
        ({"variant": "fp16"}, "give the log by --data"),
        ({"layers": 1}, "give the log by --data"),
        ({"prune": True, "layers": 1}, "not both"),
        ({"compare": True}, "--compare needs --data"),
    ],
)
def test_wrong_use_is_one_sentence(
    trained: Trained, tmp_path: Path, options: dict[str, Any], sentence: str
):
    with pytest.raises(ValueError, match=sentence):
        export(trained.checkpoint, tmp_path / "v", **options)
    assert not (tmp_path / "v").exists()


def test_an_export_without_a_place_is_one_sentence(trained: Trained):
    with pytest.raises(ValueError, match="--out is missing"):
        export(trained.checkpoint)


def test_other_data_than_the_encoder_was_trained_on_is_noticed(trained: Trained, tmp_path: Path):
    other = tmp_path / "other.tsv"
    other.write_text("u\ta b c\nv\tb c a\n")
    with pytest.raises(ValueError, match="give the log that it was trained on"):
        export(trained.checkpoint, tmp_path / "v", variant="fp16", data=other)
