"""The kernels of inputs, in NumPy and compiled: one meaning, the same bits."""

from array import array
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.features import FEATURE_INPUTS, FeatureSpec, event_type_ids, window_inputs
from model.kernels import COMPILED, pure_inputs
from model.kernels.pure_inputs import History, KnownEvents

if COMPILED:
    from model.kernels import compiled_inputs

KERNELS = [pure_inputs, *([compiled_inputs] if COMPILED else [])]
BOTH = pytest.mark.parametrize("kernels", KERNELS, ids=["numpy", "compiled"][: 1 + COMPILED])
needs_compiled = pytest.mark.skipif(not COMPILED, reason="the kernels were not compiled")

INDEX = {item: number + 1 for number, item in enumerate("abcdef")}
TYPES = ("click", "purchase")
NOTHING = array("q")
TIMES_MS = (
    st.sampled_from([1_000 * seconds for seconds in range(32)])  # on the edges of buckets
    | st.integers(0, 253_402_300_799_999)
    | st.integers(-(1 << 63), (1 << 63) - 1)
)
EVENTS = st.tuples(
    st.sampled_from("abcdefxyz"),
    st.sampled_from([*TYPES, "view"]),
    TIMES_MS,
    st.just(0) | st.integers(-(1 << 63), (1 << 63) - 1),
)
HISTORIES = st.lists(st.lists(EVENTS, max_size=12), max_size=6)
SPECS = st.builds(
    FeatureSpec,
    st.sets(st.sampled_from([*FEATURE_INPUTS])).map(tuple),
    st.just(TYPES),
    st.sampled_from([0, 1, 16, 1000]),
    st.integers(1, 10),
)


def histories_of(rows: list[list[tuple[str, str, int, int]]], kind: Any = list) -> list[History]:
    """Histories with their times in lists, tuples or arrays."""
    found = []
    for row in rows:
        items, types, times_ms, cells = zip(*row, strict=True) if row else ((), (), (), ())
        found.append(History(list(items), types, kind(times_ms), list(cells)))
    return found


def in_array(times_ms: tuple[int, ...]) -> "array[int]":
    return array("q", times_ms)


@BOTH
@given(HISTORIES, st.integers(1, 10))
def test_the_last_known_events_are_found_and_the_unknown_ones_among_them_counted(
    kernels: Any, rows: list[list[tuple[str, str, int, int]]], longest: int
) -> None:
    found = kernels.find_known(histories_of(rows), INDEX, longest)
    ids, places, lengths, unknown = [], [], [], 0
    for row in rows:
        known = [place for place, event in enumerate(row) if event[0] in INDEX][-longest:]
        places += known
        ids += [INDEX[row[place][0]] for place in known]
        lengths.append(len(known))
        first = known[0] if len(known) == longest else 0
        unknown += sum(event[0] not in INDEX for event in row[first:])
    assert found == KnownEvents(array("q", ids), array("q", places), lengths, unknown)


@BOTH
@given(HISTORIES, SPECS, st.sampled_from([list, tuple, in_array]), st.integers(0, 3), st.data())
def test_inputs_are_those_that_training_would_make_of_the_known_events(
    kernels: Any,
    rows: list[list[tuple[str, str, int, int]]],
    spec: FeatureSpec,
    kind: Any,
    padding: int,
    data: st.DataObject,
) -> None:
    chosen = sorted(data.draw(st.sets(st.integers(0, len(rows) - 1)))) if rows else []
    known = kernels.find_known(histories_of(rows), INDEX, spec.max_length)
    ends = list(accumulate(known.lengths, initial=0))
    batch, length = len(chosen) + padding, spec.max_length + padding
    lengths = np.zeros(batch, np.int64)
    events: list[tuple[int, str, int, int]] = []
    for place, row in enumerate(chosen):
        lengths[place] = known.lengths[row]
        of_row = [rows[row][at] for at in known.places[ends[row] : ends[row + 1]]]
        events += [(INDEX[item], *rest) for item, *rest in of_row]
    type_ids = event_type_ids(TYPES)
    columns = [list(column) for column in zip(*events, strict=True)] or [[], [], [], []]
    columns[1] = [type_ids.get(name, 1) for name in columns[1]]
    with np.errstate(all="ignore"):
        expected = window_inputs(
            spec, lengths, *(np.array(column, np.int64) for column in columns), length
        )
        inputs = kernels.pad_windows(
            spec, type_ids, histories_of(rows, kind), known, chosen, batch, length
        )
    assert inputs.pop("lengths").tolist() == [max(1, count) for count in lengths.tolist()]
    assert list(inputs) == list(expected)
    for name, found in inputs.items():
        assert found.dtype == np.int64
        assert found.flags.c_contiguous
        assert found.tolist() == expected[name].tolist(), name


@BOTH
def test_candidates_are_ids_up_to_the_highest(kernels: Any) -> None:
    for good in ([[0, 5], [3, 1]], [[0]], [[]], np.empty((0, 4))):
        assert kernels.are_ids(np.array(good, np.int64), 5) is True
    for bad in ([[0, 6], [3, 1]], [[0, 5], [3, -1]], [[1 << 40]]):
        assert kernels.are_ids(np.array(bad, np.int64), 5) is False


HISTORY = History(["a", "b"], ["click", "click"], [1, 2], [0, 0])
KNOWN = KnownEvents(array("q", [1, 2]), array("q", [0, 1]), [2], 0)
SPEC = FeatureSpec(("event_type", "time_gap", "hour_of_week", "place"), TYPES, 16, 4)


@BOTH
def test_a_window_longer_than_its_padding_is_refused(kernels: Any) -> None:
    with pytest.raises(ValueError, match="2 events does not fit into 1"):
        kernels.pad_windows(SPEC, {}, [HISTORY], KNOWN, [0], 1, 1)


@needs_compiled
@pytest.mark.parametrize("column", ["event_types", "times_ms", "place_cells"])
@pytest.mark.parametrize("kind", [list, tuple, in_array])
def test_a_column_shorter_than_the_items_is_not_read_beyond(column: str, kind: Any) -> None:
    if kind is in_array and column != "times_ms":
        kind = list
    short = kind(getattr(HISTORY, column)[:1])
    history = HISTORY._replace(**{column: short})
    with pytest.raises(IndexError, match="one length"):
        compiled_inputs.pad_windows(SPEC, {}, [history], KNOWN, [0], 1, 4)


@needs_compiled
@pytest.mark.parametrize(
    "change",
    [
        {"ids": array("q", [1])},
        {"ids": array("i", [1, 2])},
        {"places": array("q", [0])},
        {"places": array("i", [0, 1])},
        {"places": array("q", [0, 2])},
        {"places": array("q", [-1, 1])},
        {"lengths": []},
        {"lengths": [3]},
        {"lengths": [-1]},
        {"lengths": [2, 0]},
    ],
)
def test_events_that_are_not_there_are_not_read(change: dict[str, Any]) -> None:
    known = KNOWN._replace(**change)
    with pytest.raises((ValueError, IndexError)):
        compiled_inputs.pad_windows(SPEC, {}, [HISTORY], known, [0], 1, 4)


@needs_compiled
def test_rows_that_do_not_fit_are_refused() -> None:
    for rows, batch in (([1], 1), ([-1], 1), ([0, 0], 2), ([0], 0)):
        with pytest.raises((ValueError, IndexError)):
            compiled_inputs.pad_windows(SPEC, {}, [HISTORY], KNOWN, rows, batch, 4)
    with pytest.raises(ValueError, match="room for an event"):
        compiled_inputs.find_known([HISTORY], INDEX, 0)
    assert compiled_inputs.find_known([], INDEX, 3) == KnownEvents(NOTHING, NOTHING, [], 0)
