"""Where edges stand in stored items: what the compiled kernel says, and Python leaves to others."""

Span = tuple[str, int, float, int, int, int, int, int]
"""Edges of one event type in stored bytes: the type, base and half-life in milliseconds, how many
edges, where their destinations begin and end, where weights and where times begin.
"""


def edge_spans(blob: bytes, start: int) -> list[Span] | None:  # noqa: ARG001
    """Where the edges stand in a stored item, whose watermarks begin at `start`.

    None: read it otherwise. So it is for everything that is not as this version stores it, and for
    all in Python, where looking at each byte takes longer than it saves.
    """
    return None
