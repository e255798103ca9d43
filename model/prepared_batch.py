"""Histories to the inputs of an engine: their last known events, grouped by length and padded."""

from collections.abc import Mapping, Sequence
from itertools import chain, repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.buckets import Group
from model.cold_items import ItemVectors
from model.features import OF_PLACES, FeatureSpec, event_type_ids, window_inputs

IntArray = NDArray[np.int64]


class History(NamedTuple):
    """A user's events sorted by event time, oldest first; the four have one length."""

    items: Sequence[str]
    event_types: Sequence[str]
    times_ms: Sequence[int]
    place_cells: Sequence[int]  # 0: no place


class ServedWindow(NamedTuple):
    """The events of a history that the encoder sees."""

    ids: list[int]  # encoder ids, none 0
    event_types: Sequence[str]
    times_ms: Sequence[int]
    place_cells: Sequence[int]
    unknown: int  # that stand among these, and were left out


class PreparedBatch(NamedTuple):
    """Inputs of the engine, grouped and padded; made by `EncoderScorer.prepare`."""

    rows: int
    candidates: int
    calls: list[tuple[Group, dict[str, IntArray]]]
    known: NDArray[np.bool_]  # (B,) False: no event of the history is in the catalogue
    events: int  # that the engine sees
    unknown_events: int  # left out, since their item is not in the catalogue
    candidate_ids: IntArray | None = None  # (B, C), where there are new items
    new_items: ItemVectors | None = None

    @property
    def padded_events(self) -> int:
        """What the engine computes, in events with their padding."""
        return sum(group.batch * group.length for group, _ in self.calls)

    @property
    def padding_ratio(self) -> float:
        """Share of what the engine computes that is padding."""
        padded = self.padded_events
        return 1.0 - self.events / padded if padded else 0.0

    @property
    def longest(self) -> int:
        """Events that the longest windows of the batch are padded to."""
        return max((group.length for group, _ in self.calls), default=0)


class WindowReader:
    """The windows of histories, as one artefact's encoder sees them."""

    def __init__(self, spec: FeatureSpec, item_index: Mapping[str, int]) -> None:
        self._spec = spec
        self._item_index = item_index
        self._type_ids = event_type_ids(spec.event_types)

    def window(self, history: History) -> ServedWindow:
        """The events of a history that the encoder sees."""
        index = self._item_index
        longest = self._spec.max_length
        # Mostly the newest events are all known, and no older one is looked at.
        columns: tuple[Sequence[Any], ...] = tuple(column[-longest:] for column in history)
        ids = list(map(index.get, columns[0], repeat(0)))
        unknown = ids.count(0)
        if unknown:
            ids = list(map(index.get, history.items, repeat(0)))
            kept = [position for position, item in enumerate(ids) if item][-longest:]
            first = kept[0] if len(kept) == longest else 0
            unknown = ids[first:].count(0)
            ids = [ids[position] for position in kept]
            columns = tuple([column[position] for position in kept] for column in history)
        _, event_types, times_ms, place_cells = columns
        return ServedWindow(ids, event_types, times_ms, place_cells, unknown)

    def inputs(
        self, group: Group, windows: Sequence[ServedWindow], candidates: IntArray
    ) -> dict[str, IntArray]:
        """What the engine takes for the windows of one group; candidates: (B, C) of all rows."""
        chosen = [windows[row] for row in group.rows]
        lengths = np.zeros(group.batch, np.int64)
        lengths[: len(chosen)] = [len(window.ids) for window in chosen]
        events = int(lengths.sum())
        features = self._spec.features

        def flat(values: Any, *, used: bool = True) -> IntArray:
            if not used:
                return np.zeros(events, np.int64)
            return np.fromiter(chain.from_iterable(values), np.int64, events)

        type_id = self._type_ids.get
        inputs = window_inputs(
            self._spec,
            lengths,
            flat(window.ids for window in chosen),
            flat(
                ([type_id(name, 1) for name in window.event_types] for window in chosen),
                used="event_type" in features,
            ),
            flat(
                (window.times_ms for window in chosen),
                used="time_gap" in features or "hour_of_week" in features,
            ),
            flat(
                (window.place_cells for window in chosen),
                used=any(feature in OF_PLACES for feature in features),
            ),
            group.length,
        )
        # An empty row still needs one position to attend to; its scores are thrown away.
        inputs["lengths"] = np.maximum(lengths, 1)
        width = max(candidates.shape[1], 1)
        padded = np.zeros((group.batch, width), np.int64)
        padded[: len(chosen), : candidates.shape[1]] = candidates[group.rows]
        inputs["candidates"] = padded
        return inputs
