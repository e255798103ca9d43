"""The loop that fits an encoder: batches, objective, early stop, resumption."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.augment import UNCHANGED, Augmentation
from model.data import DataError
from model.fit_curve import Point, bounded
from model.fit_state import Progress
from model.hardware import CPU, Hardware
from model.learner import Learner
from model.net import EncoderConfig, SequenceEncoder
from model.start import BY_CHANCE, Start
from model.validation import Validation
from model.windows import EncodedLog, training_batches, user_spans

IntArray = NDArray[np.int64]

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
    hardware: Hardware = CPU,
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
    uninterrupted one, bit for bit, where steps and not seconds bound it (on one CPU). start: what
    the fit begins with. With several processes each calls this with the same arguments and gets the
    same encoder, on the CPU.
    """
    spans = user_spans(encoded, train_events)
    if not len(spans):
        message = "no user has two events to train on"
        raise DataError(message)
    random = np.random.default_rng(options.seed)
    learner = Learner(
        config,
        encoded,
        start,
        hardware,
        learning_rate=options.learning_rate,
        seed=options.seed,
        may_skip_weights=options.objective == "masked+next",
        augmentation=options.augmentation,
    )
    held_out = Validation(encoded, validation, random)
    progress = Progress(fingerprint=_fingerprint(config, encoded, options) + start.fingerprint)
    if state is not None:
        progress = learner.restore(state, progress.fingerprint) or progress
        for point in progress.curve:
            evaluated(point)
    losses: list[float] = []  # of the steps since the last point
    batches = training_batches(
        spans,
        config.max_length,
        batch_size=options.batch_size,
        last_window_share=options.last_window_share,
        random=random,
    )
    first = progress.step * hardware.processes + hardware.rank
    started = time.monotonic() - progress.seconds
    for windows in islice(batches, first, None, hardware.processes):
        elapsed = time.monotonic() - started
        if _is_done(options, progress, hardware, elapsed):
            break
        pretraining = _is_pretraining(options, progress.step, elapsed, hardware)
        masked = pretraining or options.objective == "masked"
        losses.append(learner.learn(windows, progress.step, masked=masked))
        progress.step += 1
        progress.pretraining_steps += pretraining
        report(elapsed, progress.step, losses[-1], progress.best)
        if progress.step < progress.next_evaluation:
            continue
        metrics: Mapping[str, Mapping[str, float]] | None = None
        if len(held_out) and not pretraining:
            metrics = held_out.metrics(learner.average, hardware)
        seconds = time.monotonic() - started
        rate = learner.learning_rate
        evaluated(_note(progress, losses, metrics, seconds, rate, pretraining=pretraining))
        losses.clear()
        if progress.best_step == progress.step:
            learner.keep()
        progress.next_evaluation = progress.step + _steps_between_evaluations(
            len(spans), options.batch_size * hardware.processes
        )
        if state is not None:
            progress.seconds = time.monotonic() - started
            learner.save(state, progress)
    has_best = len(held_out) > 0 and progress.best_step > 0
    if not has_best:
        progress.best_step = progress.step
    return Fit(
        learner.kept(best=has_best),
        progress.best_step,
        progress.pretraining_steps,
        time.monotonic() - started,
        progress.best,
        progress.curve,
        learner.trained_parameters,
    )


def _is_done(
    options: FitOptions, progress: Progress, hardware: Hardware, elapsed_seconds: float
) -> bool:
    """Every process must ask: what one thinks of its clock, all follow."""
    return (
        progress.step >= options.max_steps
        or progress.since_best >= options.patience
        or hardware.any_of_us(elapsed_seconds > options.max_seconds)
    )


def _is_pretraining(
    options: FitOptions, step: int, elapsed_seconds: float, hardware: Hardware
) -> bool:
    """Every process must ask, as in `_is_done`."""
    if options.objective != "masked+next":
        return False
    if options.pretraining_steps is not None:
        return step < options.pretraining_steps
    done = max(elapsed_seconds / options.max_seconds, step / options.max_steps)
    return hardware.any_of_us(done < PRETRAINING_SHARE)


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


def _fingerprint(config: EncoderConfig, encoded: EncodedLog, options: FitOptions) -> str:
    """What a saved state must agree in to be taken up; how long a fit runs may change."""
    lasting = options._replace(max_seconds=0.0, max_steps=0, patience=0)
    return f"{config} {lasting} {encoded.log.fingerprint} {len(encoded.known)}"


def _steps_between_evaluations(users: int, batch_size: int) -> int:
    """About two epochs, within 20 to 500 steps."""
    return min(500, max(20, 2 * math.ceil(users / batch_size)))
