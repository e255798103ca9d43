"""How an artefact's lists stand noise: the same events predicted, from histories full of it.

    freshrec evaluate clicks.csv --model models/v1 --noise 0.05 --noise 0.2

The encoder is the artefact's and has not seen the noise; the windows that it is asked about, the
graph, own history and popularity have. Only the log's own events are predicted, the same ones at
every share, by full ranking under the artefact's repeat policy.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.baselines import PriorConfig, prior_chunks
from model.blend import Blend
from model.blending import SINGLE_TERMS, Terms
from model.data import Sequences
from model.datasets import read_data
from model.evaluate import encoder_log_probabilities
from model.examples import choose_examples
from model.noise import NoisyLog, with_bots, with_random_clicks
from model.ranking import ranking_metrics
from model.scorer import EncoderScorer

IntArray = NDArray[np.int64]

PROTOCOLS = ("leave-one-out", "temporal")
NOISE_KINDS = ("clicks", "bots")
CUTOFF = "10"
METRICS = ("hit_rate", "ndcg")


def robustness(
    data: Path | str | Sequences,
    model: Path,
    *,
    shares: Sequence[float],
    kind: str = "clicks",
    protocol: str = "temporal",
    test_fraction: float = 0.2,
    max_examples: int | None = None,
    seed: int = 0,
    threads: int = 1,
    engine: str = "cpu",
) -> dict[str, object]:
    """Hit rate and NDCG at 10 of each method without noise and at each share of it.

    kind: `clicks`, random ones in the users' own histories, or `bots`, users beside them. protocol
    and what belongs to it: as in `evaluate`. `kept_ndcg` is the blend's NDCG over that without
    noise. ValueError, one sentence, on wrong use.
    """
    if kind not in NOISE_KINDS:
        message = f"noise of kind {kind!r} is none of {', '.join(NOISE_KINDS)}"
        raise ValueError(message)
    if protocol not in PROTOCOLS:
        message = f"noise can be measured under {' and '.join(PROTOCOLS)}, not under {protocol!r}"
        raise ValueError(message)
    scorer = EncoderScorer.load(model, engine=engine, threads=threads)
    log = read_data(data)
    chosen = choose_examples(
        log,
        protocol,
        test_fraction=test_fraction,
        max_examples=max_examples,
        repeat_policy=scorer.manifest.repeat_policy,
        seed=seed,
    )
    examples = chosen.events
    rows: list[dict[str, object]] = []
    clean = 0.0
    for share in sorted({0.0, *shares}):
        noisy = _with_noise(log, kind, share, seed)
        found = measure(scorer, noisy.log, noisy.place[examples], online=chosen.online)
        clean = clean if share else found["blend"]["ndcg"]
        rows.append(
            {
                "share": share,
                "inserted": int(noisy.inserted.sum()),
                **{
                    f"{method}_{metric}": value
                    for method, values in found.items()
                    for metric, value in values.items()
                },
                "kept_ndcg": found["blend"]["ndcg"] / clean if clean else None,
            }
        )
    return {
        "protocol": protocol,
        "test_fraction": test_fraction if chosen.online else None,
        "examples": len(examples),
        "cutoff": int(CUTOFF),
        "model": {"name": scorer.name, "version": scorer.version},
        "repeat_policy": scorer.manifest.repeat_policy,
        "noise": kind,
        "seed": seed,
        "shares": rows,
    }


def measure(
    scorer: EncoderScorer, log: Sequences, examples: IntArray, *, online: bool
) -> dict[str, dict[str, float]]:
    """METRICS at CUTOFF of each single term and the blend, predicting these events of a log.

    online: graph and popularity learn each event after it was predicted; else all events but the
    examples beforehand.
    """
    manifest = scorer.manifest
    fold = np.ones(log.events, np.bool_)
    if not online:
        fold[examples] = False
    methods: dict[str, Blend] = {**SINGLE_TERMS, "blend": manifest.blend}
    ranks: dict[str, list[IntArray]] = {name: [] for name in methods}
    for chunk in prior_chunks(
        log, examples, fold, PriorConfig.of_training(manifest.training), online=online
    ):
        log_probs = encoder_log_probabilities(scorer, log, chunk.examples)
        terms = Terms.of(log, chunk, log_probs)
        encoder_only = terms._replace(encoder=log_probs)  # on its own it lists what it knows
        for name, blend in methods.items():
            chosen = encoder_only if name == "encoder" else terms
            ranks[name].append(chosen.ranks(blend, manifest.repeat_policy))
    found = {name: ranking_metrics(np.concatenate(parts)) for name, parts in ranks.items()}
    return {
        name: {metric: metrics[metric][CUTOFF] for metric in METRICS}
        for name, metrics in found.items()
    }


def _with_noise(log: Sequences, kind: str, share: float, seed: int) -> NoisyLog:
    random = np.random.default_rng(seed)
    if kind == "bots":
        return with_bots(log, share, random)
    return with_random_clicks(log, share, random)
