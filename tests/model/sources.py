"""Encoders of one domain for fits in another."""

import numpy as np

from model.artifact import FORMAT, Manifest
from model.blend import Blend
from model.data import Sequences, sequences
from model.features import FeatureSpec
from model.fit import FitOptions, fit
from model.net import EncoderConfig, SequenceEncoder
from model.windows import EncodedLog
from tests.model.planted import planted_events

OPTIONS = FitOptions(
    max_seconds=60,
    max_steps=120,
    patience=100,
    learning_rate=5e-3,
    batch_size=32,
    seed=1,
    last_window_share=0.5,
)
NOTHING = np.zeros(0, np.int64)


def renamed_log(prefix: str, types: tuple[str, ...] = ("click",)) -> Sequences:
    """The planted log with other item ids, its events of the given types in turn."""
    return sequences(
        event._replace(item_id=prefix + event.item_id, event_type=types[number % len(types)])
        for number, event in enumerate(planted_events())
    )


def encoded_log(log: Sequences, features: tuple[str, ...] = ()) -> EncodedLog:
    spec = FeatureSpec(features, tuple(sorted(log.event_types)), 0, 10)
    return EncodedLog(log, np.arange(len(log.items)), spec)


def config_for(encoded: EncodedLog, *, masked: bool = False) -> EncoderConfig:
    return EncoderConfig(
        items=len(encoded.known),
        dim=16,
        layers=1,
        heads=2,
        max_length=10,
        dropout=0.1,
        features=encoded.spec.vocabulary_sizes(),
        masked=masked,
    )


def manifest_of(encoded: EncodedLog) -> Manifest:
    spec = encoded.spec
    return Manifest(
        format=FORMAT, name="source", version="v1", created="2026-01-31T12:00:00Z",
        features=list(spec.features), event_types=list(spec.event_types),
        place_buckets=spec.place_buckets, max_length=spec.max_length, top_k=5, dim=16, layers=1,
        heads=2, items=len(encoded.known), opset=20, blend=Blend(), repeat_policy="allow", files={},
        training={}, metrics={}, versions={},
    )  # fmt: skip


def fitted_source(
    log: Sequences, features: tuple[str, ...] = ()
) -> tuple[SequenceEncoder, Manifest, list[str]]:
    """What `load_checkpoint` would give of an encoder that knows the log by heart."""
    encoded = encoded_log(log, features)
    everything = np.ones(log.events, np.bool_)
    fitted = fit(config_for(encoded), encoded, everything, NOTHING, OPTIONS)
    return fitted.encoder, manifest_of(encoded), log.items
