"""What an ONNX graph may be, read off its protobuf bytes before anything of it is run.

A worker has no `onnx` package, and ONNX Runtime tells nothing of a graph without loading it. The
encoders that are exported here are straight: every operator runs once, and all is in one file. So
loops, branches and functions, which could run for ever, operators of foreign libraries and weights
in other files are refused by their field numbers in `onnx.proto`, which never change.
"""

from collections.abc import Iterator

DOMAINS = ("", "ai.onnx", "com.microsoft")
"""Of operators that come with ONNX Runtime; int8 weights need the last."""
MAX_NODES = 100_000

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10

_MODEL_GRAPH, _MODEL_FUNCTIONS = 7, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_ATTRIBUTE_SPARSE = (22, 23)
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14

Span = tuple[int, int]
"""Begin and end of a message within the bytes of the model."""


def graph_fault(model: bytes) -> str | None:
    """What of an ONNX model is not allowed, as the end of a sentence; None: nothing."""
    try:
        return _model_fault(model)
    except (ValueError, IndexError):
        return "is no ONNX protobuf"


def _model_fault(model: bytes) -> str | None:
    nodes = graphs = 0
    for number, graph in _messages(model, (0, len(model))):
        if number == _MODEL_FUNCTIONS:
            return "defines functions"
        if number != _MODEL_GRAPH:
            continue
        graphs += 1
        for part, span in _messages(model, graph):
            fault = None
            if part == _GRAPH_NODE:
                nodes += 1
                fault = _node_fault(model, span)
            elif part == _GRAPH_INITIALIZER:
                fault = _tensor_fault(model, span)
            elif part == _GRAPH_SPARSE:
                fault = "has sparse weights"
            if fault is not None:
                return fault
    if graphs != 1:
        return "is no ONNX protobuf"
    return f"has {nodes} operators, more than {MAX_NODES}" if nodes > MAX_NODES else None


def _node_fault(model: bytes, node: Span) -> str | None:
    parts = list(_messages(model, node))
    operator = _text(model, parts, _NODE_OPERATOR)
    domain = _text(model, parts, _NODE_DOMAIN)
    if domain not in DOMAINS:
        return f"needs the operator {operator!r} of a library, {domain!r}"
    for number, span in parts:
        if number != _NODE_ATTRIBUTE:
            continue
        for kind, value in _messages(model, span):
            if kind in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                return f"has a graph within a graph (operator {operator!r})"
            if kind in _ATTRIBUTE_SPARSE:
                return "has sparse weights"
            if kind in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
                fault = _tensor_fault(model, value)
                if fault is not None:
                    return fault
    return None


def _tensor_fault(model: bytes, tensor: Span) -> str | None:
    """Weights in another file; all else of a tensor cannot be larger than the model's file."""
    for number, value in _fields(model, tensor):
        if number == _TENSOR_EXTERNAL or (number == _TENSOR_LOCATION and value != 0):
            return "keeps weights in another file"
    return None


def _text(model: bytes, parts: list[tuple[int, Span]], wanted: int) -> str:
    """The last of its kind, as protobuf reads a field that is given twice."""
    for number, (begin, end) in reversed(parts):
        if number == wanted:
            return model[begin:end].decode(errors="replace")[:100]
    return ""


def _messages(model: bytes, span: Span) -> Iterator[tuple[int, Span]]:
    """Fields of a message that are bytes themselves."""
    for number, value in _fields(model, span):
        if isinstance(value, tuple):
            yield number, value


def _fields(model: bytes, span: Span) -> Iterator[tuple[int, int | Span]]:
    """Every field of a message: its number, and its value or the span of its bytes.

    ValueError or IndexError where the bytes are no message. Numbers of fixed size, which nothing
    here asks for, are left out.
    """
    at, end = span
    while at < end:
        key, at = _varint(model, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(model, at)
            yield number, value
        elif wire == _BYTES:
            size, at = _varint(model, at)
            if size > end - at:
                raise ValueError("a field goes beyond its message")
            yield number, (at, at + size)
            at += size
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise ValueError("a group, or no field")
    if at != end:
        raise ValueError("a field goes beyond its message")


def _varint(model: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 7 * _MAX_VARINT_BYTES, 7):
        byte = model[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number without end")
