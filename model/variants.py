"""Variants of a checkpoint's encoder as ONNX graphs: whole or pruned, in fp32, fp16 or int8."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from model import int8
from model.artifact import VARIANTS, Manifest
from model.data import Sequences
from model.engine import VARIANT_KEY
from model.export import PARITY_TOLERANCE, parity, to_onnx
from model.fidelity import masked_scores
from model.half_precision import to_float16
from model.net import SequenceEncoder, load_checkpoint
from model.pruning import Pruned, prune_layers
from model.ranking import ranking_metrics, target_ranks
from model.splits import make_split
from model.validation import log_probabilities
from model.windows import EncodedLog

IntArray = NDArray[np.int64]

MAX_EXAMPLES = 2048
CALIBRATION_WINDOWS, CALIBRATION_BATCH = 512, 64
# Largest difference of a log-probability from torch. Of int8 it is recorded and not bounded: what
# it does to the lists is.
PARITY_TOLERANCES = {"fp32": PARITY_TOLERANCE, "fp16": 0.1}


class Source(NamedTuple):
    """A checkpoint and the events that its variants are measured on."""

    encoder: SequenceEncoder
    manifest: Manifest
    items: list[str]
    log: Sequences
    encoded: EncodedLog
    train: IntArray  # event indexes
    validation: IntArray


class Candidate(NamedTuple):
    """One variant, not yet measured."""

    variant: str
    pruned: Pruned | None
    manifest: Manifest
    model: bytes
    parity: dict[str, float]


def load_source(checkpoint: Path, log: Sequences, top_k: int | None, seed: int) -> Source:
    """A checkpoint with the log's training and validation events, split as its training did.

    ArtifactError or ValueError, one sentence, where the two do not belong together.
    """
    encoder, manifest, items = load_checkpoint(checkpoint)
    if top_k is not None:
        manifest = msgspec.structs.replace(manifest, top_k=min(top_k, len(items)))
    index = {item: place for place, item in enumerate(log.items)}
    missing = sum(item not in index for item in items)
    if missing:
        message = (
            f"{missing} of the encoder's {len(items)} items are not in the data: "
            "give the log that it was trained on"
        )
        raise ValueError(message)
    training = manifest.training

    def share(name: str, default: float) -> float:
        stated = training.get(name)
        return stated if isinstance(stated, float) else default

    split = make_split(
        log,
        str(training.get("split", "leave-one-out")),
        test_fraction=share("test_fraction", 0.2),
        validation_fraction=share("validation_fraction", 0.1),
        data_share=share("data_share", 1.0),
    )
    known = np.array([index[item] for item in items], np.int64)
    validation = split.validation
    if len(validation) > MAX_EXAMPLES:
        random = np.random.default_rng(seed)
        validation = np.sort(random.choice(validation, MAX_EXAMPLES, replace=False))
    encoded = EncodedLog(log, known, manifest.feature_spec())
    return Source(encoder, manifest, items, log, encoded, np.flatnonzero(split.train), validation)


def pruned_source(source: Source, layers: int | None, max_loss: float) -> Pruned:
    """The encoder with the layers gone that contribute least to NDCG@10 on validation events."""

    def ndcg_at_10(encoder: SequenceEncoder) -> float:
        ranks = []
        for first in range(0, len(source.validation), 256):
            part = source.validation[first : first + 256]
            scores = log_probabilities(encoder, source.encoded, part)
            masked_scores(scores, source.log, part, source.manifest.repeat_policy)
            ranks.append(target_ranks(scores, source.log.item[part]))
        return ranking_metrics(np.concatenate(ranks))["ndcg"]["10"]

    return prune_layers(source.encoder, ndcg_at_10, layers=layers, max_loss=max_loss)


def fp32_graph(source: Source, pruned: Pruned | None) -> bytes:
    """ONNX bytes that the variants of the whole or the pruned encoder are made from."""
    manifest = source.manifest
    return to_onnx(
        source.encoder if pruned is None else pruned.encoder,
        manifest.feature_spec(),
        top_k=manifest.top_k,
        with_state=manifest.text is not None,
    )


def build_candidate(
    source: Source, variant: str, graph: bytes, pruned: Pruned | None, seed: int
) -> Candidate:
    """One variant of a graph in fp32, compared with torch. ExportError if it is another function.

    seed: of the calibration windows.
    """
    encoder = source.encoder if pruned is None else pruned.encoder
    model = to_variant(variant, graph, lambda: _calibration_windows(source, seed))
    differences = parity(
        encoder,
        source.manifest.feature_spec(),
        model,
        tolerance=PARITY_TOLERANCES.get(variant, float("inf")),
    )
    is_source = variant == VARIANTS[0] and pruned is None
    manifest = msgspec.structs.replace(
        source.manifest,
        version=source.manifest.version if is_source else "",
        layers=encoder.config.layers,
        files={},
        variant=variant,
        source_version=source.manifest.version,
    )
    return Candidate(variant, pruned, manifest, model, differences)


def to_variant(
    variant: str, model: bytes, windows: Callable[[], Iterator[Mapping[str, IntArray]]]
) -> bytes:
    """ONNX bytes in fp32 as another of VARIANTS, marked as such; windows: to calibrate with."""
    converted: dict[str, Callable[[bytes], bytes]] = {
        "fp16": to_float16,
        "int8-weights": int8.weights_only,
        "int8-dynamic": int8.dynamic,
        "int8-static": lambda source: int8.static(source, windows()),
    }
    if variant == VARIANTS[0]:
        return model
    proto = onnx.load_from_string(converted[variant](model))
    del proto.metadata_props[:]
    proto.metadata_props.add(key=VARIANT_KEY, value=variant)
    return bytes(proto.SerializeToString())


def _calibration_windows(source: Source, seed: int) -> Iterator[Mapping[str, IntArray]]:
    """Windows in front of training events, drawn at random."""
    random = np.random.default_rng(seed)
    count = min(CALIBRATION_WINDOWS, len(source.train))
    events = random.choice(source.train, count, replace=False)
    windows = [source.encoded.window_before(int(event)) for event in events]
    windows = [(start, end) for start, end in windows if end > start]
    for first in range(0, len(windows), CALIBRATION_BATCH):
        inputs = source.encoded.inputs(windows[first : first + CALIBRATION_BATCH])
        rows = len(inputs["items"])
        yield {**inputs, "candidates": np.ones((rows, 1), np.int64)}
