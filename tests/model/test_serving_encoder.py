"""The encoder as it is served tells what the encoder that was trained tells."""

import pytest
import torch

from model.export import example_inputs
from model.features import FEATURE_INPUTS, FeatureSpec
from model.serving_encoder import ServingEncoder
from tests.model.samples import random_encoder


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("layers", "features"), [(1, ()), (3, ("time_gap",))])
def test_the_serving_form_agrees_with_bert_at_other_depths(
    layers: int, features: tuple[str, ...], causal: bool
):
    spec = FeatureSpec(features, (), 0, 7)
    encoder = random_encoder(spec, 30, layers=layers, causal=causal)
    arrays = example_inputs(spec, 30, 9, 7, 4, seed=2)
    inputs = {name: torch.from_numpy(array) for name, array in arrays.items()}
    with torch.no_grad():
        expected = torch.log_softmax(encoder.last_logits(inputs, inputs["lengths"]), -1)
        gaps = [inputs[FEATURE_INPUTS[name]] for name in features]
        top_ids, top_log_probs, _ = ServingEncoder(encoder, 1000)(
            inputs["items"], gaps, inputs["lengths"], inputs["candidates"]
        )
    torch.testing.assert_close(expected.gather(1, top_ids - 1), top_log_probs)
    assert top_ids.shape == (9, 30)
