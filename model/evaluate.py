"""How good an artefact is on held-out events: full ranking, exactly the model that is served.

The encoder's scores come from `EncoderScorer`, so the figures are of the exported graph and need
no torch. Every method ranks all items of the log, under the artefact's repeat policy, with ties
counted against it. An item that only occurs later in the log is ranked too.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.artifact import Blend
from model.baselines import PriorConfig, prior_chunks
from model.blending import SINGLE_TERMS, Terms
from model.data import PlaceCell, Sequences, leave_one_out, temporal
from model.datasets import read_data
from model.ranking import ranking_metrics
from model.scorer import EncoderScorer, History

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]

PROTOCOLS = ("leave-one-out", "temporal", "cold-items")


def evaluate(
    data: Path | str,
    model: Path,
    *,
    protocol: str = "leave-one-out",
    items: Path | str | None = None,
    test_fraction: float = 0.2,
    max_examples: int | None = None,
    seed: int = 0,
    columns: Mapping[str, str] | None = None,
    time_unit: str | None = None,
    place_cell: PlaceCell | None = None,
    threads: int = 1,
    engine: str = "cpu",
) -> dict[str, object]:
    """Hit rate, NDCG and MRR at 5, 10 and 20 of encoder, graph, blend and the baselines.

    leave-one-out: each user's last event from all earlier ones; the graph knows all but the last
    events. temporal: every event of the newest `test_fraction` from the same user's earlier
    events, users that start there from an empty window; graph and popularity learn each event
    after it was predicted, the encoder does not. cold-items: see `model.cold_evaluation`; items
    are the titles and categories, which only this protocol reads. max_examples: evaluate a
    sample of so many.

    `held_out` says whether the artefact was trained with these events held out: None where it was
    trained on other data. ValueError, one sentence, on wrong use.
    """
    if protocol not in PROTOCOLS:
        message = f"protocol {protocol!r} is none of {', '.join(PROTOCOLS)}"
        raise ValueError(message)
    if protocol == "cold-items":
        from model.cold_evaluation import evaluate_cold_items

        if items is None:
            message = "the protocol cold-items needs --items, as in training"
            raise ValueError(message)
        return evaluate_cold_items(
            data,
            model,
            items,
            test_fraction=test_fraction,
            max_examples=max_examples,
            seed=seed,
            columns=columns,
            time_unit=time_unit,
            place_cell=place_cell,
            threads=threads,
            engine=engine,
        )
    scorer = EncoderScorer.load(model, engine=engine, threads=threads)
    log = read_data(data, columns=columns, time_unit=time_unit, place_cell=place_cell)
    online = protocol == "temporal"
    fold = np.ones(log.events, np.bool_)
    if online:
        examples = temporal(log, test_fraction=test_fraction, validation_fraction=0.0).test
    else:
        examples = leave_one_out(log).test
        fold[examples] = False
    if not len(examples):
        message = "there is nothing to predict: no user has enough events"
        raise ValueError(message)
    if max_examples is not None and len(examples) > max_examples:
        random = np.random.default_rng(seed)
        examples = np.sort(random.choice(examples, max_examples, replace=False))
    manifest = scorer.manifest
    methods = {**SINGLE_TERMS, "blend": manifest.blend}
    ranks = _ranks(scorer, log, examples, fold, methods, online=online)
    metrics = {name: ranking_metrics(of_method) for name, of_method in ranks.items()}
    return {
        "protocol": protocol,
        "test_fraction": test_fraction if online else None,
        "users": len(np.unique(log.user[examples])),
        "items": len(log.items),
        "examples": len(examples),
        "known_targets": int(len(examples) - _unknown_targets(scorer, log, examples)),
        "held_out": _held_out(manifest.training, log, protocol, test_fraction),
        "model": {"name": scorer.name, "version": scorer.version},
        "repeat_policy": manifest.repeat_policy,
        "encoder": metrics["encoder"],
        "graph": metrics["graph"],
        "blend": metrics["blend"],
        "baselines": {name: metrics[name] for name in ("popularity", "own_history")},
    }


def encoder_log_probabilities(
    scorer: EncoderScorer, log: Sequences, events: IntArray
) -> FloatArray:
    """(n, items of the log) log-probabilities by the artefact of what each event could have been.

    Items that the encoder does not know are at -inf.
    """
    encoder_ids = np.array([scorer.item_index(item) for item in log.items], np.int64)
    scores = np.empty((len(events), len(log.items)), np.float32)
    for first in range(0, len(events), scorer.max_batch):
        part = events[first : first + scorer.max_batch]
        histories = [history_before(log, int(event)) for event in part]
        candidates = np.broadcast_to(encoder_ids, (len(part), len(encoder_ids)))
        scores[first : first + len(part)] = scorer.score(histories, candidates).candidate_log_probs
    return scores


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


def _ranks(
    scorer: EncoderScorer,
    log: Sequences,
    examples: IntArray,
    fold: NDArray[np.bool_],
    methods: Mapping[str, Blend],
    *,
    online: bool,
) -> dict[str, IntArray]:
    found: dict[str, list[IntArray]] = {name: [] for name in methods}
    priors = _prior_config(scorer.manifest.training)
    for chunk in prior_chunks(log, examples, fold, priors, online=online):
        log_probs = encoder_log_probabilities(scorer, log, chunk.examples)
        terms = Terms.of(log, chunk, log_probs)
        encoder_only = terms._replace(encoder=log_probs)
        for name, blend in methods.items():
            chosen = encoder_only if name == "encoder" else terms
            found[name].append(chosen.ranks(blend, scorer.manifest.repeat_policy))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _prior_config(training: Mapping[str, object]) -> PriorConfig:
    """The priors that the blend weights were fitted with."""
    stated = training.get("priors")
    known = stated if isinstance(stated, dict) else {}
    return PriorConfig(**{k: v for k, v in known.items() if k in PriorConfig._fields})


def _unknown_targets(scorer: EncoderScorer, log: Sequences, examples: IntArray) -> int:
    return sum(not scorer.item_index(log.items[i]) for i in log.item[examples].tolist())


def _held_out(
    training: Mapping[str, object], log: Sequences, protocol: str, test_fraction: float
) -> bool | None:
    data = training.get("data")
    if not isinstance(data, dict) or data.get("fingerprint") != log.fingerprint:
        return None
    if training.get("split") != protocol:
        return False
    trained_fraction = training.get("test_fraction")
    return protocol != "temporal" or (
        isinstance(trained_fraction, (int, float)) and trained_fraction >= test_fraction
    )
