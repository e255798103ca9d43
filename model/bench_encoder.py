"""Encoders for `freshrec bench scorer` and `growth`: as served, and as they are without that.

The plain graph is what an export of the network as it is trained gives: every position of every
layer, and the scores of the whole catalogue for the last one. It is what the arrangement of
`model.serving_encoder` is compared with.
"""

from itertools import pairwise

import numpy as np
import onnx
import onnx.utils
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from model.artifact import FORMAT, Manifest
from model.blend import Blend
from model.engine import OUTPUTS, STATE_OUTPUTS
from model.export import OPSET, ExportError, to_onnx
from model.features import FeatureSpec
from model.net import EncoderConfig, SequenceEncoder
from model.onnx_graph import plain_bytes, quiet_exporter

PRODUCTS = 8
"""Matrix products in the graph that tells the peak."""


def random_encoder(config: EncoderConfig) -> SequenceEncoder:
    """An encoder with weights of chance, from one seed; its speed is that of a trained one."""
    torch.manual_seed(5)
    return SequenceEncoder(config).eval()


def manifest_of(config: EncoderConfig, *, top_k: int) -> Manifest:
    """What a scorer must know of an encoder without features."""
    return Manifest(
        format=FORMAT, name="bench", version="bench", created="", features=[], event_types=[],
        place_buckets=0, max_length=config.max_length, top_k=top_k, dim=config.dim,
        layers=config.layers, heads=config.heads, items=config.items, opset=OPSET, blend=Blend(),
        repeat_policy="allow", files={}, training={}, metrics={}, versions={},
    )  # fmt: skip


def served_onnx(encoder: SequenceEncoder, *, top_k: int) -> bytes:
    """The graph that a worker runs."""
    spec = FeatureSpec((), (), 0, encoder.config.max_length)
    return to_onnx(encoder, spec, top_k=top_k)


class _Plain(nn.Module):
    def __init__(self, encoder: SequenceEncoder, top_k: int) -> None:
        super().__init__()
        self.encoder, self.top_k = encoder, top_k

    def forward(self, items: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = self.encoder({"items": items})  # (B, L, d)
        index = (lengths - 1)[:, None, None].expand(-1, 1, hidden.shape[2])
        scores = self.encoder.logits(hidden.gather(1, index).squeeze(1))  # (B, items)
        top, ids = torch.topk(torch.log_softmax(scores, dim=-1), self.top_k, dim=-1)
        return ids + 1, top, scores


def plain_onnx(encoder: SequenceEncoder, *, top_k: int) -> bytes:
    """The network as it is trained: items (B, L) and lengths (B,) to top ids, their
    log-probabilities and the scores of the catalogue; the batch stays free.
    """
    length = encoder.config.max_length
    batch = torch.export.Dim("batch")
    example = (torch.ones(3, length, dtype=torch.int64), torch.full((3,), length))
    with quiet_exporter(), torch.no_grad():
        program = torch.onnx.export(
            _Plain(encoder, top_k).eval(),
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=["items", "lengths"],
            output_names=["top_ids", "top_log_probs", "scores"],
            dynamic_shapes=({0: batch}, {0: batch}),
            verbose=False,
        )
    if program is None:
        message = "torch.onnx.export gave no program"
        raise ExportError(message)
    return plain_bytes(program.model_proto)


def products_onnx(size: int) -> bytes:
    """PRODUCTS square matrix products, one after the other, and the largest number of the last."""
    weight: NDArray[np.float32] = np.eye(size, dtype=np.float32)[::-1].copy()
    names = ["x", *(f"x{number}" for number in range(PRODUCTS))]
    nodes = [
        helper.make_node("MatMul", [before, "weight"], [after]) for before, after in pairwise(names)
    ]
    nodes.append(helper.make_node("ReduceMax", [names[-1]], ["y"], keepdims=0))
    graph = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [size, size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
        [numpy_helper.from_array(weight, "weight")],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return bytes(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
                 .SerializeToString())  # fmt: skip


def place_items(encoder: SequenceEncoder, vectors: NDArray[np.float32]) -> None:
    """Put the catalogue's items to (items, dim) places; their biases stay 0."""
    with torch.no_grad():
        encoder.item_embeddings.copy_(torch.from_numpy(vectors))


def split_onnx(encoder: SequenceEncoder, *, top_k: int) -> tuple[bytes, bytes]:
    """The graph that a worker runs, and the part of it that ends in the last hidden states."""
    spec = FeatureSpec((), (), 0, encoder.config.max_length)
    model = onnx.load_from_string(to_onnx(encoder, spec, top_k=top_k, with_state=True))
    whole, states = ["items", "lengths", "candidates"], ["items", "lengths"]
    parts = ((whole, list(OUTPUTS)), (states, list(STATE_OUTPUTS[:1])))
    served, hidden = (
        bytes(onnx.utils.Extractor(model).extract_model(*names).SerializeToString())
        for names in parts
    )
    return served, hidden
