from datetime import UTC, datetime

import numpy as np
import pytest

from model.buckets import Group
from model.data import Event, sequences
from model.features import (
    FEATURE_INPUTS,
    TIME_GAP_BUCKETS,
    FeatureSpec,
    hour_of_week_ids,
    place_ids,
    time_gap_ids,
    window_inputs,
)
from model.prepared_batch import History, WindowReader
from model.scorer import EncoderScorer
from model.windows import EncodedLog
from streams.place import place_cell
from tests.model.samples import ITEMS, SPEC, TYPES, make_history

# Two check-ins in one cell, and one 3.7 km away.
CELLS = [
    place_cell(40.7336, -74.0031),
    place_cell(40.7336, -74.0031),
    place_cell(40.7564, -73.9677),
]


def gaps(*seconds: float) -> list[int]:
    times = np.cumsum([0, *(int(s * 1000) for s in seconds)]).astype(np.int64)
    return time_gap_ids(times, np.array([0]))[1:].tolist()


def test_time_gaps_double_from_bucket_to_bucket_exactly_at_powers_of_two():
    assert gaps(0, 0.9, 1, 2, 3, 6, 7) == [2, 2, 3, 3, 4, 4, 5]
    for power in range(1, TIME_GAP_BUCKETS - 1):
        below, at = gaps(2**power - 2, 2**power - 1)
        assert (below, at) == (power + 1, power + 2)


def test_a_gap_of_many_years_falls_into_the_last_bucket_and_a_negative_one_into_the_first():
    assert gaps(10**9) == [TIME_GAP_BUCKETS + 1]
    assert gaps(-50) == [2]


def test_the_first_event_of_each_window_has_no_gap():
    times = np.array([0, 1000, 5000, 9000], np.int64)
    assert time_gap_ids(times, np.array([0, 2])).tolist() == [1, 3, 1, 4]


def test_hour_of_week_counts_from_monday_in_utc():
    monday = datetime(2026, 1, 5, tzinfo=UTC).timestamp() * 1000
    sunday = datetime(2026, 1, 11, 23, 59, 59, tzinfo=UTC).timestamp() * 1000
    assert hour_of_week_ids(np.array([monday, sunday], np.int64)).tolist() == [1, 168]


def test_a_shift_by_whole_weeks_keeps_every_time_feature():
    times = np.array([1_000, 7_654_321, 99_999_999], np.int64)
    later = times + 40 * 7 * 86_400_000
    starts = np.array([0])
    assert (hour_of_week_ids(times) == hour_of_week_ids(later)).all()
    assert (time_gap_ids(times, starts) == time_gap_ids(later, starts)).all()


def test_places_hash_to_the_same_bounded_ids_in_every_process():
    cells = np.array([0, 1, 2, 123_456_789, 2**40], np.int64)
    assert place_ids(cells, 1000).tolist() == [1, 791, 732, 586, 570]
    many = place_ids(np.arange(1, 5000, dtype=np.int64), 16)
    assert set(many.tolist()) == set(range(2, 18))


def test_inputs_are_padded_on_the_right_with_zeros():
    spec = FeatureSpec(("time_gap",), ("click",), 0, 5)
    flat = np.array([3, 4, 5], np.int64)
    inputs = window_inputs(spec, np.array([1, 2]), flat, flat, flat * 1000, flat, 4)
    assert set(inputs) == {"items", "time_gaps"}
    assert inputs["items"].tolist() == [[3, 0, 0, 0], [4, 5, 0, 0]]
    assert inputs["time_gaps"].tolist() == [[1, 0, 0, 0], [1, 3, 0, 0]]


def test_a_window_longer_than_its_padding_is_refused():
    spec = FeatureSpec((), (), 0, 5)
    flat = np.ones(3, np.int64)
    with pytest.raises(ValueError, match="3 events does not fit into 2"):
        window_inputs(spec, np.array([3]), flat, flat, flat, flat, 2)


def test_training_and_serving_make_the_same_inputs_of_the_same_history(scorer: EncoderScorer):
    history = make_history(3, 9)
    log = sequences(
        Event("u", item, time, kind, cell) for item, kind, time, cell in zip(*history, strict=True)
    )
    order = {item: index for index, item in enumerate(log.items)}
    known = np.array(sorted(order.values()), np.int64)
    encoded = EncodedLog(log, known, SPEC)
    trained = encoded.inputs([(0, 9)])
    (_, served), *rest = scorer.prepare([history], np.ones((1, 1), np.int64)).calls
    assert not rest
    for name in [FEATURE_INPUTS[feature] for feature in SPEC.features]:
        assert served[name][0, :9].tolist() == trained[name][0].tolist(), name
    assert served["items"][0, :9].tolist() == [ITEMS.index(item) + 1 for item in history.items]
    assert scorer.manifest.feature_spec().event_types == TYPES


def test_an_encoder_that_has_distances_and_no_places_is_served_the_distances_it_learned():
    history = History(["a", "b", "c", "d"], ["click"] * 4, [0, 1, 2, 3], [*CELLS, 0])
    log = sequences(
        Event("u", item, time, kind, cell) for item, kind, time, cell in zip(*history, strict=True)
    )
    spec = FeatureSpec(("distance",), ("click",), 0, 5)
    trained = EncodedLog(log, np.arange(4), spec).inputs([(0, 4)])
    reader = WindowReader(spec, {item: index + 1 for index, item in enumerate("abcd")})
    known = reader.known([history])
    served = reader.inputs(Group([0], 4, 1), [history], known, np.ones((1, 1), np.int64))
    assert set(served) == {"items", "distances", "lengths", "candidates"}
    assert served["distances"].tolist() == trained["distances"].tolist() == [[1, 2, 7, 1]]
