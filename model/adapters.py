"""Low-rank adapters on the encoder's linear layers (Hu et al., "LoRA", ICLR 2022), by peft.

While they are there, the layers' own weights stay as they are; merged, they are gone, and the
encoder is of the same shape as one that was trained as a whole.
"""

from typing import TYPE_CHECKING, Any

from model.data import DataError

if TYPE_CHECKING:
    from torch import nn

    from model.net import SequenceEncoder

RANK = 8
# What an adapter adds counts this many times over: twice the rank, as is usual.
ALPHA = 16
# Every linear layer of BERT: attention (query, key, value, output) and feed-forward.
_LINEAR = r".*\.(query|key|value|dense)"


def check_installed() -> None:
    """DataError, one sentence, where peft is not installed."""
    _peft()


def add_adapters(encoder: "SequenceEncoder") -> "list[nn.Parameter]":
    """Put an adapter, zero at first, on each linear layer of `bert` and freeze all else there.

    Returns the adapters' weights.
    """
    peft = _peft()
    config = peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=_LINEAR)
    encoder.bert = peft.get_peft_model(encoder.bert, config)
    return [weight for weight in encoder.bert.parameters() if weight.requires_grad]


def merge_adapters(encoder: "SequenceEncoder") -> None:
    """Add what the adapters learned to the weights that they stood beside, and take them away."""
    encoder.bert = encoder.bert.merge_and_unload()


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        message = "adapters need peft: pip install 'freshrec[train,adapt]'"
        raise DataError(message) from error
    return peft
