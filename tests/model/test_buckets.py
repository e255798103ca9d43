from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.buckets import CALL_COST_EVENTS, Buckets


def test_the_maxima_are_the_largest_buckets():
    buckets = Buckets.up_to(50, 40)
    assert buckets.lengths == (8, 16, 32, 50)
    assert buckets.batches == (1, 2, 4, 8, 16, 32, 40)
    assert [buckets.length_for(n) for n in (0, 8, 9, 50, 70)] == [8, 8, 16, 50, 50]
    assert [buckets.batch_for(n) for n in (1, 3, 33, 40)] == [1, 4, 40, 40]


def test_a_batch_above_the_largest_bucket_is_refused():
    with pytest.raises(ValueError, match="41 windows exceeds the largest of 40"):
        Buckets.up_to(50, 40).batch_for(41)
    with pytest.raises(ValueError, match=">= 1"):
        Buckets.up_to(0, 4)


@given(
    st.lists(st.integers(0, 100), max_size=150),
    st.booleans(),
)
def test_a_plan_holds_every_row_once_in_a_shape_that_fits(lengths: list[int], pad_batch: bool):
    buckets = Buckets.up_to(100, 64)
    plan = buckets.plan(lengths, pad_batch=pad_batch)
    assert sorted(row for group in plan for row in group.rows) == list(range(len(lengths)))
    for group in plan:
        assert group.length in buckets.lengths
        assert max(lengths[row] for row in group.rows) <= group.length
        assert group.batch in buckets.batches if pad_batch else group.batch == len(group.rows)
        assert len(group.rows) <= group.batch <= 64


@given(st.lists(st.integers(1, 100), min_size=1, max_size=64))
def test_a_plan_is_never_dearer_than_one_padded_batch(lengths: list[int]):
    buckets = Buckets.up_to(100, 64)
    plan = buckets.plan(lengths, pad_batch=False)
    cost = sum(group.batch * group.length + CALL_COST_EVENTS for group in plan)
    assert cost <= len(lengths) * buckets.length_for(max(lengths)) + CALL_COST_EVENTS


@given(st.lists(st.integers(0, 100), min_size=1, max_size=64))
def test_a_plan_is_as_cheap_as_any_in_which_neighbouring_lengths_run_together(lengths: list[int]):
    buckets = Buckets.up_to(100, 64)
    rows = Counter(map(buckets.length_for, lengths))
    present = sorted(rows)
    costs = []
    for cuts in product([False, True], repeat=len(present) - 1):
        cost, together = 0, 0
        for length, ends in zip(present, [*cuts, True], strict=True):
            together += rows[length]
            if ends:
                cost, together = cost + together * length + CALL_COST_EVENTS, 0
        costs.append(cost)
    plan = buckets.plan(lengths, pad_batch=False)
    found = sum(group.batch * group.length + CALL_COST_EVENTS for group in plan)
    assert found == min(costs)


def test_one_long_window_does_not_make_sixty_short_ones_long():
    plan = Buckets.up_to(200, 64).plan([5] * 60 + [200], pad_batch=False)
    assert sorted((group.batch, group.length) for group in plan) == [(1, 200), (60, 8)]


def test_a_few_rows_of_similar_length_run_in_one_call():
    assert len(Buckets.up_to(200, 64).plan([5, 12, 20], pad_batch=False)) == 1


def test_a_group_is_cut_for_calls_side_by_side_where_a_part_is_worth_a_call():
    buckets = Buckets.up_to(50, 64)
    parts = buckets.plan([50] * 64, pad_batch=False, side_by_side=2)
    assert [group.batch for group in parts] == [32, 32]
    few = CALL_COST_EVENTS // 50
    assert len(buckets.plan([50] * few, pad_batch=False, side_by_side=2)) == 1
    assert sorted(row for group in parts for row in group.rows) == list(range(64))
