"""How good an artefact is on held-out events: full ranking, exactly the model that is served.

The encoder's scores come from `EncoderScorer`, so the figures are of the exported graph and need
no torch. Every method ranks all items of the log, under one repeat policy, with ties counted
against it. An item that only occurs later in the log is ranked too. Without an artefact the
baselines alone are measured, on the same examples.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.artifact import Manifest
from model.baselines import PriorChunk, PriorConfig, prior_chunks
from model.blending import Terms
from model.data import Sequences
from model.datasets import read_data
from model.examples import Examples, choose_examples
from model.measured_baselines import Baselines
from model.measurement import Comparison, Measurement, figures
from model.scorer import EncoderScorer, History
from model.significance import LEVEL, RESAMPLES

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]

PROTOCOLS = ("leave-one-out", "temporal", "cold-items")
COMPARED = (
    Comparison("blend", "encoder"),
    Comparison("blend", "graph"),
    Comparison("encoder", "graph"),
)


def evaluate(
    data: Path | str | Sequences,
    model: Path | None = None,
    *,
    protocol: str = "leave-one-out",
    items: Path | str | None = None,
    test_fraction: float = 0.2,
    max_examples: int | None = None,
    repeat_policy: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    threads: int = 1,
    engine: str = "cpu",
) -> dict[str, object]:
    """Hit rate, NDCG, MRR and more at 5, 10 and 20 of encoder, graph, blend and the baselines.

    leave-one-out: each user's last event from all earlier ones; the graph knows all but the last
    events. temporal: every event of the newest `test_fraction` from the same user's earlier
    events, users that start there from an empty window; graph and popularity learn each event
    after it was predicted; the encoder and the baselines that are fitted do not. cold-items: see
    `model.cold_evaluation`; items are the titles and categories, which only this protocol reads.
    max_examples: evaluate a sample of so many. repeat_policy: None for the artefact's own; without
    an artefact `exclude`, unless REPEATS_ALLOWED_FROM of the events before the test are repeats.
    seed: of the sample and of the bootstrap, which draws the users `resamples` times.

    `model`, `encoder` and `blend` are None without an artefact, and `graph` is then the live
    graph with its defaults. `held_out` says whether the artefact was trained with these events
    held out: None where it was trained on other data. `not_measured` says which baselines are not
    there and why. ValueError, one sentence, on wrong use.
    """
    if protocol not in PROTOCOLS:
        message = f"protocol {protocol!r} is none of {', '.join(PROTOCOLS)}"
        raise ValueError(message)
    if protocol == "cold-items":
        from model.cold_evaluation import evaluate_cold_items

        if items is None or model is None:
            message = "the protocol cold-items needs --model, and --items as in training"
            raise ValueError(message)
        return evaluate_cold_items(
            data,
            model,
            items,
            test_fraction=test_fraction,
            max_examples=max_examples,
            seed=seed,
            threads=threads,
            engine=engine,
        )
    scorer = None if model is None else EncoderScorer.load(model, engine=engine, threads=threads)
    manifest = None if scorer is None else scorer.manifest
    log = read_data(data)
    if repeat_policy is None and manifest is not None:
        # `discount` has no scores of its own: what the user has had stays on the list.
        repeat_policy = "exclude" if manifest.repeat_policy == "exclude" else "allow"
    examples = choose_examples(
        log,
        protocol,
        test_fraction=test_fraction,
        max_examples=max_examples,
        repeat_policy=repeat_policy,
        seed=seed,
    )
    priors = PriorConfig() if manifest is None else PriorConfig.of_training(manifest.training)
    baselines = Baselines(examples)
    measured: dict[str, Measurement] = {}
    encoder_ids = np.zeros(0, np.int64) if scorer is None else encoder_ids_of(scorer, log)
    for chunk in prior_chunks(
        log,
        examples.events,
        examples.fold,
        priors,
        online=examples.online,
        chunk=examples.chunk(),
    ):
        baselines.add_priors(chunk, priors)
        if scorer is not None:
            add_model(measured, scorer, encoder_ids, examples, chunk)
    baselines.measure(priors, threads)
    found, differences = figures(
        baselines.measured | measured,
        examples.targets(),
        log.user[examples.events],
        compared=COMPARED if scorer is not None else (),
        seed=seed,
        resamples=resamples,
    )
    settings = baselines.settings
    return {
        "protocol": protocol,
        "test_fraction": test_fraction if examples.online else None,
        "users": len(np.unique(log.user[examples.events])),
        "items": len(log.items),
        "examples": len(examples.events),
        "known_targets": None if scorer is None else _known_targets(scorer, examples),
        "held_out": None if manifest is None else _held_out(manifest, log, protocol, test_fraction),
        "model": None if scorer is None else {"name": scorer.name, "version": scorer.version},
        "repeat_policy": examples.repeat_policy,
        "confidence": {"level": LEVEL, "resamples": resamples, "over": "users", "seed": seed},
        "encoder": found.get("encoder"),
        "graph": {**found["graph"], "settings": settings["graph"]},
        "blend": found.get("blend"),
        "differences": differences,
        "baselines": {
            name: {**found[name], "settings": settings[name]}
            for name in sorted(settings)
            if name != "graph"
        },
        "not_measured": baselines.missing,
    }


def add_model(
    measured: dict[str, Measurement],
    scorer: EncoderScorer,
    encoder_ids: IntArray,
    examples: Examples,
    chunk: PriorChunk,
) -> None:
    """The encoder alone and the blend that is served, on a chunk of priors."""
    log = examples.log
    log_probs = encoder_log_probabilities(scorer, log, chunk.examples, encoder_ids)
    terms = Terms.of(log, chunk, log_probs)
    blend = terms.scores(scorer.manifest.blend, examples.repeat_policy)
    for name, scores in (("encoder", examples.hide(log_probs, chunk.seen)), ("blend", blend)):
        measured.setdefault(name, Measurement(len(log.items)))
        measured[name].add(chunk.examples, scores, terms.targets)


def encoder_log_probabilities(
    scorer: EncoderScorer, log: Sequences, events: IntArray, encoder_ids: IntArray | None = None
) -> FloatArray:
    """(n, items of the log) log-probabilities by the artefact of what each event could have been.

    Items that the encoder does not know are at -inf. encoder_ids: of the log's items, for a caller
    that has them already.
    """
    if encoder_ids is None:
        encoder_ids = encoder_ids_of(scorer, log)
    scores = np.empty((len(events), len(log.items)), np.float32)
    for first in range(0, len(events), scorer.max_batch):
        part = events[first : first + scorer.max_batch]
        histories = [history_before(log, int(event)) for event in part]
        candidates = np.broadcast_to(encoder_ids, (len(part), len(encoder_ids)))
        scores[first : first + len(part)] = scorer.score(histories, candidates).candidate_log_probs
    return scores


def encoder_ids_of(scorer: EncoderScorer, log: Sequences) -> IntArray:
    """(items,) the artefact's id of each of the log's items, 0 for one that it does not know."""
    return np.array([scorer.item_index(item) for item in log.items], np.int64)


def history_before(log: Sequences, event: int) -> History:
    """The user's events before one event."""
    start = int(log.starts[log.user[event]])
    chosen = slice(start, event)
    return History(
        [log.items[i] for i in log.item[chosen].tolist()],
        [log.event_types[i] for i in log.event_type[chosen].tolist()],
        log.time_ms[chosen].tolist(),
        log.place_cell[chosen].tolist(),
    )


def _known_targets(scorer: EncoderScorer, examples: Examples) -> int:
    return sum(scorer.item_index(examples.log.items[i]) > 0 for i in examples.targets().tolist())


def _held_out(
    manifest: Manifest, log: Sequences, protocol: str, test_fraction: float
) -> bool | None:
    training = manifest.training
    data = training.get("data")
    if not isinstance(data, dict) or data.get("fingerprint") != log.fingerprint:
        return None
    if training.get("split") != protocol:
        return False
    trained_fraction = training.get("test_fraction")
    return protocol != "temporal" or (
        isinstance(trained_fraction, (int, float)) and trained_fraction >= test_fraction
    )
