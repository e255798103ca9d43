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


class _Layer(nn.Module):
    """One BERT layer's weights, arranged for inference.

    Each head has projections of its own, so that nothing is split, transposed or joined between
    the products. Biases that can stand elsewhere do: a key's vanishes in the softmax, whose weights
    sum to 1, so that a value's passes through to the output; the second one of the feed-forward
    part is added by the norm before it, whose result is what it is added to.
    """

    def __init__(self, layer: Any, heads: int) -> None:
        super().__init__()
        attention, output = layer.attention.self, layer.attention.output
        dim = attention.query.in_features
        self.heads, self.head_dim, self.dim = heads, dim // heads, dim
        self.scale = 1 / math.sqrt(self.head_dim)
        of_heads = (heads, self.head_dim, dim)
        query, key, value = attention.query, attention.key, attention.value
        self.query_weight = (query.weight * self.scale).reshape(of_heads)
        self.query_bias = (query.bias * self.scale).reshape(heads, self.head_dim)
        self.key_weight = key.weight.reshape(of_heads)
        self.value_weight = value.weight.reshape(of_heads)
        self.output_weight = output.dense.weight.reshape(dim, heads, self.head_dim).transpose(0, 1)
        self.output_bias = output.dense.bias + output.dense.weight @ value.bias
        inner, after = layer.intermediate.dense, layer.output.dense
        norm = output.LayerNorm
        self.norm_weight, self.norm_bias = norm.weight, norm.bias + after.bias
        self.norm_eps = norm.eps
        self.inner_weight = inner.weight
        self.inner_bias = inner.bias - inner.weight @ after.bias
        self.after_weight = after.weight
        self.after_norm = layer.output.LayerNorm

    def _joined(self, attended: Sequence[Tensor]) -> Tensor:
        """(N, d) from (N, d/H) of every head."""
        joined = functional.linear(attended[0], self.output_weight[0], self.output_bias)
        for values, weight in zip(attended[1:], self.output_weight[1:], strict=True):
            joined = torch.addmm(joined, values, weight.t())
        return joined

    def _feed_forward(self, states: Tensor) -> Tensor:
        """(N, d) from (N, d), both norms included."""
        states = functional.layer_norm(
            states, (self.dim,), self.norm_weight, self.norm_bias, self.norm_eps
        )
        inner = functional.gelu(functional.linear(states, self.inner_weight, self.inner_bias))
        result: Tensor = self.after_norm(torch.addmm(states, inner, self.after_weight.t()))
        return result

    def every_position(self, states: Tensor, hidden: Tensor) -> Tensor:
        """(B, L, d) from (B, L, d); hidden, 0 or _MASKED: (L, L), or (B, 1, L)."""
        size, length, _ = states.shape
        flat = states.reshape(-1, self.dim)
        shape = (size, length, self.head_dim)
        attended = []
        for head in range(self.heads):
            query = functional.linear(flat, self.query_weight[head], self.query_bias[head])
            key = functional.linear(flat, self.key_weight[head]).reshape(shape)
            value = functional.linear(flat, self.value_weight[head]).reshape(shape)
            scores = query.reshape(shape) @ key.transpose(1, 2) + hidden  # (B, L, L)
            mixed = torch.softmax(scores, dim=-1) @ value
            attended.append(mixed.reshape(-1, self.head_dim))
        return self._feed_forward(self._joined(attended) + flat).reshape(size, length, self.dim)

    def last_position(self, states: Tensor, last: Tensor, beyond: Tensor) -> Tensor:
        """(B, d) from states (B, L, d) and the last state (B, d); beyond: (B, 1, L)."""
        query = functional.linear(
            last, self.query_weight.reshape(self.dim, self.dim), self.query_bias.reshape(self.dim)
        )
        query = query.reshape(-1, self.heads, self.head_dim).transpose(0, 1)  # (H, B, d/H)
        query = (query @ self.key_weight).transpose(0, 1)  # (B, H, d)
        weights = torch.softmax(query @ states.transpose(1, 2) + beyond, dim=-1)
        mixed = (weights @ states).transpose(0, 1)  # (H, B, d)
        value = mixed @ self.value_weight.transpose(1, 2)  # (H, B, d/H)
        return self._feed_forward(self._joined(value.unbind(0)) + last)


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
        layers = [_Layer(layer, config.heads) for layer in encoder.bert.encoder.layer]
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
            states = layer.every_position(states, later if self.causal else beyond)
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
