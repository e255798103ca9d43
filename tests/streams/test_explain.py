"""Every item of a list says why it is there."""

import msgspec
import pytest

from streams.blend import BlendWeights
from streams.events import ServedBy
from tests.streams.list_world import NOW_MS, World, crowd_world, random_world, reasons


def test_items_name_their_source_its_share_and_the_age_of_the_edge():
    world = World()
    world.crowd("a", "b", at_ms=NOW_MS - 34_000)
    world.clicks("u", "a")
    (ranked,) = world.lists("u")
    assert msgspec.to_builtins(ranked.items[0].reasons) == [
        {"code": "CO_CLICKED", "item_id": "a", "weight": 1.0, "age_seconds": 34.0}
    ]
    assert [reason.code.value for reason in ranked.items[1].reasons] == ["POPULAR"]


def test_every_listed_item_has_a_reason():
    world = random_world(4)
    for ranked in world.lists(*world.windows, weights=BlendWeights(own=0.3)):
        assert len(ranked.items) == 10
        assert all(item.reasons for item in ranked.items)


def test_own_history_is_told_with_its_age():
    world = World()
    world.clicks("u", "a", "b", at_ms=NOW_MS - 10_000)
    (ranked,) = world.lists("u", weights=BlendWeights(own=0.5))
    reason = reasons(ranked, "a")["OWN_HISTORY"]
    assert reason.age_seconds == 11.0
    assert reason.weight == pytest.approx(0.9 / 1.9, abs=1e-4)
    assert ranked.served_by is ServedBy.GRAPH


def test_a_burst_is_told_as_a_trend():
    world = World()
    world.crowd("burst", users=8)
    (ranked,) = world.lists("stranger")
    assert "TRENDING" in reasons(ranked, "burst")


def test_a_recently_announced_item_is_told_as_new():
    world = crowd_world()
    world.item("b", timestamp_ms=NOW_MS - 60_000)
    world.item("c", timestamp_ms=NOW_MS - 60 * 86_400_000)
    (ranked,) = world.lists("u")
    assert reasons(ranked, "b")["NEW_ITEM"].age_seconds == 60.0
    assert "NEW_ITEM" not in reasons(ranked, "c")
