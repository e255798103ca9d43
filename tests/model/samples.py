"""A small encoder with every feature on, and histories for it."""

import numpy as np
import torch

from model.features import FEATURE_INPUTS, FeatureSpec
from model.net import EncoderConfig, SequenceEncoder
from model.scorer import History

ITEMS = [f"item-{number}" for number in range(60)]
TYPES = ("click", "purchase")
SPEC = FeatureSpec(tuple(FEATURE_INPUTS), TYPES, 16, 20)
HISTORY_START_MS = 1_750_000_000_000


def random_encoder(
    spec: FeatureSpec, items: int, *, layers: int = 2, causal: bool = True
) -> SequenceEncoder:
    torch.manual_seed(5)
    config = EncoderConfig(
        items=items,
        dim=16,
        layers=layers,
        heads=2,
        max_length=spec.max_length,
        features=spec.vocabulary_sizes(),
        masked=not causal,
        causal=causal,
    )
    encoder = SequenceEncoder(config)
    with torch.no_grad():  # initial weights are too small to tell one input from another
        for weight in encoder.parameters():
            if weight.ndim == 2:
                weight.mul_(15)
            else:
                weight.add_(torch.randn_like(weight) * 0.1)
    return encoder.eval()


def make_history(seed: int, events: int, items: list[str] = ITEMS) -> History:
    random = np.random.default_rng(seed)
    return History(
        [items[i] for i in random.integers(0, len(items), events)],
        [TYPES[i] for i in random.integers(0, 2, events)],
        (HISTORY_START_MS + np.cumsum(random.integers(0, 10**7, events))).tolist(),
        random.integers(0, 5, events).tolist(),
    )
