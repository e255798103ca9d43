"""The kernels of candidates, in NumPy and compiled: one meaning, the same bits."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.kernels.pure_edges import ITEM_BITS
from tests.streams.test_list_kernels import (
    BOTH,
    NOTHING,
    SEEDS,
    compiled,
    needs_compiled,
    pure,
    same,
)

OF_THREE = st.lists(st.sets(st.integers(0, 20)), min_size=3, max_size=3)


@given(st.lists(st.integers(0, 30)), st.lists(st.integers(0, 30)))
def test_what_stands_in_both_of_two_ascending_arrays_is_found(
    one: list[int], other: list[int]
) -> None:
    ascending, wanted = np.unique(np.array(one, np.int64)), np.sort(np.array(other, np.int64))
    found = pure.find_ascending(ascending, wanted)
    assert ascending[found].tolist() == sorted(item for item in other if item in one)


@BOTH
@given(st.lists(st.sets(st.integers(0, (1 << 32) - 1))))
def test_keys_of_sets_ascend_by_user_then_item(kernels: Any, sets: list[set[int]]) -> None:
    expected = [user << ITEM_BITS | item for user, own in enumerate(sets) for item in sorted(own)]
    found = kernels.ascending_keys(sets)
    assert found.dtype == np.int64
    assert found.tolist() == expected


@BOTH
@given(OF_THREE, OF_THREE, OF_THREE, st.sets(st.integers(0, 20)))
def test_what_must_not_be_on_a_list_is_held_back(
    kernels: Any,
    of_users: list[set[int]],
    repeated: list[set[int]],
    excluded: list[set[int]],
    gone: set[int],
) -> None:
    keys = pure.ascending_keys(of_users)
    unavailable = np.isin(np.arange(21), list(gone))
    prior = np.arange(len(keys)) / 7
    expected = []
    for score, key in zip(prior.tolist(), keys.tolist(), strict=True):
        user, item = key >> ITEM_BITS, key & 0xFFFF
        left = score - 0.7 if item in repeated[user] else score
        expected.append(-np.inf if item in excluded[user] | gone else left)
    kernels.hold_back(
        prior, keys, pure.ascending_keys(repeated), 0.7, pure.ascending_keys(excluded), unavailable
    )
    assert prior.tolist() == expected


@BOTH
def test_values_are_picked_at_places_of_any_shape(kernels: Any) -> None:
    values, places = np.array([7, 8, 9]), np.array([[0, -1], [2, 3]])
    assert kernels.pick(values, places, -5).tolist() == [[7, -5], [9, -5]]
    assert kernels.pick(values, places[:, ::-1], -5).tolist() == [[-5, 7], [-5, 9]]
    assert kernels.pick(NOTHING, places, 0).tolist() == [[0, 0], [0, 0]]
    assert kernels.pick(values, places[:0], 0).shape == (0, 2)


@needs_compiled
@given(SEEDS)
def test_groups_are_the_same_bits(seed: int) -> None:
    random = np.random.default_rng(seed)
    count = int(random.integers(0, 200))
    users = int(random.integers(1, 5))
    # Numbers of one digit and of several, each of which comes more than once.
    numbers = random.integers(0, random.choice([20, 1 << 12, 1 << 32]), 20)
    keys = numbers[random.integers(0, 20, count)] | random.integers(0, users, count) << ITEM_BITS
    first = int(random.integers(0, count + 1))
    columns = [(random.random(first), 0), (random.random(count - first), first)]
    order = np.argsort(keys, kind="stable")
    found = [kernels.group_keys(keys.copy(), users, columns) for kernels in (pure, compiled)]
    same(*found)
    same(found[0].grouped, pure.group_entries(keys[order], order, columns))


@BOTH
def test_groups_of_a_user_stand_together(kernels: Any) -> None:
    keys = kernels.ascending_keys([{3, 9}, set(), {3}])[::-1].copy()
    grouped, user_start, items = kernels.group_keys(keys, 4, [(np.ones(2), 1)])
    assert user_start.tolist() == [0, 2, 2, 3, 3]
    assert items.tolist() == [3, 9, 3]
    assert grouped.entries.tolist() == [2, 1, 0]
    assert grouped.sums[0].tolist() == [1.0, 1.0, 0.0]
    empty = kernels.group_keys(NOTHING.copy(), 2, [(np.empty(0), 0)])
    assert empty.user_start.tolist() == [0, 0, 0]
    assert empty.grouped.start.tolist() == [0]


@needs_compiled
def test_what_would_be_read_beyond_its_end_is_refused() -> None:
    three = np.zeros(3)
    for keys in (np.array([1 << ITEM_BITS]), np.array([-1])):
        with pytest.raises(IndexError):
            compiled.group_keys(keys, 1, [])
    with pytest.raises(IndexError):
        compiled.hold_back(three, np.arange(3), NOTHING, 1.0, NOTHING, np.zeros(2, np.bool_))
    with pytest.raises(ValueError, match="unequal"):
        compiled.hold_back(three, np.arange(2), NOTHING, 1.0, NOTHING, np.zeros(9, np.bool_))
    with pytest.raises(TypeError):
        compiled.ascending_keys([[1]])
