"""A checkpoint of `train` as a smaller artefact, kept only if it still recommends the same.

    freshrec export checkpoint --out models/small --variant int8-static --data clicks.csv
    freshrec export checkpoint --data clicks.csv --compare

Steps: prune layers, if asked; export; convert the graph to the variant; compare it with the whole
encoder in float32 on the validation events of the data; refuse it where it loses too much; write,
load and let the scorer reproduce itself. The figures stand in the manifest, under `compression`.
"""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from model import export as plain
from model.artifact import VARIANTS, write_artifact
from model.data import Sequences
from model.datasets import read_data
from model.export import ExportError, curves_of, record_smoke
from model.fidelity import batch_dependence, fidelities, lists_per_second
from model.scorer import EncoderScorer
from model.text import ItemText
from model.variants import (
    Candidate,
    Source,
    build_candidate,
    fp32_graph,
    load_source,
    pruned_source,
)

MAX_NDCG_LOSS = 0.01  # relative; a variant that loses more is refused
# A user's list must not depend on who else is in the batch; in float32 it moves by 1e-6.
MAX_BATCH_DEPENDENCE = 1e-4
SMOKE_TOLERANCE = 1e-3
# What the comparison shows of an encoder with a layer less.
COMPARED_PRUNED = ("fp32", "int8-weights", "int8-static")

Report = dict[str, object]


def export(
    checkpoint_dir: Path,
    out: Path | None = None,
    *,
    variant: str = VARIANTS[0],
    layers: int | None = None,
    prune: bool = False,
    data: Path | str | Sequences | None = None,
    compare: bool = False,
    force: bool = False,
    top_k: int | None = None,
    seed: int = 0,
    clock: Callable[[], float] = time.thread_time,
) -> Report:
    """Artefact of one variant from a checkpoint of `train`, or a comparison of all of them.

    layers: how many to keep; prune: drop as many as cost nothing that would be refused. data: the
    log that the encoder was trained on; only a whole encoder in fp32 needs none. compare: write
    nothing, measure every variant. force: write a variant that would be refused.
    Returns the figures. ExportError for a refused variant, ValueError on wrong use.
    """
    _check_use(out, variant, layers, data, prune=prune, compare=compare)
    if data is None:
        assert out is not None
        return plain.export(checkpoint_dir, out, top_k=top_k)
    log = read_data(data)
    source = load_source(Path(checkpoint_dir), log, top_k, seed)
    graph = fp32_graph(source, None)
    whole = build_candidate(source, VARIANTS[0], graph, None, seed)
    pruned = None
    if prune or layers is not None:
        pruned = pruned_source(source, layers, MAX_NDCG_LOSS)
    if not compare:
        assert out is not None
        chosen = whole
        if variant != VARIANTS[0] or pruned is not None:
            graph = graph if pruned is None else fp32_graph(source, pruned)
            chosen = build_candidate(source, variant, graph, pruned, seed)
        [report] = _measure(source, whole, [chosen], clock)
        reasons = refusals(report)
        if reasons and not force:
            message = f"{'; '.join(reasons)}: choose another variant, or add --force"
            raise ExportError(message)
        return _write(source, chosen, report, Path(checkpoint_dir), out, refused=reasons)
    others = [build_candidate(source, name, graph, None, seed) for name in VARIANTS[1:]]
    if pruned is None and source.encoder.config.layers > 1:
        pruned = pruned_source(source, source.encoder.config.layers - 1, MAX_NDCG_LOSS)
    if pruned is not None and pruned.removals:
        graph = fp32_graph(source, pruned)
        others += [build_candidate(source, name, graph, pruned, seed) for name in COMPARED_PRUNED]
    reports = _measure(source, whole, [whole, *others], clock)
    for report in reports:
        reasons = refusals(report)
        report["refused"] = "; ".join(reasons) or None
    return {"checkpoint": str(checkpoint_dir), "variants": reports}


def _check_use(
    out: Path | None,
    variant: str,
    layers: int | None,
    data: Path | str | Sequences | None,
    *,
    prune: bool,
    compare: bool,
) -> None:
    message = None
    if variant not in VARIANTS:
        message = f"variant {variant!r} is none of {', '.join(VARIANTS)}"
    elif prune and layers is not None:
        message = "choose --layers or --prune-layers, not both"
    elif compare and data is None:
        message = "--compare needs --data, the log that the variants are measured on"
    elif not compare and out is None:
        message = "--out is missing: the directory of the artefact"
    elif data is None and (variant != VARIANTS[0] or prune or layers is not None):
        message = "a compressed artefact is measured before it is written: give the log by --data"
    if message is not None:
        raise ValueError(message)


def _measure(
    source: Source,
    whole: Candidate,
    candidates: list[Candidate],
    clock: Callable[[], float],
) -> list[Report]:
    """Figures of each candidate, beside those of the whole encoder in fp32."""
    compared = [whole, *(each for each in candidates if each is not whole)]
    scorers = [EncoderScorer.of_model(each.manifest, source.items, each.model) for each in compared]
    found = fidelities(scorers, source.log, source.validation)
    rates = lists_per_second(scorers, clock=clock)
    reports: list[Report] = []
    for place, each in enumerate(compared):
        if each is whole and whole not in candidates:
            continue
        reports.append(
            {
                "variant": each.variant,
                "layers": each.manifest.layers,
                "kept_layers": None if each.pruned is None else list(each.pruned.kept),
                "model_bytes": len(each.model),
                "model_bytes_fp32": len(whole.model),
                "lists_per_second": round(rates[place]),
                "lists_per_second_fp32": round(rates[0]),
                "overlap_at_10": found[place].overlap_at_10,
                "ndcg_at_10": found[place].ndcg_at_10,
                "ndcg_at_10_fp32": found[0].ndcg_at_10,
                "examples": len(source.validation),
                "batch_dependence": batch_dependence(scorers[place], source.log, source.validation),
                "largest_difference": max(each.parity.values()),
            }
        )
    return reports


def refusals(report: Report) -> list[str]:
    """Why a variant is not to be served, one clause each."""
    kept, whole = report["ndcg_at_10"], report["ndcg_at_10_fp32"]
    dependence = report["batch_dependence"]
    assert isinstance(kept, float)
    assert isinstance(whole, float)
    assert isinstance(dependence, float)
    name = f"{report['variant']} with {report['layers']} layers"
    reasons = []
    if kept < whole * (1 - MAX_NDCG_LOSS):
        reasons.append(
            f"{name} loses {1 - kept / whole:.1%} of NDCG@10 ({whole:.4f} to {kept:.4f} on "
            f"{report['examples']} validation events), more than {MAX_NDCG_LOSS:.0%}"
        )
    if dependence > MAX_BATCH_DEPENDENCE:
        reasons.append(
            f"{name} scores a user differently by {dependence:.2g} with others in the batch, "
            f"more than {MAX_BATCH_DEPENDENCE:g}"
        )
    return reasons


def _write(
    source: Source,
    chosen: Candidate,
    report: Report,
    checkpoint: Path,
    out: Path,
    *,
    refused: list[str],
) -> Report:
    kept = {name: value for name, value in source.manifest.metrics.items() if name != "parity"}
    compression = {**report, "forced": bool(refused)}
    if chosen.pruned is not None:
        compression["removals"] = [
            {"layer": step.removed, "ndcg_at_10_without": step.without}
            for step in chosen.pruned.removals
        ]
    manifest = msgspec.structs.replace(
        chosen.manifest,
        metrics={**kept, "parity": chosen.parity, "compression": compression},
    )
    smoke = record_smoke(manifest, source.items, chosen.model)
    if chosen.variant != VARIANTS[0]:
        # Another processor or engine rounds otherwise, by no more than what the variant loses.
        tolerance = max(SMOKE_TOLERANCE, *chosen.parity.values())
        smoke = msgspec.structs.replace(smoke, tolerance=tolerance)
    text = None
    if manifest.text is not None:
        text = ItemText.load(checkpoint, manifest.text)
        titles, vectors = text.smoke(manifest.dim)
        smoke = msgspec.structs.replace(smoke, titles=titles, text_vectors=vectors)
    artifact = write_artifact(
        out,
        manifest,
        model=chosen.model,
        items=source.items,
        smoke=smoke,
        text=None if text is None else text.files,
        curves=curves_of(checkpoint, source.manifest),
    )
    EncoderScorer.load(out, engine="cpu")
    return {
        "out": str(out),
        "name": artifact.manifest.name,
        "version": artifact.manifest.version,
        "source_version": artifact.manifest.source_version,
        "items": artifact.manifest.items,
        "artifact_bytes": sum(file.stat().st_size for file in Path(out).iterdir()),
        "parity": chosen.parity,
        "compression": compression,
    }
