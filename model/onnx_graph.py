"""Small steps on an ONNX graph that the compressed variants of an encoder share."""

from collections.abc import Iterable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper


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
