"""The kernels of inputs in NumPy: what they mean, and what runs where nothing was compiled."""

from array import array
from collections.abc import Mapping, Sequence
from itertools import accumulate, repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.features import FeatureSpec, window_inputs

IntArray = NDArray[np.int64]


class History(NamedTuple):
    """A user's events sorted by event time, oldest first; the four have one length."""

    items: Sequence[str]
    event_types: Sequence[str]
    times_ms: Sequence[int]
    place_cells: Sequence[int]  # 0: no place


class KnownEvents(NamedTuple):
    """The events of histories that an encoder sees, those of a history after each other."""

    ids: "array[int]"  # [events] encoder ids, none 0
    places: "array[int]"  # [events] where they stand in their histories
    lengths: list[int]  # of each history's events here
    unknown: int  # that stand among these, and are left out


def find_known(
    histories: Sequence[History], item_index: Mapping[str, int], longest: int
) -> KnownEvents:
    """The last `longest` events of each history whose items have an id."""
    ids, places = array("q"), array("q")
    lengths: list[int] = []
    unknown = 0
    for history in histories:
        items = history.items
        # Mostly the newest events are all known, and no older one is looked at.
        found = list(map(item_index.get, items[-longest:], repeat(0)))
        if 0 not in found:
            kept = list(range(len(items) - len(found), len(items)))
        else:
            of_all = list(map(item_index.get, items, repeat(0)))
            kept = [place for place, item in enumerate(of_all) if item][-longest:]
            found = [of_all[place] for place in kept]
            unknown += of_all[kept[0] if len(kept) == longest else 0 :].count(0)
        ids.extend(found)
        places.extend(kept)
        lengths.append(len(kept))
    return KnownEvents(ids, places, lengths, unknown)


def pad_windows(
    spec: FeatureSpec,
    type_ids: Mapping[str, int],
    histories: Sequence[History],
    known: KnownEvents,
    rows: list[int],
    batch: int,
    length: int,
) -> dict[str, IntArray]:
    """Inputs of histories that run in one call, all but the candidates: `window_inputs` of them.

    known: the events of all histories; rows: which histories, ascending. Each input is
    `[batch, length]`, and `lengths` `[batch]`: of those histories, then of rows of padding. An
    empty row still needs one position to attend to, so that no length is below 1.
    """
    ends = list(accumulate(known.lengths, initial=0))
    parts = [range(ends[row], ends[row + 1]) for row in rows]
    ids = np.array([known.ids[event] for part in parts for event in part], np.int64)
    lengths = np.zeros(batch, np.int64)
    lengths[: len(rows)] = list(map(len, parts))
    events = [
        (histories[row], place)
        for row, part in zip(rows, parts, strict=True)
        for place in known.places[part.start : part.stop]
    ]
    unread = np.zeros(len(events), np.int64)
    types, times_ms, cells = unread, unread, unread
    if spec.reads_types:
        names = [history.event_types[place] for history, place in events]
        types = np.array(list(map(type_ids.get, names, repeat(1))), np.int64)
    if spec.reads_times:
        times_ms = np.array([history.times_ms[place] for history, place in events], np.int64)
    if spec.reads_places:
        cells = np.array([history.place_cells[place] for history, place in events], np.int64)
    inputs = window_inputs(spec, lengths, ids, types, times_ms, cells, length)
    inputs["lengths"] = np.maximum(lengths, 1)
    return inputs


def are_ids(candidates: IntArray, highest: int) -> bool:
    """Whether all of `[B, C]` candidates are encoder ids: 0 (none) to `highest`."""
    return not candidates.size or bool(0 <= candidates.min() <= candidates.max() <= highest)
