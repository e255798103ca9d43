"""Train an encoder on a click log and write the artefact that a worker serves.

    freshrec train clicks.csv --out models/v1 --max-minutes 10
    freshrec evaluate clicks.csv --model models/v1 --protocol leave-one-out

Steps: read and split; fit with early stop on validation NDCG@10; choose blend weights and repeat
policy on the same validation events; with `refit`, fit again on training and validation events
for as many steps; export, compare with torch, write, load and let the scorer reproduce itself.
The test events are never read here.
"""

import math
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import onnxruntime
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model.artifact import DEMO_ARTIFACT
from model.baselines import PriorConfig
from model.blending import choose_blend
from model.data import (
    DataError,
    PlaceCell,
    Sequences,
    Split,
    last_event_validation,
    leave_one_out,
    temporal,
)
from model.datasets import MOVIELENS_100K, read_data
from model.export import save_artifact
from model.features import FEATURE_INPUTS, FeatureSpec
from model.held_out import HeldOutItems, without_items
from model.item_table import read_items
from model.net import EncoderConfig, SequenceEncoder
from model.progress import TrainingProgress
from model.ranking import ranking_metrics, target_ranks
from model.text import Trained, fit_item_text, prepare_item_text
from model.windows import EncodedLog, Window, prediction_examples, training_batches, user_spans

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]

OBJECTIVES = ("next",)
SPLITS = ("leave-one-out", "temporal", "none")
FULL_SOFTMAX_ITEMS = 10_000  # above, the softmax is over shared sampled negatives
SAMPLED_NEGATIVES = 512
MAX_VALIDATION_EXAMPLES = 2048
WARM_UP_STEPS = 100
# Weights are averaged over about this many last steps; the average is what is validated and kept.
AVERAGING_STEPS = 200


class FitOptions(NamedTuple):
    """How long and how fast one fit runs."""

    max_seconds: float
    max_steps: int
    patience: int  # evaluations without a better NDCG@10
    learning_rate: float
    batch_size: int
    seed: int
    last_window_share: float  # of the windows drawn, the user's last one; the rest start anywhere


class Fit(NamedTuple):
    """A fitted encoder and how it got there."""

    encoder: SequenceEncoder
    steps: int  # of the weights kept
    seconds: float
    ndcg_at_10: float
    curve: list[tuple[int, float]]  # (step, validation NDCG@10)


def train(
    data: Path | str,
    out: Path,
    *,
    max_minutes: float = 10.0,
    objective: str = "next",
    seed: int = 0,
    dim: int = 64,
    layers: int = 2,
    heads: int = 2,
    max_length: int = 50,
    dropout: float = 0.2,
    features: Sequence[str] | None = None,
    place_buckets: int = 4096,
    split: str = "leave-one-out",
    test_fraction: float = 0.2,
    validation_fraction: float = 0.1,
    refit: bool = False,
    learning_rate: float = 1e-3,
    batch_size: int = 64,
    patience: int = 12,
    max_steps: int = 1_000_000,
    last_window_share: float = 0.5,
    top_k: int = 100,
    priors: PriorConfig | None = None,
    columns: Mapping[str, str] | None = None,
    time_unit: str | None = None,
    place_cell: PlaceCell | None = None,
    name: str = "bert",
    checkpoint: Path | None = None,
    items: Path | str | None = None,
    hold_out_items: float = 0.0,
    threads: int | None = None,
    progress: bool = False,
    command: str = "",
) -> dict[str, object]:
    """Train on a log (a file, or the name of a data set) and write an artefact to `out`.

    max_minutes bounds the fit, or each of the two with `refit`. features: subset of
    FEATURE_INPUTS, None for those that the data can feed. split: what is held out; `none` keeps
    no test events. priors: how the graph and popularity are computed, None to choose the graph's
    half-life on validation events; the artefact records it. checkpoint: directory for the torch
    weights, which the artefact has not. items: titles and categories (`read_items`), by which the
    artefact will place items that it has never seen; None for an artefact without text.
    hold_out_items: share of all items whose events are removed first, for the protocol cold-items.
    Returns a summary; DataError or ValueError, one sentence, on wrong use.
    """
    if objective not in OBJECTIVES:
        message = f"objective {objective!r} is none of {', '.join(OBJECTIVES)}"
        raise ValueError(message)
    if threads is not None:
        torch.set_num_threads(threads)
    log = read_data(data, columns=columns, time_unit=time_unit, place_cell=place_cell)
    rows = None if items is None else read_items(items)
    kept_out = HeldOutItems(hold_out_items) if hold_out_items else None
    if kept_out is not None:
        log = without_items(log, kept_out)
    pretrained = None if rows is None else prepare_item_text(rows, log.items)
    held_out = make_split(
        log, split, test_fraction=test_fraction, validation_fraction=validation_fraction
    )
    spec = FeatureSpec(
        usable_features(log, features),
        tuple(sorted(log.event_types)),
        place_buckets if log.place_cell.any() else 0,
        max_length,
    )
    options = FitOptions(
        max_minutes * 60,
        max_steps,
        patience,
        learning_rate,
        batch_size,
        seed,
        last_window_share,
    )

    def fit_on(train_events: NDArray[np.bool_], options: FitOptions, validation: IntArray) -> Fit:
        known = np.unique(log.item[train_events])
        config = EncoderConfig(
            items=len(known),
            dim=dim,
            layers=layers,
            heads=heads,
            max_length=max_length,
            dropout=dropout,
            features=spec.vocabulary_sizes(),
        )
        inputs = EncodedLog(log, known, spec)
        with TrainingProgress(options.max_seconds, visible=progress) as bar:
            return fit(config, inputs, train_events, validation, options, report=bar.update)

    started = time.monotonic()
    fitted = fit_on(held_out.train, options, held_out.validation)
    known = np.unique(log.item[held_out.train])
    online = split == "temporal"
    encoded = EncodedLog(log, known, spec)
    choice = choose_blend(
        log,
        held_out,
        lambda events: log_probabilities(fitted.encoder, encoded, events),
        priors=priors,
        online=online,
        seed=seed,
    )
    kept = fitted
    if refit:
        events = held_out.train.copy()
        events[held_out.validation] = True
        if online:  # users' first events in the validation period are not examples but train too
            events |= log.rank < log.rank[held_out.validation].max(initial=-1)
        # As many passes over the larger set as the kept weights took over the smaller one.
        steps = math.ceil(fitted.steps * events.sum() / held_out.train.sum())
        final = options._replace(max_steps=steps)
        kept = fit_on(events, final, np.zeros(0, np.int64))
        known = np.unique(log.item[events])
    summary: dict[str, object] = {
        "data": {
            "name": Path(data).name,
            "fingerprint": log.fingerprint,
            "events": log.events,
            "users": len(log.users),
            "items": len(log.items),
        },
        "split": split,
        "test_fraction": test_fraction if online else None,
        "validation_fraction": validation_fraction if online else None,
        "objective": objective,
        "seed": seed,
        "steps": kept.steps,
        "seconds": round(time.monotonic() - started, 1),
        "refit": refit,
        "parameters": sum(weight.numel() for weight in kept.encoder.parameters()),
        "priors": choice.priors._asdict(),
        "command": command,
    }
    text = None
    if rows is not None and pretrained is not None:
        text = fit_item_text(
            rows,
            Trained(fitted.encoder, encoded),
            held_out.validation,
            Trained(kept.encoder, EncodedLog(log, known, spec)),
            pretrained=pretrained,
            seed=seed,
            threads=threads or 1,
        )
        summary["text"] = text.report
    if kept_out is not None:
        summary["held_out_items"] = kept_out._asdict()
    validation = {"examples": len(held_out.validation), **choice.metrics}
    artifact = save_artifact(
        kept.encoder,
        out,
        name=name,
        spec=spec,
        items=[log.items[index] for index in known.tolist()],
        top_k=top_k,
        blend=choice.blend,
        repeat_policy=choice.repeat_policy,
        training=summary,
        metrics={"validation": validation},
        versions={
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "transformers": transformers.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        checkpoint=checkpoint,
        text=text,
    )
    return {
        "out": str(out),
        "name": artifact.manifest.name,
        "version": artifact.manifest.version,
        "items": artifact.manifest.items,
        "artifact_bytes": sum(file.stat().st_size for file in Path(out).iterdir()),
        "features": list(spec.features),
        "blend": msgspec.to_builtins(choice.blend),
        "repeat_policy": choice.repeat_policy,
        "validation": validation,
        "curve": fitted.curve,
        "training": summary,
    }


def train_demo(
    out: Path = DEMO_ARTIFACT, *, max_minutes: float = 10.0, progress: bool = False
) -> dict[str, object]:
    """Make the demo's artefact again: the oldest 80 % of MovieLens-100k, time gaps, one seed.

    The data set is downloaded if it is not in the cache. The newest 20 % of the events, which the
    demo replays, are held out; evaluate with the temporal protocol.
    """
    return train(
        MOVIELENS_100K,
        out,
        max_minutes=max_minutes,
        name="bert-movielens-100k",
        features=("time_gap",),
        split="temporal",
        test_fraction=0.2,
        validation_fraction=0.1,
        refit=True,
        max_length=50,
        dropout=0.4,
        learning_rate=2e-3,
        batch_size=32,
        last_window_share=0.3,
        patience=10,
        seed=0,
        threads=1,
        progress=progress,
        command="freshrec demo --train",
    )


def make_split(
    log: Sequences, split: str, *, test_fraction: float, validation_fraction: float
) -> Split:
    """The events held out under one of SPLITS; DataError if nothing is left to validate on."""
    if split not in SPLITS:
        message = f"split {split!r} is none of {', '.join(SPLITS)}"
        raise ValueError(message)
    if split == "temporal":
        found = temporal(log, test_fraction=test_fraction, validation_fraction=validation_fraction)
    else:
        found = leave_one_out(log) if split == "leave-one-out" else last_event_validation(log)
    if not len(found.validation):
        message = "no user has enough events to validate on: bring users with three or more"
        raise DataError(message)
    return found


def usable_features(log: Sequences, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The features asked for, or all that the log can feed. DataError for one that it cannot."""
    can = {
        "event_type": len(log.event_types) > 1,
        "time_gap": log.has_times,
        "hour_of_week": log.has_times,
        "place": bool(log.place_cell.any()),
    }
    if wanted is None:
        return tuple(name for name in FEATURE_INPUTS if can[name])
    for feature in wanted:
        if feature not in can:
            message = f"feature {feature!r} is none of {', '.join(can)}"
            raise DataError(message)
        if not can[feature] and feature != "event_type":
            message = f"the data has nothing to feed the feature {feature}: leave it out"
            raise DataError(message)
    return tuple(name for name in FEATURE_INPUTS if name in wanted)


def fit(
    config: EncoderConfig,
    encoded: EncodedLog,
    train_events: NDArray[np.bool_],
    validation: IntArray,
    options: FitOptions,
    *,
    report: Callable[[float, int, float, float], None] = lambda *_: None,
) -> Fit:
    """Causal next-item training; the best averaged weights by validation NDCG@10.

    train_events: [N] each user's first events, in the log's indexes. report gets (seconds, step,
    loss, best NDCG@10). Without validation events the weights of the last step are kept.
    """
    torch.manual_seed(options.seed)
    random = np.random.default_rng(options.seed)
    encoder = SequenceEncoder(config)
    average = SequenceEncoder(config)
    average.load_state_dict(encoder.state_dict())
    optimizer = torch.optim.Adam(encoder.parameters(), lr=options.learning_rate, betas=(0.9, 0.98))
    spans = user_spans(encoded, train_events)
    if not len(spans):
        message = "no user has two events to train on"
        raise DataError(message)
    sample = validation
    if len(sample) > MAX_VALIDATION_EXAMPLES:
        sample = np.sort(random.choice(sample, MAX_VALIDATION_EXAMPLES, replace=False))
    examples, targets = prediction_examples(encoded, sample)

    best, best_state, best_step, since_best = -1.0, average.state_dict(), 0, 0
    curve: list[tuple[int, float]] = []
    started = time.monotonic()
    next_evaluation, step = 0, 0
    for windows in training_batches(
        spans,
        config.max_length,
        batch_size=options.batch_size,
        last_window_share=options.last_window_share,
        random=random,
    ):
        elapsed = time.monotonic() - started
        if step >= options.max_steps or elapsed > options.max_seconds:
            break
        for group in optimizer.param_groups:
            group["lr"] = options.learning_rate * min(1.0, (step + 1) / WARM_UP_STEPS)
        encoder.train()
        loss = next_item_loss(encoder, _tensors(encoded.inputs(windows)))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        step += 1
        _move_average(average, encoder, step)
        report(elapsed, step, float(loss.detach()), best)
        if len(examples) and step >= next_evaluation:
            ranks = _validation_ranks(average, encoded, examples, targets)
            ndcg = ranking_metrics(ranks)["ndcg"]["10"]
            curve.append((step, round(ndcg, 5)))
            since_best += 1
            if ndcg > best:
                best, best_step, since_best = ndcg, step, 0
                best_state = {k: v.clone() for k, v in average.state_dict().items()}
            if since_best >= options.patience:
                break
            next_evaluation = step + _steps_between_evaluations(len(spans), options.batch_size)
    if len(examples):
        average.load_state_dict(best_state)
    else:
        best_step = step
    return Fit(average.eval(), best_step, time.monotonic() - started, best, curve)


def next_item_loss(encoder: SequenceEncoder, inputs: Mapping[str, Tensor]) -> Tensor:
    """Cross-entropy of every next item in the windows, mean over events.

    Full softmax up to FULL_SOFTMAX_ITEMS; above, over the target and SAMPLED_NEGATIVES uniform
    negatives that the batch shares.
    """
    items = inputs["items"]
    hidden = encoder({name: value[:, :-1] for name, value in inputs.items() if value.ndim == 2})
    targets = items[:, 1:]
    real = targets > 0
    hidden, wanted = hidden[real], targets[real] - 1  # (n, d), (n,)
    if encoder.config.items <= FULL_SOFTMAX_ITEMS:
        return functional.cross_entropy(encoder.logits(hidden), wanted)
    negatives = torch.randint(encoder.config.items, (SAMPLED_NEGATIVES,))
    weight, bias = encoder.item_embeddings, encoder.item_bias
    of_target = (hidden * weight[wanted]).sum(-1) + bias[wanted]
    of_negatives = functional.linear(hidden, weight[negatives], bias[negatives])
    of_negatives = of_negatives.masked_fill(negatives == wanted[:, None], -math.inf)
    logits = torch.cat([of_target[:, None], of_negatives], dim=1)
    return functional.cross_entropy(logits, torch.zeros(len(wanted), dtype=torch.long))


def log_probabilities(
    encoder: SequenceEncoder, encoded: EncodedLog, events: IntArray
) -> FloatArray:
    """(n, items of the log) log-probabilities of what each event could have been.

    Items that the encoder does not know are at -inf; so is the whole row of an event before which
    no known item happened.
    """
    scores = np.full((len(events), len(encoded.log.items)), -np.inf, np.float32)
    windows = [encoded.window_before(int(event)) for event in events]
    rows = [row for row, (start, end) in enumerate(windows) if end > start]
    encoder.eval()
    with torch.no_grad():
        for first in range(0, len(rows), 256):
            part = np.array(rows[first : first + 256], np.int64)
            inputs = _tensors(encoded.inputs([windows[row] for row in part]))
            logits = encoder.last_logits(inputs, inputs["lengths"])
            scores[np.ix_(part, encoded.known)] = functional.log_softmax(logits, -1).numpy()
    return scores


def _validation_ranks(
    encoder: SequenceEncoder,
    encoded: EncodedLog,
    windows: list[Window],
    targets: IntArray,
) -> IntArray:
    """Rank of each target, with the window's other items out of the way."""
    encoder.eval()
    ranks = []
    with torch.no_grad():
        for first in range(0, len(windows), 256):
            inputs = _tensors(encoded.inputs(windows[first : first + 256]))
            scores = encoder.last_logits(inputs, inputs["lengths"]).numpy()
            wanted = targets[first : first + 256]
            of_target = scores[np.arange(len(wanted)), wanted - 1]
            items = inputs["items"].numpy()
            rows, columns = np.nonzero(items)
            scores[rows, items[rows, columns] - 1] = -np.inf
            scores[np.arange(len(wanted)), wanted - 1] = of_target
            ranks.append(target_ranks(scores, wanted - 1))
    return np.concatenate(ranks)


def _tensors(arrays: Mapping[str, IntArray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _steps_between_evaluations(users: int, batch_size: int) -> int:
    """About two epochs, within 20 to 500 steps."""
    return min(500, max(20, 2 * math.ceil(users / batch_size)))


def _move_average(average: SequenceEncoder, encoder: SequenceEncoder, step: int) -> None:
    """Exponential average over AVERAGING_STEPS, over a tenth of all steps while those are few."""
    rate = max(10 / (step + 10), 1 / AVERAGING_STEPS)
    with torch.no_grad():
        for kept, current in zip(average.parameters(), encoder.parameters(), strict=True):
            kept.lerp_(current, rate)
