"""Low-rank adapters: nothing at first, gone at the end, and said so where peft is missing."""

import sys

import numpy as np
import pytest
import torch

from model.adapters import add_adapters, check_installed, merge_adapters
from model.data import DataError
from model.net import EncoderConfig, SequenceEncoder

CONFIG = EncoderConfig(items=20, dim=16, layers=2, heads=2, max_length=8)


def scores(encoder: SequenceEncoder) -> torch.Tensor:
    items = torch.from_numpy(np.random.default_rng(0).integers(1, 21, (5, 8)))
    with torch.no_grad():
        return encoder.eval().last_logits({"items": items}, torch.full((5,), 8))


def test_adapters_change_nothing_until_they_are_trained():
    encoder = SequenceEncoder(CONFIG)
    before = scores(encoder)
    added = add_adapters(encoder)
    assert torch.equal(scores(encoder), before)
    per_layer = 8 * (4 * (16 + 16) + 2 * (16 + 64))
    assert sum(weight.numel() for weight in added) == 2 * per_layer
    trained = {id(weight) for weight in encoder.bert.parameters() if weight.requires_grad}
    assert trained == {id(weight) for weight in added}


def test_merged_adapters_score_as_they_did_beside_the_weights():
    encoder = SequenceEncoder(CONFIG)
    before = scores(encoder)
    with torch.no_grad():
        for weight in add_adapters(encoder):
            weight.normal_(std=0.3)
    beside = scores(encoder)
    assert not torch.allclose(beside, before, atol=5e-2)
    merge_adapters(encoder)
    assert torch.allclose(scores(encoder), beside, atol=1e-5)
    assert set(encoder.state_dict()) == set(SequenceEncoder(CONFIG).state_dict())


def test_a_missing_peft_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(DataError, match=r"pip install 'freshrec\[train,adapt\]'"):
        check_installed()
