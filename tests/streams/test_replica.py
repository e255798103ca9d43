import numpy as np
import pytest

from streams.codec import frame
from streams.event_types import EventType, EventTypes
from streams.graph import GraphConfig, encode_item, new_item_state
from streams.popularity import popularity_at, trending_at
from streams.replica import GraphReplica
from tests.streams.item_folds import fold_edge, fold_popularity
from tests.streams.list_world import NOW_MS, World

HOUR_MS = 3_600_000


def state_with_edges(*edges, config=None):
    """State of an item with edges (destination, event type, time in ms)."""
    state = new_item_state()
    for offset, (destination, event_type, time_ms) in enumerate(edges):
        fold_edge(state, 0, offset, destination, event_type, 1, time_ms, config or GraphConfig())
    return state


def popular(replica, item, *times_ms, config=None):
    state = new_item_state()
    for offset, time_ms in enumerate(times_ms):
        fold_popularity(state, 0, offset, "click", time_ms, config or GraphConfig())
    replica.apply(item, encode_item(state))
    return state.popularity


def test_neighbours_are_the_edges_of_the_state_in_segments_by_event_type():
    replica = GraphReplica(GraphConfig())
    state = state_with_edges(
        ("b", "click", NOW_MS), ("c", "click", NOW_MS + 5_001), ("b", "purchase", NOW_MS + 9_999)
    )
    replica.apply("a", encode_item(state))
    neighbours = replica.neighbours("a")
    assert [replica.item_id(n) for n in neighbours.destinations] == ["b", "c", "b"]
    assert neighbours.last_ms.tolist() == [NOW_MS, NOW_MS + 5_000, NOW_MS + 9_000]
    clicks, purchases = state.edges["click"], state.edges["purchase"]
    assert neighbours.weights.tolist() == [
        clicks["b"].weight,
        clicks["c"].weight,
        purchases["b"].weight,
    ]
    assert neighbours.segments[:, 0].tolist() == [2, 1]
    assert neighbours.segments[:, 1].tolist() == [clicks.base, purchases.base]
    assert neighbours.segments[:, 2].tolist() == [clicks.half_life_ms, purchases.half_life_ms]
    assert neighbours.segments[:, 3].sum() == pytest.approx(neighbours.weights.sum())


def test_a_new_state_replaces_the_neighbours_at_once():
    replica = GraphReplica(GraphConfig())
    replica.apply("a", encode_item(state_with_edges(("b", "click", NOW_MS))))
    before = replica.neighbours("a")
    replica.apply("a", encode_item(state_with_edges(("c", "click", NOW_MS))))
    assert [replica.item_id(n) for n in replica.neighbours("a").destinations] == ["c"]
    assert [replica.item_id(n) for n in before.destinations] == ["b"]


def test_a_removed_item_has_neither_neighbours_nor_popularity():
    replica = GraphReplica(GraphConfig())
    popular(replica, "a", NOW_MS)
    popular(replica, "b", NOW_MS)
    replica.apply("a", None)
    replica.apply("never seen", None)
    assert len(replica) == 1
    assert replica.neighbours("a") is None
    assert replica.state("a") is None
    items, shares = replica.top_popular(5, NOW_MS)
    assert [replica.item_id(n) for n in items] == ["b"]
    assert shares.tolist() == [1.0]


def test_an_item_without_edges_or_unknown_has_no_neighbours():
    replica = GraphReplica(GraphConfig())
    popular(replica, "a", NOW_MS)
    assert replica.neighbours("a") is None
    assert replica.neighbours("unknown") is None


def test_edges_of_a_type_that_no_longer_expresses_interest_are_left_out():
    state = state_with_edges(("b", "click", NOW_MS), ("c", "like", NOW_MS))
    types = EventTypes([EventType("like", 1.0, 60.0, 1), EventType("click", 0.0, 60.0, 0)])
    replica = GraphReplica(GraphConfig(event_types=types))
    replica.apply("a", encode_item(state))
    assert [replica.item_id(n) for n in replica.neighbours("a").destinations] == ["c"]


def test_the_cache_of_items_that_were_read_is_bounded():
    replica = GraphReplica(GraphConfig(), cached_items=2)
    for item in "abc":
        replica.apply(item, encode_item(state_with_edges(("z", "click", NOW_MS))))
    first = replica.packed_edges("a")
    replica.packed_edges("b")
    assert replica.packed_edges("a") is first
    replica.packed_edges("c")
    assert replica.packed_edges("a") is first
    replica.packed_edges("b")
    replica.packed_edges("c")
    assert replica.packed_edges("a") is not first


@pytest.mark.parametrize("blob", [b"", b"\x01", frame(99, b"x" * 200), frame(1, b"short")])
def test_a_blob_that_cannot_be_read_is_counted_and_changes_nothing(blob):
    replica = GraphReplica(GraphConfig())
    replica.apply("a", encode_item(state_with_edges(("b", "click", NOW_MS))))
    replica.apply("a", blob)
    assert replica.damaged == 1
    assert [replica.item_id(n) for n in replica.neighbours("a").destinations] == ["b"]


def test_a_blob_damaged_behind_its_popularity_is_counted_when_it_is_unpacked():
    replica = GraphReplica(GraphConfig())
    blob = bytearray(encode_item(state_with_edges(("b", "click", NOW_MS))))
    blob[-1] ^= 0xFF
    replica.apply("a", bytes(blob))
    assert replica.neighbours("a") is None
    assert replica.damaged == 1


def test_popularity_shares_are_the_decayed_weights_over_their_sum():
    replica = GraphReplica(GraphConfig())
    weights = {
        "old": popular(replica, "old", *[NOW_MS - 30 * 24 * HOUR_MS] * 4),
        "new": popular(replica, "new", NOW_MS, NOW_MS),
        "mixed": popular(replica, "mixed", NOW_MS - 200 * HOUR_MS, NOW_MS - HOUR_MS),
    }
    values = {item: popularity_at(popularity, NOW_MS) for item, popularity in weights.items()}
    items, shares = replica.top_popular(10, NOW_MS)
    assert [replica.item_id(n) for n in items] == ["new", "mixed", "old"]
    expected = [values[name] / sum(values.values()) for name in ("new", "mixed", "old")]
    assert shares == pytest.approx(expected)


def test_shares_survive_bases_that_are_thousands_of_half_lives_apart():
    replica = GraphReplica(GraphConfig(popularity_half_life_seconds=1.0))
    config = GraphConfig(popularity_half_life_seconds=1.0)
    popular(replica, "old", NOW_MS - 9_000_000, config=config)
    popular(replica, "new", NOW_MS, config=config)
    items, shares = replica.top_popular(2, NOW_MS)
    assert [replica.item_id(n) for n in items] == ["new"]
    assert shares.tolist() == [1.0]


def test_state_of_another_half_life_is_converted_at_its_last_event():
    short = GraphConfig(popularity_half_life_seconds=3_600.0, trending_half_life_seconds=60.0)
    replica = GraphReplica(short)
    foreign = popular(replica, "foreign", NOW_MS - HOUR_MS, NOW_MS, config=GraphConfig())
    own = popular(replica, "own", NOW_MS, config=short)
    items, shares = replica.top_popular(2, NOW_MS)
    values = {"foreign": popularity_at(foreign, NOW_MS), "own": popularity_at(own, NOW_MS)}
    assert {replica.item_id(n): s for n, s in zip(items, shares, strict=True)} == pytest.approx(
        {name: value / sum(values.values()) for name, value in values.items()}
    )


def test_a_burst_trends_and_a_steady_item_does_not():
    replica = GraphReplica(GraphConfig())
    week = range(14 * 24)
    steady = popular(replica, "steady", *[NOW_MS - hour * HOUR_MS for hour in reversed(week)])
    popular(replica, "burst", *[NOW_MS] * 10)
    popular(replica, "single", NOW_MS)
    items, trends = replica.top_trending(3, NOW_MS)
    by_item = {replica.item_id(n): t for n, t in zip(items, trends, strict=True)}
    assert next(iter(by_item)) == "burst"
    assert by_item["burst"] > 5
    assert by_item["single"] < 2
    usual = popularity_at(steady, NOW_MS) * 6 / (7 * 24)
    assert by_item["steady"] == pytest.approx(trending_at(steady, NOW_MS) / (usual + 1))
    assert 0.5 < by_item["steady"] < 1.5


def test_trends_fade_with_time_without_any_event():
    replica = GraphReplica(GraphConfig())
    popular(replica, "burst", *[NOW_MS] * 10)
    _, now = replica.top_trending(1, NOW_MS)
    _, later = replica.top_trending(1, NOW_MS + 12 * HOUR_MS)
    assert later[0] < now[0] / 3


def test_whoever_looks_at_popularity_changes_nothing_of_what_lists_are_made_from():
    replica = GraphReplica(GraphConfig(), refresh_ms=1_000)
    for number in range(500):
        popular(replica, f"i{number}", NOW_MS)
    of_lists = replica.popularity(NOW_MS)
    popular(replica, "new", NOW_MS)
    assert replica.popularity_to_look_at(NOW_MS + 999) is of_lists
    own = replica.popularity_to_look_at(NOW_MS + 1_000)
    assert (own.at_ms, len(own)) == (NOW_MS + 1_000, 501)
    assert replica.popularity(NOW_MS + 999) is of_lists


def test_a_snapshot_follows_changes_after_the_refresh_time_or_when_many_changed():
    replica = GraphReplica(GraphConfig(), refresh_ms=1_000)
    for number in range(500):
        popular(replica, f"i{number}", NOW_MS)
    first = replica.popularity(NOW_MS)
    popular(replica, "i0", NOW_MS, NOW_MS)
    assert replica.popularity(NOW_MS + 999) is first
    second = replica.popularity(NOW_MS + 1_000)
    assert second is not first
    assert replica.popularity(NOW_MS + 2_500) is second
    for number in range(5):
        popular(replica, f"i{number}", NOW_MS, NOW_MS)
    assert replica.popularity(NOW_MS + 1_001) is not second


def test_in_a_small_graph_every_change_is_seen_at_once():
    replica = GraphReplica(GraphConfig())
    popular(replica, "a", NOW_MS)
    replica.top_popular(1, NOW_MS)
    popular(replica, "b", NOW_MS, NOW_MS)
    items, _ = replica.top_popular(1, NOW_MS)
    assert replica.item_id(items[0]) == "b"


def test_equally_popular_items_are_ordered_alike_whatever_the_order_of_arrival():
    names = [f"i{number}" for number in range(30)]
    orders = []
    for arrival in (names, names[::-1]):
        replica = GraphReplica(GraphConfig())
        for name in arrival:
            popular(replica, name, NOW_MS)
        items, _ = replica.top_popular(10, NOW_MS)
        orders.append([replica.item_id(n) for n in items])
    assert orders[0] == orders[1]
    assert len(set(orders[0])) == 10


def test_asking_for_more_than_the_first_time_gives_more():
    replica = GraphReplica(GraphConfig())
    for number in range(200):
        popular(replica, f"i{number}", *[NOW_MS] * (1 + number % 7))
    few, _ = replica.top_popular(3, NOW_MS)
    many, shares = replica.top_popular(150, NOW_MS)
    assert len(many) == 150
    assert many[:3].tolist() == few.tolist()
    assert (np.diff(shares) <= 0).all()


def test_numbers_of_items_are_dense_and_stable():
    world = World()
    world.clicks("u", *[f"i{number}" for number in range(3_000)])
    replica = world.replica
    assert sorted(replica.index(f"i{number}") for number in range(3_000)) == list(range(3_000))
    assert all(replica.item_id(replica.index(f"i{n}")) == f"i{n}" for n in range(3_000))
    assert replica.ids.find("unknown") == -1
    assert replica.ids.ranked_ids([2, 0, -1, -1]) == replica.ids.item_ids([2, 0])
    assert replica.ids.ranked_ids([2, 0]) == replica.ids.item_ids([2, 0])
    assert replica.ids.ranked_ids([-1]) == replica.ids.ranked_ids([]) == []
    assert len(replica.blobs()) == len(replica)


def test_neighbours_cannot_be_changed():
    replica = GraphReplica(GraphConfig())
    replica.apply("a", encode_item(state_with_edges(("b", "click", NOW_MS))))
    for column in replica.neighbours("a"):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 0


def test_edges_are_counted_as_items_come_change_and_go() -> None:
    config = GraphConfig()
    replica = GraphReplica(config)
    first, second = new_item_state(), new_item_state()
    for offset, item in enumerate(("a", "b", "c")):
        fold_edge(first, 0, offset, item, "click", 1, 1_000, config)
    fold_edge(second, 0, 9, "a", "click", 1, 1_000, config)
    replica.apply("x", encode_item(first))
    replica.apply("y", encode_item(second))
    assert replica.edges == 4
    replica.apply("x", encode_item(second))
    assert replica.edges == 2
    replica.apply("y", None)
    assert replica.edges == 1
