"""Histories to the inputs of an engine: their last known events, grouped by length and padded."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.buckets import Group
from model.cold_items import ItemVectors
from model.features import FeatureSpec, event_type_ids
from model.kernels import find_known, pad_windows
from model.kernels.pure_inputs import History, KnownEvents

__all__ = ["History", "KnownEvents", "PreparedBatch", "WindowReader"]

IntArray = NDArray[np.int64]


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

    def __init__(self, spec: FeatureSpec, item_index: dict[str, int]) -> None:
        self._spec = spec
        self._item_index = item_index
        self._type_ids = event_type_ids(spec.event_types)

    def known(self, histories: Sequence[History]) -> KnownEvents:
        """The events of histories that the encoder sees."""
        return find_known(histories, self._item_index, self._spec.max_length)

    def inputs(
        self,
        group: Group,
        histories: Sequence[History],
        known: KnownEvents,
        candidates: IntArray,
    ) -> dict[str, IntArray]:
        """What the engine takes for the histories of one group; candidates: (B, C) of all rows."""
        rows, size = group.rows, group.batch
        inputs = pad_windows(self._spec, self._type_ids, histories, known, rows, size, group.length)
        if len(rows) == len(histories) == size and candidates.shape[1]:
            inputs["candidates"] = candidates  # all of them, in their order as in any group
            return inputs
        padded = np.zeros((size, max(candidates.shape[1], 1)), np.int64)
        padded[: len(rows), : candidates.shape[1]] = candidates[rows]
        inputs["candidates"] = padded
        return inputs
