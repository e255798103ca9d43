"""The kernels of histories, in Python and compiled: one meaning."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.kernels import COMPILED
from tests.streams.kernel_modules import kernels_of
from tests.streams.test_list_kernels import needs_compiled

pure = kernels_of("pure", "histories")
compiled = kernels_of("compiled", "histories") if COMPILED else None
BOTH = pytest.mark.parametrize(
    "kernels",
    [pure, *([compiled] if COMPILED else [])],
    ids=["python", "compiled"][: 1 + COMPILED],
)
ITEMS = st.lists(st.sampled_from([f"i{number}" for number in range(9)]), max_size=40)


def packed(numbers: list[tuple[int, int]], *, wide: bool) -> bytearray:
    form = "<QQ" if wide else "<II"
    return bytearray(b"".join(struct.pack(form, *pair) for pair in numbers))


@BOTH
@given(st.booleans(), st.integers(-(1 << 40), 1 << 40), st.data())
def test_times_of_both_layouts_are_read_from_any_entry_on(
    kernels: Any, wide: bool, base_ms: int, data: st.DataObject
) -> None:
    numbers = st.integers(0, (1 << 62) - 1 if wide else (1 << 32) - 1)
    arrivals = data.draw(st.lists(st.tuples(numbers, numbers), max_size=20))
    start = data.draw(st.integers(0, len(arrivals)))
    times = kernels.read_times(packed(arrivals, wide=wide), base_ms, start, wide=wide)
    assert times.typecode == "q"
    assert times.tolist() == [base_ms + time for time, _ in arrivals[start:]]


@BOTH
@given(ITEMS, st.integers(0, 12))
def test_the_last_different_items_are_the_sources(kernels: Any, items: list[str], n: int) -> None:
    newest_first = dict.fromkeys("".join(item) for item in reversed(items))  # equal, not the same
    assert kernels.last_distinct(items, n) == list(newest_first)[:n]


@BOTH
@given(ITEMS)
def test_only_items_that_have_a_number_are_found(kernels: Any, items: list[str]) -> None:
    numbers = {"i1": 7, "i3": 0, "i5": 1 << 20}
    expected = {numbers[item] for item in items if item in numbers}
    for several in (items, tuple(items), set(items), frozenset(items)):
        assert kernels.find_numbers(numbers, several) == expected


@BOTH
@given(st.lists(st.integers(0, 2), max_size=20), st.integers(0, 25))
def test_kinds_are_named_from_any_entry_on(kernels: Any, kinds: list[int], start: int) -> None:
    types = ["click", "view", "buy"]
    for column in (bytearray(kinds), kinds):
        found = kernels.name_kinds(types, column, start)
        assert found == [types[kind] for kind in kinds[start:]]


@needs_compiled
def test_what_is_not_there_is_not_read() -> None:
    assert compiled is not None
    with pytest.raises(ValueError, match="whole"):
        compiled.read_times(bytearray(9), 0, 0, wide=False)
    with pytest.raises(ValueError, match="whole"):
        compiled.read_times(bytearray(8), 0, 0, wide=True)
    for start in (-1, 2):
        with pytest.raises(IndexError, match="no such entry"):
            compiled.read_times(bytearray(8), 0, start, wide=False)
    with pytest.raises(IndexError, match="no such entry"):
        compiled.name_kinds(["click"], bytearray(1), -1)
    with pytest.raises(IndexError, match="without a name"):
        compiled.name_kinds(["click"], bytearray([1]), 0)
