import pytest
import torch
from torch import nn

from model.dropout import ByteDropout, with_fast_dropout


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.9])
def test_the_share_is_dropped_and_the_mean_is_kept(share: float):
    torch.manual_seed(0)
    values = ByteDropout(share)(torch.ones(1000, 999))
    assert (values == 0).float().mean().item() == pytest.approx(share, abs=4e-3)
    assert values.mean().item() == pytest.approx(1, abs=0.01)
    kept = values[values > 0]
    assert kept.min() == kept.max()


def test_every_element_is_dropped_as_often_as_the_others_and_alone():
    torch.manual_seed(0)
    dropped = (ByteDropout(0.25)(torch.ones(20_000, 16)) == 0).double()
    assert dropped.mean(0).tolist() == pytest.approx([0.25] * 16, abs=0.015)
    together = dropped.T @ dropped / len(dropped)  # (16, 16)
    apart = together[~torch.eye(16, dtype=torch.bool)]
    assert apart.tolist() == pytest.approx([0.0625] * len(apart), abs=0.01)


def test_a_seed_tells_which():
    layer = ByteDropout(0.3)
    torch.manual_seed(5)
    first = layer(torch.ones(33, 7))
    torch.manual_seed(5)
    assert torch.equal(layer(torch.ones(33, 7)), first)
    assert not torch.equal(layer(torch.ones(33, 7)), first)


def test_nothing_is_dropped_outside_training_or_at_share_zero():
    values = torch.randn(5, 5)
    assert ByteDropout(0.5).eval()(values) is values
    assert ByteDropout(0.0)(values) is values


def test_the_gradient_passes_where_the_value_did():
    values = torch.ones(64, 64, requires_grad=True)
    kept = ByteDropout(0.4)(values)
    kept.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, kept.detach())


def test_every_dropout_of_a_module_is_replaced():
    module = nn.Sequential(nn.Dropout(0.1), nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.3)))
    with_fast_dropout(module)
    shares = [child.p for child in module.modules() if isinstance(child, ByteDropout)]
    assert shares == [0.1, 0.3]
