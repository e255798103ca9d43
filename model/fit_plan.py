"""What is fitted on a log: inputs and sizes of the encoder, and how long and fast it learns."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from model.augment import UNCHANGED, Augmentation
from model.data import Sequences
from model.features import FeatureSpec
from model.fit import Fit, FitOptions, fit
from model.fit_curve import Point
from model.hardware import CPU, Hardware
from model.net import EncoderConfig
from model.objectives import OBJECTIVES
from model.start import BY_CHANCE, Sizes, Start
from model.windows import EncodedLog

IntArray = NDArray[np.int64]


class FitPlan(NamedTuple):
    """Everything that decides what `fit` makes of a log, but the events to learn from."""

    spec: FeatureSpec
    sizes: Sizes
    dropout: float
    options: FitOptions
    start: Start = BY_CHANCE

    def fit(
        self,
        log: Sequences,
        train_events: NDArray[np.bool_],
        validation: IntArray,
        *,
        hardware: Hardware = CPU,
        report: Callable[[float, int, float, float], None] = lambda *_: None,
        evaluated: Callable[[Point], None] = lambda _: None,
        state: Path | None = None,
    ) -> Fit:
        """Fit an encoder that knows the items of the training events; the rest as `model.fit`."""
        known = np.unique(log.item[train_events])
        config = EncoderConfig(
            items=len(known),
            **self.sizes._asdict(),
            dropout=self.dropout,
            features=self.spec.vocabulary_sizes(),
            masked=self.options.objective != "next",
            causal=self.options.objective != "masked",
        )
        return fit(
            config,
            EncodedLog(log, known, self.spec),
            train_events,
            validation,
            self.options,
            hardware=hardware,
            report=report,
            evaluated=evaluated,
            state=state,
            start=self.start,
        )


class PlanOptions(TypedDict, total=False):
    """What decides a fit, of the options of a training; `plan_fit` says what is usual."""

    max_minutes: float
    objective: str  # one of OBJECTIVES
    seed: int
    dim: int | None  # this and the next three: None for those of the start, or the usual ones
    layers: int | None
    heads: int | None
    max_length: int | None  # events
    dropout: float
    features: Sequence[str] | None  # names of FEATURE_INPUTS, None for those that the log can feed
    place_buckets: int
    learning_rate: float
    batch_size: int
    patience: int  # evaluations without a better NDCG@10
    max_steps: int
    last_window_share: float
    augmentation: Augmentation  # of the windows that next items are learned from


def plan_fit(
    log: Sequences,
    *,
    start: Start = BY_CHANCE,
    max_minutes: float = 10.0,
    objective: str = "next",
    seed: int = 0,
    dim: int | None = None,
    layers: int | None = None,
    heads: int | None = None,
    max_length: int | None = None,
    dropout: float = 0.2,
    features: Sequence[str] | None = None,
    place_buckets: int = 4096,
    learning_rate: float = 1e-3,
    batch_size: int = 64,
    patience: int = 12,
    max_steps: int = 1_000_000,
    last_window_share: float = 0.5,
    augmentation: Augmentation = UNCHANGED,
) -> FitPlan:
    """The plan of a fit with these options (`PlanOptions`), from `start`.

    ValueError or DataError, one sentence, for what cannot be.
    """
    if objective not in OBJECTIVES:
        message = f"objective {objective!r} is none of {', '.join(OBJECTIVES)}"
        raise ValueError(message)
    if objective == "masked" and augmentation.active:
        message = "augmentation changes what next items are learned from, and not masked ones"
        raise ValueError(message)
    sizes = start.sizes(dim=dim, layers=layers, heads=heads, max_length=max_length)
    spec = start.feature_spec(log, features, sizes.max_length, place_buckets)
    options = FitOptions(
        max_minutes * 60,
        max_steps,
        patience,
        learning_rate,
        batch_size,
        seed,
        last_window_share,
        objective,
        augmentation=augmentation,
    )
    return FitPlan(spec, sizes, dropout, options, start)
