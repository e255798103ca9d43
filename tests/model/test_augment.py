"""Augmentation of windows: what may change, what must not, and that it is the whole batch's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.augment import (
    TARGETS,
    Augmentation,
    augmented,
    cropped,
    dropped,
    masked,
    reordered,
)

B, L = 64, 20


def batch(lengths: np.ndarray | None = None, size: int = B) -> tuple[dict, np.ndarray]:
    """Windows whose features tell which event they belong to, with the clock's in step."""
    if lengths is None:
        lengths = np.random.default_rng(7).integers(1, L + 1, size)
    real = np.arange(L) < lengths[:, None]
    items = np.where(real, np.arange(L) + 1 + 100 * np.arange(len(lengths))[:, None], 0)
    gaps = np.where(real, np.arange(L) % 7 + 2, 0)
    gaps[lengths > 0, 0] = 1
    hours = np.where(real, np.arange(L) + 1, 0)
    inputs = {
        "items": items, "event_types": items * 3, "places": items * 5, "time_gaps": gaps,
        "hours": hours,
    }  # fmt: skip
    return inputs, lengths


def well_formed(inputs: dict, lengths: np.ndarray) -> None:
    real = np.arange(L) < lengths[:, None]
    for array in inputs.values():
        if array.ndim == 2:
            assert array.shape == real.shape
            assert not array[~real].any()
    assert (inputs["items"][real] > 0).all()


def test_nothing_asked_for_changes_nothing():
    inputs, lengths = batch()
    out = augmented(inputs, lengths, np.random.default_rng(0), Augmentation())
    for name, array in inputs.items():
        assert np.array_equal(out[name], array)
    assert np.array_equal(out["lengths"], lengths)
    assert np.array_equal(out[TARGETS], inputs["items"])
    assert not Augmentation().active


def test_a_crop_is_contiguous_of_the_asked_size_and_begins_anywhere():
    inputs, lengths = batch()
    out, kept = cropped(inputs, lengths, np.random.default_rng(0), 1.0, 0.5)
    well_formed(out, kept)
    assert np.array_equal(kept, np.minimum(lengths, np.maximum(2, np.ceil(lengths / 2))))
    for row in range(B):
        items = out["items"][row, : kept[row]]
        assert np.array_equal(np.diff(items), np.ones(len(items) - 1))
        assert (items % 100 <= lengths[row]).all()
    starts = {int(s) for s in out["items"][lengths == L, 0] % 100}
    assert len(starts) > 1


def test_features_move_with_a_crop_and_its_first_gap_is_unknown():
    inputs, lengths = batch(np.full(B, L))
    out, kept = cropped(inputs, lengths, np.random.default_rng(0), 1.0, 0.5)
    assert np.array_equal(out["event_types"], out["items"] * 3)
    assert np.array_equal(out["places"], out["items"] * 5)
    assert (out["time_gaps"][:, 0] == 1).all()
    place = (out["items"][:, 1 : kept[0]] - 1) % 100
    assert np.array_equal(out["time_gaps"][:, 1 : kept[0]], place % 7 + 2)
    assert np.array_equal(out["hours"][:, 1 : kept[0]], place + 1)


def test_a_span_is_shuffled_and_everything_outside_it_stays():
    inputs, lengths = batch(np.full(B, L))
    out = reordered(inputs, lengths, np.random.default_rng(0), 1.0, 0.25)
    well_formed(out, lengths)
    assert np.array_equal(np.sort(out["items"], 1), inputs["items"])
    moved = out["items"] != inputs["items"]
    reach = [np.ptp(np.flatnonzero(row)) + 1 for row in moved if row.any()]
    assert len(reach) > B * 0.8
    assert max(reach) <= 5


def test_a_swap_takes_the_events_features_along_and_leaves_the_clock():
    inputs, lengths = batch()
    out = reordered(inputs, lengths, np.random.default_rng(0), 1.0, 0.5)
    assert np.array_equal(out["event_types"], out["items"] * 3)
    assert np.array_equal(out["places"], out["items"] * 5)
    assert np.array_equal(out["time_gaps"], inputs["time_gaps"])
    assert np.array_equal(out["hours"], inputs["hours"])


def test_every_order_of_a_span_is_as_likely_as_any_other():
    inputs, lengths = batch(np.full(6000, 3), 6000)
    out = reordered(inputs, lengths, np.random.default_rng(0), 1.0, 1.0)
    orders, counts = np.unique(out["items"][:, :3] % 100, axis=0, return_counts=True)
    assert len(orders) == 6
    assert counts.min() > 880  # of 1,000 expected; five standard deviations are 144
    assert counts.max() < 1120


def test_masks_hide_items_alone_in_the_asked_share():
    inputs, lengths = batch(np.full(B, L))
    out = masked(inputs, lengths, np.random.default_rng(0), 0.3, 9999)
    hidden = out["items"] == 9999
    assert 0.25 < hidden.mean() < 0.35
    assert np.array_equal(out["items"][~hidden], inputs["items"][~hidden])
    for name in ("event_types", "places", "time_gaps", "hours"):
        assert np.array_equal(out[name], inputs[name])


def test_targets_are_the_items_before_the_mask():
    inputs, lengths = batch()
    out = augmented(inputs, lengths, np.random.default_rng(0), Augmentation(mask=0.5), mask_id=0)
    assert np.array_equal(out[TARGETS], inputs["items"])
    assert (out["items"] != inputs["items"]).any()


def test_dropped_events_leave_the_others_in_order_with_their_features():
    inputs, lengths = batch(np.full(B, L))
    out, kept = dropped(inputs, lengths, np.random.default_rng(0), 0.4)
    well_formed(out, kept)
    assert 0.5 < kept.sum() / lengths.sum() < 0.7
    for row in range(B):
        assert (np.diff(out["items"][row, : kept[row]]) > 0).all()
    assert np.array_equal(out["event_types"], out["items"] * 3)
    assert np.array_equal(out["hours"][out["hours"] > 0], (out["items"][out["items"] > 0]) % 100)


def test_the_gap_over_dropped_events_is_the_largest_it_bridges():
    inputs, lengths = batch(np.full(B, L))
    out, kept = dropped(inputs, lengths, np.random.default_rng(0), 0.5)
    for row in range(B):
        places = (out["items"][row, : kept[row]] - 1) % 100
        gaps = out["time_gaps"][row, : kept[row]]
        assert gaps[0] == 1
        before = inputs["time_gaps"][row]
        for at in range(1, kept[row]):
            assert gaps[at] == before[places[at - 1] + 1 : places[at] + 1].max()


@pytest.mark.parametrize(
    "config", [Augmentation(crop=0.5, reorder=0.5), Augmentation(crop=0.5, mask=0.3)]
)
def test_a_distance_is_known_only_from_the_event_that_was_the_previous_one_before(
    config: Augmentation,
):
    inputs, lengths = batch(np.full(B, L))
    inputs["distances"] = np.where(np.arange(L) > 0, inputs["items"] + 1, 1)
    out = augmented(inputs, lengths, np.random.default_rng(0), config)
    well_formed(out, out["lengths"])
    real = out["items"] > 0
    follows = np.diff(out["items"], axis=1, prepend=0) == 1
    follows[:, 0] = False
    assert np.array_equal(out["distances"], np.where(follows, out["items"] + 1, 1) * real)
    assert 0.2 < follows[real].mean() < 0.95


def test_two_events_survive_the_harshest_dropping():
    inputs, lengths = batch()
    _, kept = dropped(inputs, lengths, np.random.default_rng(0), 0.999)
    assert np.array_equal(kept, np.minimum(lengths, np.maximum(kept, 2)))
    assert (kept >= np.minimum(lengths, 2)).all()


@given(
    seed=st.integers(0, 2**32 - 1),
    crop=st.floats(0, 1),
    mask=st.floats(0, 0.99),
    reorder=st.floats(0, 1),
    mask_id=st.sampled_from([None, 7777]),
    lengths=st.lists(st.integers(0, L), min_size=1, max_size=6),
)
def test_whatever_is_asked_windows_stay_well_formed_and_items_the_users_own(
    seed: int, crop: float, mask: float, reorder: float, mask_id: int | None, lengths: list[int]
):
    inputs, sizes = batch(np.array(lengths))
    before = {name: array.copy() for name, array in inputs.items()}
    random = np.random.default_rng(seed)
    out = augmented(inputs, sizes, random, Augmentation(crop, mask, reorder), mask_id)
    well_formed(out, out["lengths"])
    assert (out["lengths"] >= np.minimum(sizes, 2)).all()
    assert (out["lengths"] <= sizes).all()
    for row in range(len(sizes)):
        own = set(inputs["items"][row, : sizes[row]].tolist())
        assert set(out[TARGETS][row, : out["lengths"][row]].tolist()) <= own
    for name, array in before.items():
        assert np.array_equal(inputs[name], array)


def test_the_same_seed_gives_the_same_windows():
    inputs, lengths = batch()
    config = Augmentation(0.5, 0.2, 0.5)
    one, other = (augmented(inputs, lengths, np.random.default_rng(5), config, 0) for _ in range(2))
    assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("config", [Augmentation(crop=1.5), Augmentation(mask=-0.1)])
def test_a_share_outside_0_to_1_is_refused_by_name(config: Augmentation):
    inputs, lengths = batch()
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        augmented(inputs, lengths, np.random.default_rng(0), config)
    with pytest.raises(ValueError, match="nothing would be left"):
        Augmentation(mask=1.0).check()
