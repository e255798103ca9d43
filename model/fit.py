"""The loop that fits an encoder: batches, objective, average of weights, early stop, resumption."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model.augment import PADDING, UNCHANGED, Augmentation, augmented
from model.data import DataError
from model.fit_curve import Point, bounded
from model.fit_state import Progress, load_state, save_state
from model.net import EncoderConfig, SequenceEncoder
from model.objectives import masked_item_loss, next_item_loss
from model.ranking import ranking_metrics, target_ranks
from model.start import BY_CHANCE, Start
from model.windows import EncodedLog, Window, prediction_examples, training_batches, user_spans

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]

MAX_VALIDATION_EXAMPLES = 2048
WARM_UP_STEPS = 100
# The average of the weights reaches back over about this share of all steps so far (polynomial
# averaging, Shamir and Zhang, ICML 2013); the average is what is validated and kept.
AVERAGED_SHARE = 0.1
PRETRAINING_SHARE = 0.25  # of the time of `masked+next`, for its masked part


class FitOptions(NamedTuple):
    """How long and how fast one fit runs."""

    max_seconds: float
    max_steps: int
    patience: int  # evaluations without a better NDCG@10
    learning_rate: float
    batch_size: int
    seed: int
    last_window_share: float  # of the windows drawn, the user's last one; the rest start anywhere
    objective: str = "next"
    # Steps of `masked+next` on masked items; None: PRETRAINING_SHARE of the bounds above.
    pretraining_steps: int | None = None
    augmentation: Augmentation = UNCHANGED  # of the windows of `next`


class Fit(NamedTuple):
    """A fitted encoder and how it got there."""

    encoder: SequenceEncoder
    steps: int  # of the weights kept
    pretraining_steps: int  # of those, on masked items
    seconds: float
    ndcg_at_10: float
    curve: list[Point]  # one for each interval between evaluations
    trained_parameters: int


def fit(
    config: EncoderConfig,
    encoded: EncodedLog,
    train_events: NDArray[np.bool_],
    validation: IntArray,
    options: FitOptions,
    *,
    report: Callable[[float, int, float, float], None] = lambda *_: None,
    evaluated: Callable[[Point], None] = lambda _: None,
    state: Path | None = None,
    start: Start = BY_CHANCE,
) -> Fit:
    """Train on windows of the log; the best averaged weights by validation NDCG@10.

    train_events: [N] each user's first events, in the log's indexes. report gets (seconds, step,
    loss, best NDCG@10) after each step, evaluated gets every point of the curve, those from before
    an interruption first; what either raises ends the fit. Without validation events the weights
    of the last step are kept. state: a directory in which an interrupted fit of the same options
    is taken up where it was last written, every two epochs or so; the result is that of an
    uninterrupted one, bit for bit, where steps and not seconds bound it. start: what the fit
    begins with.
    """
    torch.manual_seed(options.seed)
    random = np.random.default_rng(options.seed)
    masks = torch.Generator().manual_seed(options.seed)
    encoder = SequenceEncoder(config)
    average = SequenceEncoder(config)
    trained = start.begin(encoder, encoded)
    start.begin(average, encoded)
    average.load_state_dict(encoder.state_dict())
    groups = [{"params": part.parameters, "rate": part.rate} for part in trained]
    optimizer = torch.optim.Adam(groups, lr=options.learning_rate, betas=(0.9, 0.98), fused=True)
    spans = user_spans(encoded, train_events)
    if not len(spans):
        message = "no user has two events to train on"
        raise DataError(message)
    sample = validation
    if len(sample) > MAX_VALIDATION_EXAMPLES:
        sample = np.sort(random.choice(sample, MAX_VALIDATION_EXAMPLES, replace=False))
    examples, targets = prediction_examples(encoded, sample)

    progress = Progress(fingerprint=_fingerprint(config, encoded, options) + start.fingerprint)
    best_state = {name: value.clone() for name, value in average.state_dict().items()}
    if state is not None:
        found = load_state(state, progress.fingerprint, encoder, average, best_state, optimizer)
        progress = progress if found is None else found
        if found is not None:
            _reseed(options.seed + progress.step, masks)
        for point in progress.curve:
            evaluated(point)
    losses: list[float] = []  # of the steps since the last point
    started = time.monotonic() - progress.seconds
    batches = training_batches(
        spans,
        config.max_length,
        batch_size=options.batch_size,
        last_window_share=options.last_window_share,
        random=random,
    )
    for windows in islice(batches, progress.step, None):
        elapsed = time.monotonic() - started
        step = progress.step
        if (
            step >= options.max_steps
            or elapsed > options.max_seconds
            or progress.since_best >= options.patience
        ):
            break
        for group in optimizer.param_groups:
            warm = min(1.0, (step + 1) / WARM_UP_STEPS)
            group["lr"] = options.learning_rate * group["rate"] * warm
        encoder.train()
        pretraining = _is_pretraining(options, step, elapsed)
        progress.pretraining_steps += pretraining
        arrays = encoded.inputs(windows)
        if pretraining:
            loss = masked_item_loss(encoder, _without_last_column(_tensors(arrays)), masks)
        else:
            loss = next_item_loss(encoder, _tensors(_changed(arrays, options, step)))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        progress.step = step = step + 1
        _move_average(average, encoder, step)
        losses.append(float(loss.detach()))
        report(elapsed, step, losses[-1], progress.best)
        if step < progress.next_evaluation:
            continue
        metrics: Mapping[str, Mapping[str, float]] | None = None
        if len(examples) and not pretraining:
            metrics = ranking_metrics(_validation_ranks(average, encoded, examples, targets))
        rate = optimizer.param_groups[0]["lr"]
        seconds = time.monotonic() - started
        evaluated(_note(progress, losses, metrics, seconds, rate, pretraining=pretraining))
        losses.clear()
        if progress.best_step == step:
            best_state = {k: v.clone() for k, v in average.state_dict().items()}
        progress.next_evaluation = step + _steps_between_evaluations(len(spans), options.batch_size)
        if state is not None:
            progress.seconds = time.monotonic() - started
            save_state(state, progress, encoder, average, best_state, optimizer)
            _reseed(options.seed + step, masks)
    if len(examples) and progress.best_step:
        average.load_state_dict(best_state)
    else:
        progress.best_step = progress.step
    start.end(average)
    return Fit(
        average.eval(),
        progress.best_step,
        progress.pretraining_steps,
        time.monotonic() - started,
        progress.best,
        progress.curve,
        sum(weight.numel() for part in trained for weight in part.parameters),
    )


def _is_pretraining(options: FitOptions, step: int, elapsed_seconds: float) -> bool:
    if options.objective != "masked+next":
        return False
    if options.pretraining_steps is not None:
        return step < options.pretraining_steps
    done = max(elapsed_seconds / options.max_seconds, step / options.max_steps)
    return done < PRETRAINING_SHARE


def _changed(arrays: dict[str, IntArray], options: FitOptions, step: int) -> dict[str, IntArray]:
    """Windows after augmentation, whose draws depend on the step alone and so can be resumed."""
    if not options.augmentation.active:
        return arrays
    draws = np.random.default_rng((options.seed, step))
    return augmented(arrays, arrays["lengths"], draws, options.augmentation, PADDING)


def _note(
    progress: Progress,
    losses: Sequence[float],
    metrics: Mapping[str, Mapping[str, float]] | None,
    seconds: float,
    learning_rate: float,
    *,
    pretraining: bool,
) -> Point:
    """Take an interval down, and its evaluation if there was one; returns its point."""
    point = Point(
        step=progress.step,
        steps=len(losses),
        seconds=round(seconds, 3),
        learning_rate=learning_rate,
        loss=round(sum(losses) / len(losses), 5),
        pretraining=pretraining,
        ndcg_at_10=None if metrics is None else round(metrics["ndcg"]["10"], 5),
        hit_rate_at_10=None if metrics is None else round(metrics["hit_rate"]["10"], 5),
    )
    progress.curve = bounded([*progress.curve, point])
    if metrics is not None:
        progress.since_best += 1
        ndcg = metrics["ndcg"]["10"]
        if ndcg > progress.best:
            progress.best, progress.best_step, progress.since_best = ndcg, progress.step, 0
    return point


def _reseed(seed: int, masks: torch.Generator) -> None:
    """Dropout and masks draw on from a number that a resumed fit knows too."""
    torch.manual_seed(seed)
    masks.manual_seed(seed)


def _fingerprint(config: EncoderConfig, encoded: EncodedLog, options: FitOptions) -> str:
    """What a saved state must agree in to be taken up; how long a fit runs may change."""
    lasting = options._replace(max_seconds=0.0, max_steps=0, patience=0)
    return f"{config} {lasting} {encoded.log.fingerprint} {len(encoded.known)}"


def _without_last_column(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Windows hold one event more than the encoder sees."""
    return {name: value[:, :-1] for name, value in inputs.items() if value.ndim == 2}


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
    """Average over the last AVERAGED_SHARE of the steps."""
    rate = 1 / (AVERAGED_SHARE * step + 1)
    with torch.no_grad():
        for kept, current in zip(average.parameters(), encoder.parameters(), strict=True):
            kept.lerp_(current, rate)
