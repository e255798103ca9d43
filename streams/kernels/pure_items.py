"""Items as they are stored: what the compiled kernel does, and Python leaves to others."""

from typing import Any


def encode_edges(
    head: bytes,  # noqa: ARG001
    watermarks: dict[int, int],  # noqa: ARG001
    edges: dict[str, Any],  # noqa: ARG001
) -> bytes | None:
    """`head`, how many edges, then watermarks and edges (`TypeEdges` by event type) in MessagePack.

    None: encode them otherwise. So it is for all in Python.
    """
    return None
