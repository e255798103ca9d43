"""The encoder: Hugging Face's BERT over a window of events.

One token per event: item embedding, plus an embedding of each feature that is on, plus position.
The output embeddings are the item embeddings (tied), with a bias per item. A causal encoder tells
what follows from its last event: padding is on the right, so no event ever attends to it. One that
sees both sides is asked with a masked event after the last one, as it was trained ("BERT4Rec").
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from model.artifact import ArtifactError, Manifest
from model.dropout import with_fast_dropout
from model.features import FEATURE_INPUTS

WEIGHTS_FILE = "encoder.safetensors"
META_FILE = "encoder.json"


class EncoderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes of one encoder; stored beside its checkpoint."""

    items: int  # catalogue size; ids are 1..items, 0 is padding
    dim: int = 64
    layers: int = 2
    heads: int = 2
    max_length: int = 50  # events
    dropout: float = 0.2
    features: dict[str, int] = {}  # feature -> number of ids, padding included
    masked: bool = False  # has an embedding to stand for masked items
    causal: bool = True  # or sees both sides where it serves, and then `masked` too

    @property
    def positions(self) -> int:
        """Events of the longest window, and the masked one behind it."""
        return self.max_length + (not self.causal)


class SequenceEncoder(nn.Module):
    """Windows of item ids to hidden states, and hidden states to scores of the catalogue."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.bert: Any = BertModel(  # type: ignore[no-untyped-call]
            BertConfig(
                vocab_size=config.items + 1,
                hidden_size=config.dim,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                intermediate_size=4 * config.dim,
                hidden_dropout_prob=config.dropout,
                # Without it attention runs fused: a third less time a step (docs/model.md).
                attention_probs_dropout_prob=0.0,
                max_position_embeddings=config.positions,
                type_vocab_size=1,
                pad_token_id=0,
                is_decoder=config.causal,  # the causal mask
                use_cache=False,
            ),
            add_pooling_layer=False,
        )
        self.bert.set_attn_implementation("sdpa")
        with_fast_dropout(self.bert)
        self.feature_embeddings = nn.ModuleDict(
            {
                name: nn.Embedding(size, config.dim, padding_idx=0)
                for name, size in config.features.items()
            }
        )
        with torch.no_grad():
            for weight in self.feature_embeddings.parameters():
                weight.normal_(std=0.02)
                weight[0] = 0  # padding
        self.item_bias = nn.Parameter(torch.zeros(config.items))
        if config.masked:
            self.mask_embedding = nn.Parameter(torch.randn(config.dim) * 0.02)

    @property
    def item_embeddings(self) -> Tensor:
        """(items, dim): row i belongs to encoder id i + 1."""
        weight: Tensor = self.bert.embeddings.word_embeddings.weight[1:]
        return weight

    def forward(self, inputs: Mapping[str, Tensor], masked: Tensor | None = None) -> Tensor:
        """Hidden states (B, L, dim) of right-padded ids, each input (B, L).

        Without `masked` attention is causal. With it, (B, L) bool, the items there are hidden and
        every position sees both sides; an encoder that serves so sees no feature of them either,
        because nothing is known yet of an event to come.
        """
        items = inputs["items"]
        embedded = self.bert.embeddings.word_embeddings(items)  # (B, L, d)
        both_sides = None
        if masked is not None:
            embedded = torch.where(masked[..., None], self.mask_embedding, embedded)
            length = items.shape[1]
            both_sides = (items > 0)[:, None, None, :].expand(-1, 1, length, -1)  # (B, 1, L, L)
        for name, embedding in self.feature_embeddings.items():
            ids = inputs[FEATURE_INPUTS[name]]
            if masked is not None and not self.config.causal:
                ids = ids.masked_fill(masked, 0)
            embedded = embedded + embedding(ids)
        output = self.bert(inputs_embeds=embedded, attention_mask=both_sides)
        hidden: Tensor = output.last_hidden_state
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores (N, items) of hidden states (N, dim); column i belongs to encoder id i + 1."""
        return nn.functional.linear(hidden, self.item_embeddings, self.item_bias)

    def last_hidden(self, inputs: Mapping[str, Tensor], lengths: Tensor) -> Tensor:
        """Hidden states (B, dim) that tell what follows each window; lengths: (B,), at least 1."""
        rows = torch.arange(len(lengths), device=lengths.device)
        if self.config.causal:
            return self.forward(inputs)[rows, lengths - 1]
        longer = {
            name: nn.functional.pad(value, (0, 1))
            for name, value in inputs.items()
            if value.ndim == 2
        }
        masked = torch.zeros_like(longer["items"], dtype=torch.bool)
        masked[rows, lengths] = True
        longer["items"] = longer["items"].masked_fill(masked, 1)  # any item: it is not seen
        return self.forward(longer, masked)[rows, lengths]

    def last_logits(self, inputs: Mapping[str, Tensor], lengths: Tensor) -> Tensor:
        """Scores (B, items) of what follows each window; lengths: (B,) events, at least 1."""
        return self.logits(self.last_hidden(inputs, lengths))


class _CheckpointMeta(msgspec.Struct, frozen=True):
    """What `export` needs beside the weights."""

    encoder: EncoderConfig
    manifest: Manifest
    items: list[str]


def save_checkpoint(
    encoder: SequenceEncoder, directory: Path, manifest: Manifest, items: list[str]
) -> None:
    """Weights (safetensors) and what describes them, from which `export` makes the artefact."""
    directory.mkdir(parents=True, exist_ok=True)
    state = {name: value.contiguous() for name, value in encoder.state_dict().items()}
    save_file(state, directory / WEIGHTS_FILE)
    meta = _CheckpointMeta(encoder.config, manifest, items)
    (directory / META_FILE).write_bytes(msgspec.json.encode(meta))


def load_checkpoint(directory: Path) -> tuple[SequenceEncoder, Manifest, list[str]]:
    """What `save_checkpoint` wrote. ArtifactError if it is not there or not whole."""
    try:
        meta = msgspec.json.decode((directory / META_FILE).read_bytes(), type=_CheckpointMeta)
        encoder = SequenceEncoder(meta.encoder)
        encoder.load_state_dict(load_file(directory / WEIGHTS_FILE))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        message = f"{directory} is not a checkpoint of `freshrec train --checkpoint`: {error}"
        raise ArtifactError(message) from error
    return encoder.eval(), meta.manifest, meta.items
