import numpy as np
import pytest

from model.data import DataError, Event, sequences
from model.held_out import HeldOutItems, without_items


def log(events=4000, items=200):
    random = np.random.default_rng(0)
    return sequences(
        Event(f"u{user}", f"i{item}", time_ms, "click", cell)
        for user, item, time_ms, cell in zip(
            random.integers(0, 30, events).tolist(),
            random.integers(0, items, events).tolist(),
            random.integers(0, 500, events).tolist(),
            random.integers(0, 9, events).tolist(),
            strict=True,
        )
    )


def test_about_the_share_of_items_is_held_out_and_always_the_same():
    names = [f"i{n}" for n in range(5000)]
    out = [name for name in names if HeldOutItems(0.2).has(name)]
    assert 900 < len(out) < 1100
    assert out[:3] == ["i0", "i22", "i29"]
    assert out != [name for name in names if HeldOutItems(0.2, seed=1).has(name)]


def test_a_larger_share_holds_out_the_same_items_and_more():
    names = [f"i{n}" for n in range(500)]
    small = {name for name in names if HeldOutItems(0.1).has(name)}
    assert small < {name for name in names if HeldOutItems(0.3).has(name)}


def test_nothing_of_a_held_out_item_is_left():
    held_out = HeldOutItems(0.2)
    known = without_items(log(), held_out)
    assert known.items
    assert not any(map(held_out.has, known.items))


def test_all_other_events_stay_in_their_order_with_all_that_is_known_of_them():
    held_out, whole = HeldOutItems(0.2), log()
    known = without_items(whole, held_out)

    def rows(data):
        return [
            (data.users[u], data.items[i], t, c)
            for u, i, t, c in zip(data.user, data.item, data.time_ms, data.place_cell, strict=True)
            if not held_out.has(data.items[i])
        ]

    def by_user(data):
        return {u: [row for row in rows(data) if row[0] == u] for u in data.users}

    assert by_user(known) == by_user(whole)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_a_share_that_leaves_all_or_nothing_is_an_error(share):
    with pytest.raises(DataError, match="between 0 and 1"):
        without_items(log(), HeldOutItems(share))
