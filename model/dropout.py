"""Dropout whose random numbers are cheap on a CPU.

Torch draws one number of a serial generator for each element of a mask, an eighth of the time of a
step of a small encoder. Here one drawn 64-bit number decides eight elements, a byte each.
"""

import torch
from torch import Tensor, nn

_LEVELS = 256  # of a byte: shares are kept to 1/256


class ByteDropout(nn.Dropout):
    """`nn.Dropout` with its share rounded to 1/256; what is kept is scaled to the same mean."""

    def __init__(self, share: float) -> None:
        super().__init__(share)
        self.dropped_levels = min(round(share * _LEVELS), _LEVELS - 1)

    def forward(self, values: Tensor) -> Tensor:
        """`values` with a random share at zero while training, else as they are."""
        if not self.training or not self.dropped_levels:
            return values
        if values.device.type != "cpu":
            return super().forward(values)
        drawn = torch.empty((values.numel() + 7) // 8, dtype=torch.int64)
        # Over the whole range of 64 bits: without bounds, random_ leaves the sign bit at 0.
        drawn.random_(-(2**63), None)
        bytes_ = drawn.view(torch.uint8)[: values.numel()].view(values.shape)
        kept = (bytes_ >= self.dropped_levels).to(values.dtype)
        return values * kept.mul_(_LEVELS / (_LEVELS - self.dropped_levels))


def with_fast_dropout(module: nn.Module) -> None:
    """Put a `ByteDropout` of the same share in place of every `nn.Dropout` inside `module`."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Dropout):
                setattr(parent, name, ByteDropout(child.p))
