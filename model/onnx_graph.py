"""Small steps on an ONNX graph that exports and the compressed variants of an encoder share."""

import io
import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Keep what torch.onnx says while it exports to itself, errors aside.

    It warns about its own deprecated calls, torchvision not being there, and weights that it
    folded into others.
    """
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    exporter_log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter_log.setLevel(level)


def plain_bytes(proto: onnx.ModelProto) -> bytes:
    """A checked graph without stack traces and file names.

    They are large and name the machine that exported it.
    """
    proto.ClearField("metadata_props")
    proto.graph.ClearField("metadata_props")
    for node in proto.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        value.ClearField("metadata_props")
        value.ClearField("doc_string")
    for value in proto.graph.value_info:
        value.ClearField("metadata_props")
    proto.ClearField("functions")
    onnx.checker.check_model(proto)
    buffer = io.BytesIO()
    onnx.save_model(proto, buffer)
    return buffer.getvalue()


def constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """Initializers by name."""
    return {initializer.name: initializer for initializer in graph.initializer}


def consumers_of(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    """Nodes that read each tensor."""
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            found.setdefault(name, []).append(node)
    return found


def add_constant(graph: onnx.GraphProto, name: str, values: NDArray[np.generic]) -> str:
    """Name of an initializer with these values, added unless one has the name."""
    if name not in constants(graph):
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
    return name


def replace_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Give the graph other nodes, in their order of execution."""
    # Nodes of the graph itself die with the deletion.
    copied = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copied)


def drop_unused_initializers(graph: onnx.GraphProto) -> None:
    """Leave out weights that nothing reads any more."""
    read = {name for node in graph.node for name in node.input}
    kept = [initializer for initializer in graph.initializer if initializer.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def attributes(node: onnx.NodeProto) -> dict[str, object]:
    """Attribute values by name."""
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def is_weight_product(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> bool:
    """Whether a node multiplies by a constant matrix (and not by a stack of them)."""
    if node.op_type not in ("MatMul", "Gemm"):
        return False
    weight = weights.get(node.input[1])
    return weight is not None and len(weight.dims) == 2
