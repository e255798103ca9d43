"""ONNX graph of an encoder in float16, for a GPU; its log-probabilities stay in float32.

ONNX Runtime's own converter puts every operator that it leaves in float32 between two casts, so
that a log-probability would pass through float16 on its way to the top-k, where neighbours of a
list become ties. Here the graph is cut once, in front of the log-softmax.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from model.onnx_graph import consumers_of, drop_unused_initializers, replace_nodes

# Beyond 65,504 a float16 is infinite. The largest constant of the graph is the attention mask, and
# the exponential of a tenth of this is already 0.
LARGEST_CONSTANT = 1e4
_HALF, _FULL = "_float16", "_float32"  # suffixes of a tensor that exists in both


def to_float16(model: bytes) -> bytes:
    """The graph with weights and states in float16, from the logits on in float32."""
    proto = onnx.load_from_string(model)
    floats = _float_tensors(proto)
    graph = proto.graph
    tail = _tail(graph)
    body = [node for node in graph.node if node.name not in tail]
    body_reads = {name for node in body for name in node.input}
    for initializer in list(graph.initializer):
        if initializer.data_type == TensorProto.FLOAT and initializer.name in body_reads:
            values = numpy_helper.to_array(initializer)
            values = np.clip(values, -LARGEST_CONSTANT, LARGEST_CONSTANT).astype(np.float16)
            initializer.CopyFrom(numpy_helper.from_array(values, initializer.name))
            floats.add(initializer.name)  # the tail, should it read one, casts it too
    for node in body:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.FLOAT16
    _cast_at_the_cut(graph, tail, floats & (body_reads | _written(body)))
    written = _written(body)
    for value in graph.value_info:
        if value.name in written & floats:
            value.type.tensor_type.elem_type = TensorProto.FLOAT16
    drop_unused_initializers(graph)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


def _float_tensors(proto: onnx.ModelProto) -> set[str]:
    graph = shape_inference.infer_shapes(proto).graph
    return {
        value.name
        for value in (*graph.value_info, *graph.output)
        if value.type.tensor_type.elem_type == TensorProto.FLOAT
    }


def _written(nodes: list[onnx.NodeProto]) -> set[str]:
    return {name for node in nodes for name in node.output}


def _tail(graph: onnx.GraphProto) -> set[str]:
    """Names of the log-softmax and of all nodes that follow from it."""
    consumers = consumers_of(graph)
    ahead = [node for node in graph.node if node.op_type == "LogSoftmax"]
    found: set[str] = set()
    while ahead:
        node = ahead.pop()
        if node.name not in found:
            found.add(node.name)
            ahead += [reader for name in node.output for reader in consumers.get(name, ())]
    return found


def _cast_at_the_cut(graph: onnx.GraphProto, tail: set[str], halves: set[str]) -> None:
    """Cast to float32 whatever of `halves`, the body's tensors, the tail or the outside reads."""
    outputs = {value.name for value in graph.output} & halves
    nodes: list[onnx.NodeProto] = []
    cast: set[str] = set()
    for node in graph.node:
        if node.name in tail:
            for place, name in enumerate(node.input):
                if name in halves:
                    if name not in cast:
                        source = name + _HALF if name in outputs else name
                        nodes.append(_cast(source, name + _FULL))
                        cast.add(name)
                    node.input[place] = name + _FULL
            nodes.append(node)
            continue
        # The outside keeps its name of an output; inside the body it gets another.
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name in outputs:
                    names[place] = name + _HALF
        nodes.append(node)
        nodes += [_cast(name + _HALF, name) for name in outputs if name + _HALF in node.output]
    replace_nodes(graph, nodes)


def _cast(source: str, target: str) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"cast_{target}", to=TensorProto.FLOAT)
