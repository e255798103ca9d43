"""What is fitted on a log: inputs and sizes of the encoder, and how long and fast it learns."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.augment import UNCHANGED, Augmentation
from model.data import DataError, Sequences
from model.features import FEATURE_INPUTS, FeatureSpec
from model.fit import Fit, FitOptions, fit
from model.fit_curve import Point
from model.net import EncoderConfig
from model.objectives import OBJECTIVES
from model.windows import EncodedLog

IntArray = NDArray[np.int64]


class FitPlan(NamedTuple):
    """Everything that decides what `fit` makes of a log, but the events to learn from."""

    spec: FeatureSpec
    dim: int
    layers: int
    heads: int
    dropout: float
    options: FitOptions

    def fit(
        self,
        log: Sequences,
        train_events: NDArray[np.bool_],
        validation: IntArray,
        *,
        report: Callable[[float, int, float, float], None] = lambda *_: None,
        evaluated: Callable[[Point], None] = lambda _: None,
        state: Path | None = None,
    ) -> Fit:
        """Fit an encoder that knows the items of the training events; the rest as `model.fit`."""
        known = np.unique(log.item[train_events])
        config = EncoderConfig(
            items=len(known),
            dim=self.dim,
            layers=self.layers,
            heads=self.heads,
            max_length=self.spec.max_length,
            dropout=self.dropout,
            features=self.spec.vocabulary_sizes(),
            masked=self.options.objective == "masked+next",
        )
        return fit(
            config,
            EncodedLog(log, known, self.spec),
            train_events,
            validation,
            self.options,
            report=report,
            evaluated=evaluated,
            state=state,
        )


def plan_fit(
    log: Sequences,
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
    learning_rate: float = 1e-3,
    batch_size: int = 64,
    patience: int = 12,
    max_steps: int = 1_000_000,
    last_window_share: float = 0.5,
    augmentation: Augmentation = UNCHANGED,
) -> FitPlan:
    """The plan of a training with these options of `model.train.train`.

    ValueError or DataError, one sentence, for what cannot be.
    """
    if objective not in OBJECTIVES:
        message = f"objective {objective!r} is none of {', '.join(OBJECTIVES)}"
        raise ValueError(message)
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
        objective,
        augmentation=augmentation,
    )
    return FitPlan(spec, dim, layers, heads, dropout, options)


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
