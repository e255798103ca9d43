"""Variants of an encoder trained under an equal budget and measured on the same test events."""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.ablation_variants import Variant, variants
from model.artifact import ArtifactError, Manifest, load_artifact
from model.baselines import PriorConfig, prior_chunks
from model.data import Sequences
from model.evaluate import add_model, encoder_ids_of
from model.examples import Examples, choose_examples
from model.measurement import Comparison, Measurement, figures
from model.scorer import EncoderScorer
from model.train import train

METHODS = ("encoder", "blend")
BASE = "as it is"


class Setting(NamedTuple):
    """What all variants of one run share."""

    base: Mapping[str, Any]  # arguments of `train`, sizes and budget among them
    protocol: str  # leave-one-out or temporal
    test_fraction: float
    max_examples: int | None
    repeat_policy: str | None

    def examples(self, log: Sequences) -> Examples:
        """The test events that every variant is measured on."""
        return choose_examples(
            log,
            self.protocol,
            test_fraction=self.test_fraction,
            max_examples=self.max_examples,
            repeat_policy=self.repeat_policy,
            seed=0,
        )


class Outcome(NamedTuple):
    """One variant with one seed."""

    measured: dict[str, Measurement]  # by METHODS
    steps: int
    seconds: float  # of training
    parameters: int
    validation_ndcg_at_10: float  # of the encoder


def run_variant(
    log: Sequences, setting: Setting, variant: Variant, seed: int, out: Path
) -> Outcome:
    """Train a variant, unless its artefact is at `out` already, and measure it."""
    options = {**setting.base, **variant.options, "seed": seed}
    label = (
        f"ablation {variant.group}: {variant.name} of {dict(setting.base)}, "
        f"{setting.protocol} {setting.test_fraction:g}, seed {seed}"
    )
    manifest = _known(out, label, log)
    if manifest is None:
        train(
            log,
            out,
            split=setting.protocol,
            test_fraction=setting.test_fraction,
            command=label,
            **options,
        )
    scorer = EncoderScorer.load(out, engine="cpu")
    training = scorer.manifest.training
    validation: Any = scorer.manifest.metrics["validation"]
    return Outcome(
        _measured(scorer, setting.examples(log)),
        int(str(training["steps"])),
        float(str(training["seconds"])),
        int(str(training["parameters"])),
        float(validation["encoder"]["ndcg"]["10"]),
    )


def _known(out: Path, label: str, log: Sequences) -> Manifest | None:
    """The manifest of an earlier run's artefact of the same variant on the same data."""
    try:
        manifest = load_artifact(out).manifest
    except ArtifactError:
        return None
    data = manifest.training.get("data")
    same_data = isinstance(data, dict) and data.get("fingerprint") == log.fingerprint
    return manifest if same_data and manifest.training.get("command") == label else None


def _measured(scorer: EncoderScorer, examples: Examples) -> dict[str, Measurement]:
    """Encoder and blend of an artefact on the examples."""
    found: dict[str, Measurement] = {}
    ids = encoder_ids_of(scorer, examples.log)
    for chunk in prior_chunks(
        examples.log,
        examples.events,
        examples.fold,
        PriorConfig.of_training(scorer.manifest.training),
        online=examples.online,
        chunk=examples.chunk(),
    ):
        add_model(found, scorer, ids, examples, chunk)
    return found


def run(
    log: Sequences,
    setting: Setting,
    groups: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    *,
    also: Sequence[str] = (),
    jobs: int = 1,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Every variant with every seed; the report, with the variants in their order.

    also: features that are added to the base's, one at a time.
    """
    chosen = variants(groups, setting.base, also)
    tasks = [
        (variant, seed, out / f"{number:02d}-{seed}")
        for number, variant in enumerate(chosen)
        for seed in seeds
    ]
    outcomes: dict[str, list[Outcome]] = {}
    for (variant, seed, _), outcome in zip(
        tasks, _outcomes(log, setting, tasks, jobs), strict=True
    ):
        outcomes.setdefault(_key(variant), []).append(outcome)
        ndcg = outcome.validation_ndcg_at_10
        say(f"{_key(variant)}, seed {seed}: {outcome.steps} steps, validation NDCG@10 {ndcg:.4f}")
    examples = setting.examples(log)
    return {
        "protocol": setting.protocol,
        "test_fraction": setting.test_fraction if setting.protocol == "temporal" else None,
        "repeat_policy": examples.repeat_policy,
        "examples": len(examples.events),
        "users": len(np.unique(log.user[examples.events])),
        "items": len(log.items),
        "seeds": list(seeds),
        "jobs": jobs,
        "base": dict(setting.base),
        "variants": _rows(chosen, outcomes, examples, len(seeds)),
    }


def _outcomes(
    log: Sequences, setting: Setting, tasks: Sequence[tuple[Variant, int, Path]], jobs: int
) -> Iterator[Outcome]:
    if jobs == 1:
        for variant, seed, out in tasks:
            yield run_variant(log, setting, variant, seed, out)
        return
    # A process of its own for each: torch's threads and random numbers are global.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context) as pool:
        yield from pool.map(
            run_variant,
            [log] * len(tasks),
            [setting] * len(tasks),
            *zip(*tasks, strict=True),
        )


def _key(variant: Variant) -> str:
    return BASE if variant.group == "base" else f"{variant.group}: {variant.name}"


def _rows(
    chosen: Sequence[Variant],
    outcomes: Mapping[str, Sequence[Outcome]],
    examples: Examples,
    seeds: int,
) -> list[dict[str, Any]]:
    """One row a variant; an example counts once for each seed."""
    targets = np.repeat(examples.targets(), seeds)
    users = np.repeat(examples.log.user[examples.events], seeds)
    keys = [_key(variant) for variant in chosen]
    compared = [Comparison(key, BASE) for key in keys[1:]]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    gains: dict[str, dict[str, Any]] = {}
    for method in METHODS:
        measured = {key: _merged([o.measured[method] for o in outcomes[key]]) for key in keys}
        of_variant, differences = figures(measured, targets, users, compared=compared)
        found[method] = {key: dict(of_variant[key]) for key in keys}
        gains[method] = {str(row["method"]): row for row in differences}
    return [
        {
            "group": variant.group,
            "name": variant.name,
            **{method: found[method][key] for method in METHODS},
            "over_base": {method: gains[method].get(key) for method in METHODS},
            "steps": [outcome.steps for outcome in outcomes[key]],
            "training_seconds": [outcome.seconds for outcome in outcomes[key]],
            "validation_ndcg_at_10": [o.validation_ndcg_at_10 for o in outcomes[key]],
            "parameters": outcomes[key][0].parameters,
        }
        for key, variant in zip(keys, chosen, strict=True)
    ]


def _merged(measured: Sequence[Measurement]) -> Measurement:
    first, *others = measured
    for other in others:
        first.extend(other)
    return first
