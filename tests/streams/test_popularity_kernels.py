"""The kernels of popularity, in NumPy and compiled: one meaning, the same bits."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.kernels import COMPILED, pure_popularity
from streams.kernels.pure_popularity import Decayed
from tests.streams.test_list_kernels import needs_compiled, same

if COMPILED:
    from streams.kernels import compiled_popularity

KERNELS = [pure_popularity, *([compiled_popularity] if COMPILED else [])]
BOTH = pytest.mark.parametrize("kernels", KERNELS, ids=["numpy", "compiled"][: 1 + COMPILED])
WEIGHTS = st.floats(0, 1e20) | st.just(0.0) | st.floats(allow_nan=False, allow_infinity=False)
BASES = st.integers(-3_000, 3_000) | st.integers(-(1 << 40), 1 << 40)
TERMS = st.tuples(WEIGHTS, BASES, WEIGHTS, BASES)


@needs_compiled
@given(
    st.lists(TERMS, max_size=40),
    st.lists(st.integers(-3_000, 3_000), min_size=2, max_size=2),
    st.lists(st.floats(0.5, 1), min_size=2, max_size=2),
)
def test_weights_and_trends_are_the_same_bits(
    items: list[tuple[float, int, float, int]], ages: list[int], fractions: list[float]
) -> None:
    columns = [list(column) for column in zip(*items, strict=True)] or [[], [], [], []]
    decayed = [
        Decayed(
            np.array(columns[at], dtype=np.float64),
            np.array(columns[at + 1], dtype=np.int64),
            ages[at // 2],
            fractions[at // 2],
        )
        for at in (0, 2)
    ]
    with np.errstate(all="ignore"):
        same(
            pure_popularity.weigh_items(*decayed, 1 / 28),
            compiled_popularity.weigh_items(*decayed, 1 / 28),
        )


@BOTH
def test_weights_are_in_proportion_to_the_newest_base_that_has_any(kernels: ModuleType) -> None:
    bases = np.array([7, 9, 30_000])
    term = Decayed(np.array([4.0, 1.0, 0.0]), bases, 8, 0.5)
    relative, recent, trends = kernels.weigh_items(term, term, 0.25)
    assert relative.tolist() == recent.tolist() == [1.0, 1.0, 0.0]
    # Both are worth 1 now, and a quarter of that is usual.
    assert trends.tolist() == [1.0 / 1.25, 1.0 / 1.25, 0.0]


@BOTH
@given(
    st.lists(
        st.tuples(st.sampled_from([-1.0, 0.0, 0.25, 0.5, np.nan]) | st.floats(0, 1),
                  st.integers(0, 3)),
        max_size=60,
    ),
    st.integers(1, 70),
)  # fmt: skip
def test_the_largest_positive_values_come_largest_first(
    kernels: ModuleType, items: list[tuple[float, int]], n: int
) -> None:
    values = np.array([value for value, _ in items], dtype=np.float64)
    ties = np.array([tie for _, tie in items] + [9], dtype=np.uint64)
    found = kernels.largest_positive(values, ties, n)
    assert found.dtype == np.int64
    positive = [place for place, (value, _) in enumerate(items) if value > 0.0]
    ranked = sorted(positive, key=lambda place: (-values[place], ties[place], place))
    assert found.tolist() == ranked[:n]


@BOTH
def test_items_without_a_value_take_zero(kernels: ModuleType) -> None:
    items = np.array([2, -1, 0, 3, 1 << 40])
    assert kernels.take(np.array([1.0, 2.0, 3.0]), items).tolist() == [3.0, 0.0, 1.0, 0.0, 0.0]
    assert kernels.take(np.empty(0), items).tolist() == [0.0] * 5


@needs_compiled
def test_columns_of_unequal_length_are_refused() -> None:
    three, two = np.zeros(3), np.zeros(2, np.int64)
    good, bad = Decayed(three, np.zeros(3, np.int64), 0, 1.0), Decayed(three, two, 0, 1.0)
    for terms in ((good, bad), (bad, good), (good, Decayed(np.zeros(2), two, 0, 1.0))):
        with pytest.raises(ValueError, match="unequal"):
            compiled_popularity.weigh_items(*terms, 1.0)
    with pytest.raises(ValueError, match="unequal"):
        compiled_popularity.largest_positive(three, np.zeros(2, np.uint64), 1)


@BOTH
@given(
    st.permutations(range(12)),
    st.integers(0, 12),
    st.sets(st.integers(0, 11)),
    st.lists(st.sets(st.integers(0, 14)), max_size=4),
    st.integers(0, 13),
)
def test_each_user_gets_the_best_available_items_that_are_not_excluded(
    kernels: ModuleType,
    ranked: list[int],
    count: int,
    gone: set[int],
    excluded: list[set[int]],
    n: int,
) -> None:
    unavailable = np.isin(np.arange(12), list(gone))
    found = kernels.choose_popular(np.array(ranked[:count], np.int64), unavailable, excluded, n)
    usable = [item for item in ranked[:count] if item not in gone]
    expected = [[item for item in usable if item not in own][:n] for own in excluded]
    assert found == (expected, len(usable))


@needs_compiled
def test_popular_items_without_a_number_are_refused() -> None:
    for item in (-1, 3):
        with pytest.raises(IndexError, match="without a number"):
            compiled_popularity.choose_popular(np.array([item]), np.zeros(3, np.bool_), [set()], 1)
