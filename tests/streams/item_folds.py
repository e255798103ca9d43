"""Folds of one item by itself, a click or a few at a time."""

from collections.abc import Sequence

from streams.graph import GraphConfig, ItemState, fold_batch
from streams.transition_batch import ToldClick, TransitionBatch

REPLAYED = -1


def fold_told(
    state: ItemState, source: int, clicks: Sequence[ToldClick], config: GraphConfig
) -> tuple[int, int, int]:
    """Fold clicks that concern one item only, in place; returns what `fold_batch` does."""
    return fold_batch(_OneItem(state), TransitionBatch.of(source, clicks), config)


class _OneItem:
    """A table that has one state, whatever its item is called."""

    def __init__(self, state: ItemState) -> None:
        self._state = state

    def get(self, key: str) -> ItemState:
        del key
        return self._state

    def put(self, key: str, state: ItemState) -> None:
        del key, state


def fold_edge(
    state: ItemState,
    source: int,
    offset: int,
    dst: str,
    event_type: str,
    distance: int,
    time_ms: int,
    config: GraphConfig,
) -> int:
    """Add one transition from this item to dst, in place, and move the watermark.

    source, offset: where the click on dst was read; it may touch an item only once. distance:
    its position after this item, from 1. time_ms: its event time.

    Returns the number of edges forgotten to keep the bound, or REPLAYED (-1) where the source
    was applied up to this offset before: then nothing changed.
    """
    # What this item is called does not matter to its own state.
    click = ToldClick(offset, time_ms, dst, event_type, owned=False, before=[("", distance)])
    _, replayed, evicted = fold_told(state, source, [click], config)
    return REPLAYED if replayed else evicted


def fold_popularity(
    state: ItemState,
    source: int,
    offset: int,
    event_type: str,
    time_ms: int,
    config: GraphConfig,
) -> bool:
    """Count one event on this item, in place, and move the watermark.

    False where it was applied before: nothing changed. Shares its watermark with fold_edge: a
    click is either on this item or follows it.
    """
    click = ToldClick(offset, time_ms, "", event_type, owned=True, before=[])
    _, replayed, _ = fold_told(state, source, [click], config)
    return not replayed
