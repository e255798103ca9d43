"""The encoder as it is served: the same function as `model.net`, arranged for one graph.

Only the last position of the last layer is computed: that of the last event, or of the masked one
that is put behind the window, inside the graph, for an encoder that sees both sides. There, keys
and values of the other positions are never formed: a query q and a state h score (Wq q)(Wk h) =
(Wk^T Wq q) h, so the small side is multiplied; the key bias shifts all scores of a head alike and
vanishes in the softmax. Top-k, log softmax and the gathering of candidates are inside the graph, so
k ids leave it and not the whole catalogue. The top-k needs the catalogue's scores once and nothing
else does.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.features import FEATURE_INPUTS
from model.net import SequenceEncoder

_MASKED = -1e9


class _Attention(nn.Module):
    """One BERT layer's weights, fused for inference."""

    def __init__(self, layer: Any, heads: int) -> None:
        super().__init__()
        attention = layer.attention.self
        dim = attention.query.in_features
        self.heads, self.head_dim, self.dim = heads, dim // heads, dim
        self.scale = 1 / math.sqrt(self.head_dim)
        self.output, self.after = layer.attention.output, layer
        query, key, value = attention.query, attention.key, attention.value
        self.query_weight, self.query_bias = query.weight, query.bias
        self.value_bias = value.bias
        self.fused_weight = torch.cat([query.weight, key.weight, value.weight])
        self.fused_bias = torch.cat([query.bias, key.bias, value.bias])
        self.key_weight = key.weight.reshape(heads, self.head_dim, dim)
        self.value_weight = value.weight.reshape(heads, self.head_dim, dim).transpose(1, 2)

    def _feed_forward(self, attended: Tensor, residual: Tensor) -> Tensor:
        attended = self.output.LayerNorm(self.output.dense(attended) + residual)
        inner = functional.gelu(self.after.intermediate.dense(attended))
        result: Tensor = self.after.output.LayerNorm(self.after.output.dense(inner) + attended)
        return result

    def every_position(self, states: Tensor, hidden: Tensor) -> Tensor:
        """(B, L, d) from (B, L, d); hidden, 0 or _MASKED: (L, L), or (B, 1, 1, L)."""
        size, length, _ = states.shape
        fused = functional.linear(states, self.fused_weight, self.fused_bias)
        query, key, value = (
            part.reshape(size, length, self.heads, self.head_dim).transpose(1, 2)
            for part in torch.split(fused, self.dim, dim=-1)
        )  # each (B, H, L, d/H)
        weights = torch.softmax(query @ key.transpose(2, 3) * self.scale + hidden, dim=-1)
        attended = (weights @ value).transpose(1, 2).reshape(size, length, self.dim)
        return self._feed_forward(attended, states)

    def last_position(self, states: Tensor, last: Tensor, beyond: Tensor) -> Tensor:
        """(B, d) from states (B, L, d) and the last state (B, d); beyond: (B, 1, L)."""
        query = functional.linear(last, self.query_weight, self.query_bias)
        query = query.reshape(-1, self.heads, self.head_dim).transpose(0, 1)  # (H, B, d/H)
        query = (query @ self.key_weight).transpose(0, 1)  # (B, H, d)
        weights = torch.softmax(query @ states.transpose(1, 2) * self.scale + beyond, dim=-1)
        mixed = (weights @ states).transpose(0, 1)  # (H, B, d)
        value = (mixed @ self.value_weight).transpose(0, 1).reshape(-1, self.dim)
        return self._feed_forward(value + self.value_bias, last)


class ServingEncoder(nn.Module):
    """Window inputs to top ids, their log-probabilities and those of the candidates.

    with_state: also the last hidden state and the log-normaliser, from which the score of an
    item outside the graph follows.
    """

    def __init__(self, encoder: SequenceEncoder, top_k: int, *, with_state: bool = False) -> None:
        super().__init__()
        self.with_state = with_state
        config = encoder.config
        self.causal = config.causal
        embeddings = encoder.bert.embeddings
        self.mask_embedding = None if config.causal else encoder.mask_embedding
        self.top_k = min(top_k, config.items)
        self.inputs = [FEATURE_INPUTS[name] for name in config.features]
        self.feature_weights = nn.ParameterList(
            embedding.weight for embedding in encoder.feature_embeddings.values()
        )
        self.item_weight = nn.Parameter(encoder.item_embeddings.detach().clone())
        self.item_bias = encoder.item_bias
        self.positions = nn.Parameter(
            (embeddings.position_embeddings.weight + embeddings.token_type_embeddings.weight[0])
            .detach()
            .clone()
        )
        self.norm = embeddings.LayerNorm
        layers = [_Attention(layer, config.heads) for layer in encoder.bert.encoder.layer]
        self.full_layers, self.last_layer = layers[:-1], layers[-1]
        self.modules_of_layers = nn.ModuleList(layers)  # registers them

    def forward(
        self, items: Tensor, features: Sequence[Tensor], lengths: Tensor, candidates: Tensor
    ) -> tuple[Tensor, ...]:
        """Items and every feature (B, L), lengths (B,), candidates (B, C): all int64."""
        last_place = lengths - 1
        if self.mask_embedding is not None:  # one event more, which is asked for
            last_place = lengths
            items = functional.pad(items, (0, 1))
            features = [functional.pad(ids, (0, 1)) for ids in features]
        place = torch.arange(items.shape[1])
        # Padding takes the first item's embedding: nothing attends to it.
        states = functional.embedding((items - 1).clamp(min=0), self.item_weight)
        if self.mask_embedding is not None:
            is_asked = (place[None, :] == last_place[:, None])[:, :, None]
            states = torch.where(is_asked, self.mask_embedding, states)
        for weight, ids in zip(self.feature_weights, features, strict=True):
            states = states + functional.embedding(ids, weight)
        states = self.norm(states + self.positions[: items.shape[1]])
        beyond = (place[None, None, :] > last_place[:, None, None]).to(states.dtype) * _MASKED
        later = (place[None, :] > place[:, None]).to(states.dtype) * _MASKED
        for layer in self.full_layers:
            states = layer.every_position(states, later if self.causal else beyond[:, None])
        index = last_place[:, None, None].expand(-1, 1, states.shape[2])
        last = states.gather(1, index).squeeze(1)
        last = self.last_layer.last_position(states, last, beyond)
        logits = functional.linear(last, self.item_weight, self.item_bias)
        log_probs = functional.log_softmax(logits, dim=-1)  # (B, items)
        top_log_probs, top = torch.topk(log_probs, self.top_k, dim=-1)
        chosen = log_probs.gather(1, (candidates - 1).clamp(min=0))
        chosen = torch.where(candidates == 0, -math.inf, chosen)
        if not self.with_state:
            return top + 1, top_log_probs, chosen
        return top + 1, top_log_probs, chosen, last, logits[:, 0] - log_probs[:, 0]
