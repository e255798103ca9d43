"""Encoder to ONNX and to an artefact, compared with torch on the way."""

from pathlib import Path

import msgspec
import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch.nn import functional

from model.artifact import (
    CURVES_FILE,
    FORMAT,
    Artifact,
    Manifest,
    Smoke,
    write_artifact,
)
from model.blend import Blend
from model.engine import OUTPUTS, STATE_OUTPUTS
from model.features import FEATURE_INPUTS, FeatureSpec
from model.net import SequenceEncoder, load_checkpoint, save_checkpoint
from model.onnx_graph import plain_bytes, quiet_exporter
from model.scorer import EncoderScorer, History
from model.serving_encoder import ServingEncoder
from model.text import ItemText

OPSET = 20
PARITY_BATCHES = (1, 2, 7, 64)
# Largest difference of a log-probability between torch and ONNX Runtime that an export may have.
PARITY_TOLERANCE = 1e-4


class ExportError(RuntimeError):
    """The exported graph is not the encoder; the message says how it differs."""


def example_inputs(
    spec: FeatureSpec, items: int, batch: int, length: int, candidates: int, seed: int
) -> dict[str, NDArray[np.int64]]:
    """Random valid inputs: windows of 1 to `length` events, zeros behind them."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, length + 1, batch)
    lengths[0] = length
    padding = np.arange(length) >= lengths[:, None]
    sizes = spec.vocabulary_sizes()
    inputs: dict[str, NDArray[np.int64]] = {}
    for name in spec.input_names():
        if name == "lengths":
            inputs[name] = lengths.astype(np.int64)
        elif name == "candidates":
            inputs[name] = random.integers(0, items + 1, (batch, candidates), np.int64)
        else:
            feature = next((f for f, i in FEATURE_INPUTS.items() if i == name), None)
            high = items + 1 if feature is None else sizes[feature]
            ids = random.integers(1, high, (batch, length), np.int64)
            inputs[name] = np.where(padding, 0, ids)
    return inputs


def to_onnx(
    encoder: SequenceEncoder, spec: FeatureSpec, *, top_k: int, with_state: bool = False
) -> bytes:
    """ONNX bytes of an encoder, weights inside; batch, length and candidates stay free.

    with_state: give STATE_OUTPUTS too. ExportError where an axis came out frozen.
    """
    encoder = encoder.eval().cpu()
    serving = ServingEncoder(encoder, top_k, with_state=with_state).eval()
    outputs = OUTPUTS + STATE_OUTPUTS if with_state else OUTPUTS
    # A batch of one would be taken for a constant, silently; so no example size is one.
    example = example_inputs(spec, encoder.config.items, 3, max(2, spec.max_length - 1), 5, 0)
    tensors = {name: torch.from_numpy(value) for name, value in example.items()}
    batch, candidates = torch.export.Dim("batch"), torch.export.Dim("candidates")
    length = torch.export.Dim("length", max=max(spec.max_length, 3))
    window = {0: batch, 1: length}
    feature_names = [FEATURE_INPUTS[name] for name in encoder.config.features]
    arguments = (
        tensors["items"],
        [tensors[name] for name in feature_names],
        tensors["lengths"],
        tensors["candidates"],
    )
    with quiet_exporter(), torch.no_grad():
        program = torch.onnx.export(
            serving,
            arguments,
            dynamo=True,
            opset_version=OPSET,
            input_names=["items", *feature_names, "lengths", "candidates"],
            output_names=list(outputs),
            dynamic_shapes=(
                window,
                [window for _ in feature_names],
                {0: batch},
                {0: batch, 1: candidates},
            ),
            verbose=False,
        )
    if program is None:
        message = "torch.onnx.export gave no program"
        raise ExportError(message)
    proto = program.model_proto
    for value in (*proto.graph.input, *proto.graph.output):
        axes = value.type.tensor_type.shape.dim
        free = [bool(axis.dim_param) for axis in axes]
        # The second axis of these is k, or the encoder's size.
        allowed_fixed = value.name in (*OUTPUTS[:2], STATE_OUTPUTS[0])
        if not all(free[:1] if allowed_fixed else free):
            message = f"the export froze an axis of {value.name}"
            raise ExportError(message)
    return plain_bytes(proto)


def parity(
    encoder: SequenceEncoder,
    spec: FeatureSpec,
    model: bytes,
    *,
    seed: int = 0,
    tolerance: float = PARITY_TOLERANCE,
) -> dict[str, float]:
    """Largest difference of a log-probability from torch per batch size. ExportError if too large.

    torch runs `SequenceEncoder` itself, every position of every layer.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    encoder = encoder.eval().cpu()
    items = encoder.config.items
    differences: dict[str, float] = {}
    for batch in PARITY_BATCHES:
        length = max(1, spec.max_length - batch % 3)
        inputs = example_inputs(spec, items, batch, length, 9, seed + batch)
        top_ids, top_log_probs, chosen = session.run(OUTPUTS, inputs)
        tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
        with torch.no_grad():
            logits = encoder.last_logits(tensors, tensors["lengths"])
        expected = functional.log_softmax(logits, dim=-1).numpy()
        candidates = inputs["candidates"]
        of_candidates = np.take_along_axis(expected, np.maximum(candidates - 1, 0), 1)
        known = candidates > 0
        gaps = [
            np.abs(np.take_along_axis(expected, top_ids - 1, 1) - top_log_probs).max(),
            np.abs(-np.sort(-expected, 1)[:, : top_ids.shape[1]] - top_log_probs).max(),
            np.abs(of_candidates[known] - chosen[known]).max(initial=0),
        ]
        largest = float(np.max(gaps))  # not a number where one of them is not
        differences[str(batch)] = largest
        if not largest <= tolerance or not np.isneginf(chosen[~known]).all():
            message = f"ONNX and torch differ by {largest:.2g} at batch {batch}"
            raise ExportError(message)
    return differences


def save_artifact(
    encoder: SequenceEncoder,
    out: Path,
    *,
    name: str,
    spec: FeatureSpec,
    items: list[str],
    top_k: int,
    blend: Blend,
    repeat_policy: str,
    training: dict[str, object],
    metrics: dict[str, object],
    versions: dict[str, str],
    created: str,
    checkpoint: Path | None = None,
    text: ItemText | None = None,
    curves: bytes | None = None,
) -> Artifact:
    """Export, compare with torch, write, and load as a worker would. The artefact, checked.

    curves: the picture of the training, which the checkpoint keeps too.
    """
    model = to_onnx(encoder, spec, top_k=top_k, with_state=text is not None)
    differences = parity(encoder, spec, model)
    config = encoder.config
    manifest = Manifest(
        format=FORMAT,
        name=name,
        version="",
        created=created,
        features=list(spec.features),
        event_types=list(spec.event_types),
        place_buckets=spec.place_buckets,
        max_length=spec.max_length,
        top_k=min(top_k, config.items),
        dim=config.dim,
        layers=config.layers,
        heads=config.heads,
        items=config.items,
        opset=OPSET,
        blend=blend,
        repeat_policy=repeat_policy,
        files={},
        training=training,
        metrics={**metrics, "parity": differences},
        versions=versions,
        text=None if text is None else text.spec,
    )
    smoke = record_smoke(manifest, items, model)
    if text is not None:
        titles, vectors = text.smoke(config.dim)
        smoke = msgspec.structs.replace(smoke, titles=titles, text_vectors=vectors)
    artifact = write_artifact(
        out,
        manifest,
        model=model,
        items=items,
        smoke=smoke,
        text=None if text is None else text.files,
        curves=curves,
    )
    EncoderScorer.load(out, engine="cpu")
    if checkpoint is not None:
        save_checkpoint(encoder, checkpoint, artifact.manifest, items)
        if text is not None:
            text.save(checkpoint)
        if curves is not None:
            (checkpoint / CURVES_FILE).write_bytes(curves)
    return artifact


def curves_of(checkpoint: Path, manifest: Manifest) -> bytes | None:
    """The picture in a checkpoint of `train`; None where its artefact has none, or it is gone."""
    path = checkpoint / CURVES_FILE
    return path.read_bytes() if CURVES_FILE in manifest.files and path.is_file() else None


def record_smoke(manifest: Manifest, items: list[str], model: bytes) -> Smoke:
    """Made-up histories of 1 event, a few and the longest, with the scores they get."""
    random = np.random.default_rng(1)
    lengths = sorted({1, min(7, manifest.max_length), manifest.max_length})
    histories = []
    for length in lengths:
        types = [*manifest.event_types, "never-seen"]
        gaps_ms = random.integers(0, 7_200_000, length)
        histories.append(
            History(
                [items[i] for i in random.integers(0, len(items), length)],
                [types[i] for i in random.integers(0, len(types), length)],
                (1_750_000_000_000 + np.cumsum(gaps_ms)).tolist(),
                random.integers(0, 1 << 40, length).tolist(),
            )
        )
    candidates = random.integers(1, len(items) + 1, (len(lengths), 8), np.int64)
    scores = EncoderScorer.of_model(manifest, items, model).score(histories, candidates)
    return Smoke(
        items=[list(history.items) for history in histories],
        event_types=[list(history.event_types) for history in histories],
        times_ms=[list(history.times_ms) for history in histories],
        place_cells=[list(history.place_cells) for history in histories],
        candidates=candidates.tolist(),
        top_ids=scores.top_ids.tolist(),
        top_log_probs=scores.top_log_probs.tolist(),
        candidate_log_probs=scores.candidate_log_probs.tolist(),
    )


def export(checkpoint_dir: Path, out: Path, *, top_k: int | None = None) -> dict[str, object]:
    """Artefact from a checkpoint of `train`. Returns its name, version, size and parity."""
    encoder, manifest, items = load_checkpoint(Path(checkpoint_dir))
    text = None
    if manifest.text is not None:
        text = ItemText.load(Path(checkpoint_dir), manifest.text)
    artifact = save_artifact(
        encoder,
        Path(out),
        name=manifest.name,
        spec=manifest.feature_spec(),
        items=items,
        top_k=top_k or manifest.top_k,
        blend=manifest.blend,
        repeat_policy=manifest.repeat_policy,
        training=manifest.training,
        metrics={k: v for k, v in manifest.metrics.items() if k != "parity"},
        versions=manifest.versions,
        created=manifest.created,
        text=text,
        curves=curves_of(Path(checkpoint_dir), manifest),
    )
    return {
        "out": str(out),
        "name": artifact.manifest.name,
        "version": artifact.manifest.version,
        "items": artifact.manifest.items,
        "artifact_bytes": sum(file.stat().st_size for file in Path(out).iterdir()),
        "parity": artifact.manifest.metrics["parity"],
    }
