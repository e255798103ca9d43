"""Windows of plain clicks: what the compiled kernel does, and Python leaves to `fold`."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class WindowBounds(NamedTuple):
    """What the kernel needs of `streams.window.WindowConfig`, which says what it means."""

    max_events: int
    max_age_ms: int
    predecessors: int
    max_event_ids: int
    graph_click_ms: int


def fold_plain(
    window: Any,  # noqa: ARG001
    user_id: str,  # noqa: ARG001
    clicks: Sequence[Any],  # noqa: ARG001
    positions: Sequence[int],  # noqa: ARG001
    begin: int,
    offsets: Sequence[int],  # noqa: ARG001
    times_ms: Sequence[int],  # noqa: ARG001
    source: int,  # noqa: ARG001
    bounds: WindowBounds,  # noqa: ARG001
    effect: tuple[float, float] | None,  # noqa: ARG001
    predecessors: list[list[str | None] | None],  # noqa: ARG001
    trials: list[tuple[str, str]],  # noqa: ARG001
) -> tuple[int, int]:
    """Apply clicks of one user to the window as long as `streams.window.fold` would find nothing
    out of the ordinary: each is APPLIED.

    clicks, offsets, times_ms (of the records), predecessors: columns of a batch. positions: where
    in them the user's clicks stand; from `begin` on they are applied. effect: weight and half-life
    of the window's event type, None for a type that is not of interest. predecessors: set for each
    click of interest. trials: `user_id` and item of each of those are added.

    Returns where in `positions` the first click stands that was not applied, and how many of the
    applied ones were late. So it is the first of all in Python.
    """
    return begin, 0
