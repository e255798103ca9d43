"""What an encoder is trained to do: tell the next item, or the items that were masked.

Both share every weight. `next`: a causal mask, and every position tells the item after it.
`masked` (Devlin et al., "BERT", NAACL 2019; Sun et al., "BERT4Rec", CIKM 2019) sees both sides of a
masked item; it is pre-training for `next`, or served itself with a masked event at the end.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.augment import TARGETS
from model.net import SequenceEncoder

OBJECTIVES = ("next", "masked", "masked+next")
FULL_SOFTMAX_ITEMS = 10_000  # above, the softmax is over shared sampled negatives
SAMPLED_NEGATIVES = 512
MASKED_SHARE = 0.2  # of the events of a window
LAST_MASKED_SHARE = 0.1  # of the windows: only the last event, which is what serving asks for
# Rows of the catalogue's scores that are alive at once: a few megabytes stay in the caches.
_CHUNK_CELLS = 2_000_000


class Losses(nn.Module):
    """Both objectives as one module, whose forward pass ends in the loss."""

    def __init__(self, encoder: SequenceEncoder, masks: torch.Generator) -> None:
        """masks: on the CPU, what to mask is drawn from it."""
        super().__init__()
        self.encoder = encoder
        self._masks = masks

    def forward(self, inputs: Mapping[str, Tensor], *, masked: bool) -> Tensor:
        """Loss of masked items, or of the next ones."""
        if masked:
            return masked_item_loss(self.encoder, inputs, self._masks)
        return next_item_loss(self.encoder, inputs)


def next_item_loss(encoder: SequenceEncoder, inputs: Mapping[str, Tensor]) -> Tensor:
    """Cross-entropy of every next item in the windows, mean over events.

    inputs: those of the encoder, each (B, L): the last event of a window is only a target. With
    `targets` (B, L) among them those are asked for, and not the items, some of which are masked.
    """
    hidden = encoder({name: value[:, :-1] for name, value in inputs.items() if value.ndim == 2})
    targets = inputs.get(TARGETS, inputs["items"])[:, 1:]
    real = targets > 0
    return item_loss(encoder, hidden[real], targets[real] - 1)


def masked_item_loss(
    encoder: SequenceEncoder, inputs: Mapping[str, Tensor], random: torch.Generator | None = None
) -> Tensor:
    """Cross-entropy of masked items from the events on both sides, mean over masked events.

    MASKED_SHARE of the events of each window are masked, at least one of them; in
    LAST_MASKED_SHARE of the windows it is the last event alone.
    """
    items = inputs["items"]
    masked = draw_mask(items, random)
    hidden = encoder(
        {name: value for name, value in inputs.items() if value.ndim == 2}, masked=masked
    )
    return item_loss(encoder, hidden[masked], items[masked] - 1)


def draw_mask(items: Tensor, random: torch.Generator | None = None) -> Tensor:
    """(B, L) which events of right-padded windows to mask; every window has at least one."""
    size, length = items.shape
    real = items > 0
    last = real.sum(1) - 1  # (B,)
    # Drawn on the CPU, so that a seed means the same on every device.
    chance = torch.rand((size, length), generator=random).to(items.device)
    masked = (chance < MASKED_SHARE) & real
    only_last = (torch.rand(size, generator=random) < LAST_MASKED_SHARE).to(items.device)
    masked[only_last] = False
    none = ~masked.any(1)
    masked[none, last[none]] = True
    return masked


def item_loss(encoder: SequenceEncoder, hidden: Tensor, wanted: Tensor) -> Tensor:
    """Mean cross-entropy of items `wanted` (n,), from 0, given hidden states (n, dim).

    Full softmax up to FULL_SOFTMAX_ITEMS; above, over the target and SAMPLED_NEGATIVES uniform
    negatives that the batch shares.
    """
    weight, bias = encoder.item_embeddings, encoder.item_bias
    if encoder.config.items <= FULL_SOFTMAX_ITEMS:
        if hidden.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
            return functional.cross_entropy(encoder.logits(hidden), wanted)
        loss: Tensor = _FullSoftmaxLoss.apply(hidden, weight, bias, wanted)
        return loss
    negatives = torch.randint(encoder.config.items, (SAMPLED_NEGATIVES,), device=hidden.device)
    of_target = (hidden * weight[wanted]).sum(-1) + bias[wanted]
    of_negatives = functional.linear(hidden, weight[negatives], bias[negatives])
    of_negatives = of_negatives.masked_fill(negatives == wanted[:, None], -math.inf)
    logits = torch.cat([of_target[:, None], of_negatives], dim=1)
    return functional.cross_entropy(logits, torch.zeros_like(wanted))


class _FullSoftmaxLoss(torch.autograd.Function):
    """Linear layer and cross-entropy in one, with the gradient formed on the way forward.

    The scores of the catalogue are by far the largest thing in a step. Chunk by chunk they are
    made, used and overwritten (Hsu et al., "Liger kernel", 2024), so that they never leave the
    caches and are never kept for a backward pass.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, wanted: Tensor) -> Tensor:
        """Hidden (n, d), weight (items, d), bias (items,), wanted (n,) from 0."""
        count = max(len(hidden), 1)
        hidden_grad = torch.empty_like(hidden)
        weight_grad = torch.zeros_like(weight)
        bias_grad = torch.zeros_like(bias)
        total = hidden.new_zeros(())
        rows = max(1, _CHUNK_CELLS // len(weight))
        for first in range(0, len(hidden), rows):
            part = hidden[first : first + rows]
            targets = wanted[first : first + rows, None]
            scores = torch.addmm(bias, part, weight.t())  # (rows, items)
            of_target = scores.gather(1, targets)
            log_sum = torch.logsumexp(scores, 1, keepdim=True)
            total += (log_sum - of_target).sum()
            scores.sub_(log_sum).exp_()
            scores.scatter_add_(1, targets, torch.full_like(of_target, -1.0))
            torch.mm(scores, weight, out=hidden_grad[first : first + rows])
            weight_grad.addmm_(scores.t(), part)
            bias_grad += scores.sum(0)
        ctx.save_for_backward(hidden_grad / count, weight_grad / count, bias_grad / count)
        return total / count

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        (of_loss,) = gradients
        hidden_grad, weight_grad, bias_grad = ctx.saved_tensors
        return hidden_grad * of_loss, weight_grad * of_loss, bias_grad * of_loss, None
