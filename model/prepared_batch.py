"""Histories to the inputs of an engine: their last known events, grouped by length and padded."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, repeat
from typing import NamedTuple

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
    """The events of a history that the encoder sees; a column that no feature reads is empty."""

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
        features = spec.features
        self._reads_types = "event_type" in features
        self._reads_times = "time_gap" in features or "hour_of_week" in features
        self._reads_places = any(feature in OF_PLACES for feature in features)

    def window(self, history: History) -> ServedWindow:
        """The events of a history that the encoder sees."""
        index = self._item_index
        items, event_types, times_ms, place_cells = history
        longest = self._spec.max_length
        # Mostly the newest events are all known, and no older one is looked at.
        ids = list(map(index.get, items[-longest:], repeat(0)))
        if 0 not in ids:
            return ServedWindow(
                ids,
                event_types[-longest:] if self._reads_types else (),
                times_ms[-longest:] if self._reads_times else (),
                place_cells[-longest:] if self._reads_places else (),
                0,
            )
        ids = list(map(index.get, items, repeat(0)))
        kept = [position for position, item in enumerate(ids) if item][-longest:]
        first = kept[0] if len(kept) == longest else 0
        return ServedWindow(
            [ids[position] for position in kept],
            [event_types[position] for position in kept] if self._reads_types else (),
            [times_ms[position] for position in kept] if self._reads_times else (),
            [place_cells[position] for position in kept] if self._reads_places else (),
            ids[first:].count(0),
        )

    def inputs(
        self, group: Group, windows: Sequence[ServedWindow], candidates: IntArray
    ) -> dict[str, IntArray]:
        """What the engine takes for the windows of one group; candidates: (B, C) of all rows."""
        rows, size = group.rows, group.batch
        whole = len(rows) == len(windows)  # and in their order, as in any group
        chosen = windows if whole else [windows[row] for row in rows]
        counts = [len(window.ids) for window in chosen]
        lengths = np.zeros(size, np.int64)
        lengths[: len(chosen)] = counts
        events = sum(counts)
        unread = _NOTHING if events <= len(_NOTHING) else np.zeros(events, np.int64)

        def flat(columns: Iterable[Sequence[int]], *, read: bool = True) -> IntArray:
            if not read:
                return unread[:events]
            return np.fromiter(chain.from_iterable(columns), np.int64, events)

        type_id = self._type_ids.get
        inputs = window_inputs(
            self._spec,
            lengths,
            flat([window.ids for window in chosen]),
            flat(
                ([type_id(name, 1) for name in window.event_types] for window in chosen),
                read=self._reads_types,
            ),
            flat((window.times_ms for window in chosen), read=self._reads_times),
            flat((window.place_cells for window in chosen), read=self._reads_places),
            group.length,
        )
        # An empty row still needs one position to attend to; its scores are thrown away.
        inputs["lengths"] = np.maximum(lengths, 1)
        if whole and len(rows) == size and candidates.shape[1]:
            inputs["candidates"] = candidates
            return inputs
        padded = np.zeros((size, max(candidates.shape[1], 1)), np.int64)
        padded[: len(chosen), : candidates.shape[1]] = candidates[rows]
        inputs["candidates"] = padded
        return inputs


_NOTHING = np.zeros(4096, np.int64)
_NOTHING.flags.writeable = False
