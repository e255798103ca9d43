"""ONNX graph of an encoder with weights in int8: as stored only, dynamic, or static.

    weights   weights are int8 in the file and turned into float32 for each product
    dynamic   products in int8; the scale of the activations is measured in each call
    static    products in int8; the scale of the activations was measured on calibration windows

Only products with a weight matrix are quantised, per output channel: those of two activations,
softmax and norms are not. The items' matrix, which is looked up as well as multiplied, stands in
the file once and always as `weights`: with its product in int8 too, the static variant lost 7.9 %
of NDCG@10 on MovieLens-100k, and not 1.1 %.

Weights of products in int8 have 7 bits: on a CPU without VNNI instructions, ONNX Runtime adds
pairs of 8-bit products in 16 bits, which saturates with the eighth bit, there and not elsewhere.
"""

import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from model.onnx_graph import (
    add_constant,
    attributes,
    constants,
    drop_unused_initializers,
    is_weight_product,
    replace_nodes,
)

IntArray = NDArray[np.int64]

BLOCK = 64  # weights of one output channel that share a scale, in the weight-only variant
SMALLEST_TABLE = 256  # rows; a smaller one is looked up in float32, since it saves nothing
_TRANSPOSED, _INT8, _SCALES = "_T", "_int8", "_scale"  # suffixes of a weight in another form
_DOMAIN = "com.microsoft"  # of the operators that ONNX Runtime adds
_ZERO = 128  # MatMulNBits stores w + 128 in 8 bits


def weights_only(model: bytes) -> bytes:
    """Products by ONNX Runtime's MatMulNBits, which reads the weights as int8."""
    proto = onnx.load_from_string(model)
    _store_as_int8(proto, _products(proto.graph))
    return _finished(proto)


def dynamic(model: bytes) -> bytes:
    """Products by DynamicQuantizeMatMul: the activations' scale is that of the whole batch."""
    proto = onnx.load_from_string(model)
    _store_as_int8(proto, _products_of_tables(proto.graph))
    _gemm_to_matmul(proto.graph, _products(proto.graph))
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save_model(proto, source)
        quantize_dynamic(
            source,
            target,
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=_products(proto.graph),
        )
        proto = onnx.load_model(target)
    return _finished(proto)


def static(model: bytes, windows: Iterable[Mapping[str, IntArray]]) -> bytes:
    """Products between QuantizeLinear and DequantizeLinear, with scales of calibration `windows`.

    windows: batches of the graph's inputs.
    """
    proto = onnx.load_from_string(model)
    _store_as_int8(proto, _products_of_tables(proto.graph))
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save_model(proto, source)
        quantize_static(
            source,
            target,
            _Windows(windows),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=_products(proto.graph),
        )
        proto = onnx.load_model(target)
    return _finished(proto)


class _Windows(CalibrationDataReader):  # type: ignore[misc]
    """Calibration batches, as ONNX Runtime wants them."""

    def __init__(self, windows: Iterable[Mapping[str, IntArray]]) -> None:
        self._batches: Iterator[Mapping[str, IntArray]] = iter(windows)

    def get_next(self) -> dict[str, IntArray] | None:
        """The next batch, None behind the last."""
        batch = next(self._batches, None)
        return None if batch is None else dict(batch)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without ONNX Runtime's advice, on the root logger, to run a preparation that needs sympy."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _products(graph: onnx.GraphProto) -> list[str]:
    """Names of the products with a weight matrix."""
    weights = constants(graph)
    return [node.name for node in graph.node if is_weight_product(node, weights)]


def _products_of_tables(graph: onnx.GraphProto) -> list[str]:
    """Names of the products with a matrix that is looked up too: the items'."""
    tables = {node.input[0] for node in graph.node if node.op_type == "Gather"}
    products = set(_products(graph))
    return [node.name for node in graph.node if node.name in products and node.input[1] in tables]


def _finished(proto: onnx.ModelProto) -> bytes:
    _look_up_in_int8(proto.graph)
    drop_unused_initializers(proto.graph)
    del proto.graph.value_info[:]  # they state types of before
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


def _gemm_to_matmul(graph: onnx.GraphProto, names: list[str]) -> None:
    """Gemm (always x W^T + b or x W + b here) as MatMul and Add, the only form that ONNX Runtime
    quantises dynamically and that MatMulNBits can stand for.
    """
    weights = constants(graph)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type != "Gemm" or node.name not in names:
            nodes.append(node)
            continue
        name = node.input[1]
        if attributes(node).get("transB"):
            weight = numpy_helper.to_array(weights[name])
            name = add_constant(graph, name + _TRANSPOSED, weight.T)
        [output] = node.output
        bias = node.input[2] if len(node.input) > 2 else None
        product = output if bias is None else output + "_product"
        nodes.append(helper.make_node("MatMul", [node.input[0], name], [product], name=node.name))
        if bias is not None:
            added = helper.make_node("Add", [product, bias], [output], name=node.name + "_bias")
            nodes.append(added)
    replace_nodes(graph, nodes)


def _store_as_int8(proto: onnx.ModelProto, names: list[str]) -> None:
    """Products of these names by MatMulNBits.

    Its accuracy level 0 computes in float32. Level 4, which quantises activations row by row, was
    slower by a third on AVX2.
    """
    graph = proto.graph
    _gemm_to_matmul(graph, names)
    weights = constants(graph)
    for node in graph.node:
        if node.name not in names:
            continue
        name = node.input[1]
        weight = numpy_helper.to_array(weights[name])
        depth, columns = weight.shape
        quantised, scales, block = _blocks(weight)
        read = [
            node.input[0],
            add_constant(graph, name + _INT8, quantised),
            add_constant(graph, name + _SCALES, scales),
        ]
        made = helper.make_node(
            "MatMulNBits", read, list(node.output), name=node.name, domain=_DOMAIN,
            K=depth, N=columns, bits=8, block_size=block, accuracy_level=0,
        )  # fmt: skip
        node.CopyFrom(made)
    drop_unused_initializers(graph)
    if all(entry.domain != _DOMAIN for entry in proto.opset_import):
        proto.opset_import.append(helper.make_opsetid(_DOMAIN, 1))


def _blocks(weight: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32], int]:
    """(N, blocks, block) bytes and (N, blocks) scales of a weight (K, N), and the block's size."""
    depth, columns = weight.shape
    block = BLOCK
    while block > 16 and block // 2 >= depth:  # 16 is the smallest that the operator takes
        block //= 2
    count = -(-depth // block)
    padded = np.zeros((columns, count * block), np.float32)
    padded[:, :depth] = weight.T
    blocks = padded.reshape(columns, count, block)
    scales = np.abs(blocks).max(-1) / 127
    scales[scales == 0] = 1
    quantised = np.rint(blocks / scales[..., None]) + _ZERO
    return quantised.astype(np.uint8), scales.astype(np.float32), block


class _Table(NamedTuple):
    """Names of a table's rows in int8 and of their scales."""

    rows: str  # (N, d), or (N, blocks, block) of unsigned numbers around _ZERO
    scales: str  # (N,) or (N, blocks)
    dim: int
    unsigned: bool


def _look_up_in_int8(graph: onnx.GraphProto) -> None:
    """Look rows up in the int8 matrix of a product where there is one, else in one made for it."""
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        table = None
        if node.op_type == "Gather" and not attributes(node).get("axis"):
            table = _int8_table(graph, node.input[0])
        nodes += [node] if table is None else _look_up(graph, node, table)
    replace_nodes(graph, nodes)


def _int8_table(graph: onnx.GraphProto, name: str) -> _Table | None:
    """The int8 form of a table that a Gather reads; None for one to leave as it is."""
    weights = constants(graph)
    table = weights.get(name)
    if table is None or table.data_type != TensorProto.FLOAT or len(table.dims) != 2:
        return None
    count, dim = table.dims
    as_blocks = name + _TRANSPOSED + _INT8
    if as_blocks in weights:
        return _Table(as_blocks, name + _TRANSPOSED + _SCALES, dim, unsigned=True)
    if count < SMALLEST_TABLE:
        return None
    values = numpy_helper.to_array(table)
    largest = np.abs(values).max(1) / 127
    largest[largest == 0] = 1
    quantised = np.rint(values / largest[:, None]).astype(np.int8)
    return _Table(
        add_constant(graph, name + _INT8, quantised),
        add_constant(graph, name + _SCALES, largest.astype(np.float32)),
        dim,
        unsigned=False,
    )


def _look_up(graph: onnx.GraphProto, node: onnx.NodeProto, table: _Table) -> list[onnx.NodeProto]:
    """Nodes that give what `node`, a Gather of (B, L) ids, gave: (B, L, d)."""
    ids, [output] = node.input[1], node.output
    made: list[onnx.NodeProto] = []

    def step(op: str, read: list[str], suffix: str, **given: Any) -> str:
        name: str = output + suffix
        made.append(helper.make_node(op, read, [name], name=f"look_up_{name}", **given))
        return name

    rows = step("Gather", [table.rows, ids], "_int8", axis=0)
    values = step("Cast", [rows], "_float", to=TensorProto.FLOAT)
    if table.unsigned:
        zero = add_constant(graph, "int8_zero", np.array(_ZERO, np.float32))
        values = step("Sub", [values, zero], "_centred")
    scales = step("Gather", [table.scales, ids], "_scales", axis=0)
    axis = add_constant(graph, "last_axis", np.array([-1], np.int64))
    scales = step("Unsqueeze", [scales, axis], "_scales_wide")
    if not table.unsigned:
        step("Mul", [values, scales], "")
        return made
    scaled = step("Mul", [values, scales], "_scaled")  # (B, L, blocks, block)
    shape = add_constant(graph, "rows_of_blocks", np.array([0, 0, -1], np.int64))
    flat = step("Reshape", [scaled, shape], "_flat")
    # The last block may be longer than the row.
    start = add_constant(graph, "row_start", np.array([0], np.int64))
    end = add_constant(graph, f"row_end_{table.dim}", np.array([table.dim], np.int64))
    step("Slice", [flat, start, end, axis], "")
    return made
