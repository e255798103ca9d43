"""Window events to model inputs: one numpy function, shared by training and serving.

Ids of every input: 0 is padding; what else they mean is written beside each function.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.places import DISTANCE_BUCKETS, distance_ids

IntArray = NDArray[np.int64]

# Feature name -> name of the model input that carries it (the items themselves are always there).
FEATURE_INPUTS: Mapping[str, str] = {
    "event_type": "event_types",
    "time_gap": "time_gaps",
    "hour_of_week": "hours",
    "place": "places",
    "distance": "distances",
}
OF_PLACES = ("place", "distance")  # what only an event with a place feeds
# On only where it is asked for: it was measured, and helped nothing (docs/model.md).
OPT_IN = frozenset({"distance"})

TIME_GAP_BUCKETS = 28  # floor(log2(1 + seconds)): the last one is 2^27 s, about 4 years, and more
HOURS_PER_WEEK = 168
MS_PER_HOUR = 3_600_000
# 1970-01-01 was a Thursday: Monday 00:00 UTC is hour 0 of the week.
EPOCH_HOUR_OF_WEEK = 3 * 24


class FeatureSpec(NamedTuple):
    """What the inputs of one model look like; stored in its manifest."""

    features: tuple[str, ...]  # subset of FEATURE_INPUTS
    event_types: tuple[str, ...]  # names in id order
    place_buckets: int  # size of the hashed place vocabulary, 0 without the place feature
    max_length: int  # events

    @property
    def reads_types(self) -> bool:
        """Whether any feature is told from event types."""
        return "event_type" in self.features

    @property
    def reads_times(self) -> bool:
        """Whether any feature is told from event times."""
        return "time_gap" in self.features or "hour_of_week" in self.features

    @property
    def reads_places(self) -> bool:
        """Whether any feature is told from places."""
        return any(feature in OF_PLACES for feature in self.features)

    def vocabulary_sizes(self) -> dict[str, int]:
        """Number of ids, padding included, of each feature that is on."""
        sizes = {
            "event_type": len(self.event_types) + 2,
            "time_gap": TIME_GAP_BUCKETS + 2,
            "hour_of_week": HOURS_PER_WEEK + 1,
            "place": self.place_buckets + 2,
            "distance": DISTANCE_BUCKETS + 2,
        }
        return {name: sizes[name] for name in self.features}

    def input_names(self) -> tuple[str, ...]:
        """Names of the model's inputs in order."""
        extra = tuple(FEATURE_INPUTS[name] for name in FEATURE_INPUTS if name in self.features)
        return ("items", *extra, "lengths", "candidates")


def event_type_ids(names: Sequence[str]) -> dict[str, int]:
    """Id of each event-type name: 2 onwards; 1 is any other name."""
    return {name: index + 2 for index, name in enumerate(names)}


def time_gap_ids(times_ms: IntArray, starts: IntArray) -> IntArray:
    """Bucket of the time since the previous event of the same window.

    times_ms: [N] windows end to end; starts: [B] index of each window's first event. Id 1 is a
    first event; 2 + floor(log2(1 + seconds)) otherwise. A negative gap counts as zero.
    """
    gaps = times_ms[1:] - times_ms[:-1]
    np.maximum(gaps, 0, out=gaps)
    gaps //= 1000
    gaps += 1
    ids = np.ones(len(times_ms), np.int64)
    # frexp is exact where log2 may round up just below a power of two; it gives one more.
    np.add(np.minimum(np.frexp(gaps)[1], TIME_GAP_BUCKETS), 1, out=ids[1:])
    ids[starts] = 1
    return ids


def hour_of_week_ids(times_ms: IntArray) -> IntArray:
    """1 + hour of the week in UTC, Monday 00:00 being hour 0."""
    return (times_ms // MS_PER_HOUR + EPOCH_HOUR_OF_WEEK) % HOURS_PER_WEEK + 1


def place_ids(place_cells: IntArray, buckets: int) -> IntArray:
    """Hashed place: 1 is no place (cell 0), 2 onwards a bucket; the same in every process."""
    mixed = place_cells.astype(np.uint64)  # splitmix64's finaliser
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    hashed = (mixed % np.uint64(max(buckets, 1))).astype(np.int64) + 2
    return np.where(place_cells == 0, 1, hashed)


def window_inputs(
    spec: FeatureSpec,
    lengths: IntArray,
    items: IntArray,
    event_types: IntArray,
    times_ms: IntArray,
    place_cells: IntArray,
    padded_length: int,
) -> dict[str, IntArray]:
    """Padded inputs [B, L] of B windows given end to end, right-padded with 0.

    lengths: [B] events of each window, every one <= padded_length; items (ids, 1 onwards),
    event_types (ids), times_ms and place_cells: [sum(lengths)], oldest event first.
    """
    if len(lengths) and int(lengths.max()) > padded_length:
        message = f"a window of {int(lengths.max())} events does not fit into {padded_length}"
        raise ValueError(message)
    mask = np.arange(padded_length) < lengths[:, None]  # (B, L)

    def padded(flat: IntArray) -> IntArray:
        out = np.zeros(mask.shape, np.int64)
        out[mask] = flat
        return out

    inputs = {"items": padded(items)}
    if "event_type" in spec.features:
        inputs["event_types"] = padded(event_types)
    if "time_gap" in spec.features or "distance" in spec.features:
        starts = (np.cumsum(lengths) - lengths)[lengths > 0]
    if "time_gap" in spec.features:
        inputs["time_gaps"] = padded(time_gap_ids(times_ms, starts))
    if "hour_of_week" in spec.features:
        inputs["hours"] = padded(hour_of_week_ids(times_ms))
    if "place" in spec.features:
        inputs["places"] = padded(place_ids(place_cells, spec.place_buckets))
    if "distance" in spec.features:
        inputs["distances"] = padded(distance_ids(place_cells, starts))
    return inputs
