"""A log whose next items follow a rule, for fits that must find it."""

import numpy as np

from model.data import Event, Sequences, Split, leave_one_out, sequences
from model.features import FeatureSpec
from model.net import EncoderConfig
from model.windows import EncodedLog

ITEMS = 30


def successor(item: int) -> int:
    """What follows an item."""
    return (item + 11) % ITEMS  # one cycle through all items


def planted_events(users: int = 80, length: int = 14) -> list[Event]:
    """Everybody walks the planted transitions; one step in ten goes anywhere."""
    random = np.random.default_rng(3)
    events = []
    for user in range(users):
        item = int(random.integers(ITEMS))
        for step in range(length):
            time_ms = 1_700_000_000_000 + user * 1000 + step * 3_600_000
            events.append(Event(f"u{user}", f"i{item}", time_ms))
            item = int(random.integers(ITEMS)) if random.random() < 0.1 else successor(item)
    return events


def planted_fit(
    max_length: int = 10,
    features: tuple[str, ...] = (),
    *,
    masked: bool = False,
    causal: bool = True,
) -> tuple[Sequences, Split, EncodedLog, EncoderConfig]:
    """What `fit` takes, on the planted log."""
    log = sequences(planted_events())
    split = leave_one_out(log)
    spec = FeatureSpec(features, ("click",), 0, max_length)
    encoded = EncodedLog(log, np.unique(log.item[split.train]), spec)
    config = EncoderConfig(
        items=len(encoded.known),
        dim=16,
        layers=1,
        heads=2,
        max_length=max_length,
        dropout=0.1,
        features=spec.vocabulary_sizes(),
        masked=masked,
        causal=causal,
    )
    return log, split, encoded, config
