from streams.catalogue import Catalogue
from streams.events import Item
from streams.item_index import ItemIndex

DAY_MS = 86_400_000
NOW_MS = 1_769_860_800_000


def make():
    ids = ItemIndex()
    return Catalogue(ids), ids


def test_an_unknown_item_is_available_and_has_no_title():
    catalogue, ids = make()
    assert catalogue.available("x")
    assert catalogue.title("x") == ""
    assert list(catalogue.categories("x")) == []
    assert catalogue.get("x") is None
    assert not catalogue.unavailable_mask()[ids.index("x")]


def test_the_latest_message_about_an_item_counts():
    catalogue, ids = make()
    catalogue.apply(Item("x", title="Old", categories=["a"], available=False))
    assert not catalogue.available("x")
    assert catalogue.unavailable_mask()[ids.find("x")]
    catalogue.apply(Item("x", title="New", categories=["b"]))
    assert catalogue.available("x")
    assert catalogue.title("x") == "New"
    assert catalogue.titles(["y", "x"]) == ["", "New"]
    assert catalogue.categories("x") == ["b"]
    assert len(catalogue) == 1


def test_a_withdrawn_item_is_unavailable_until_it_comes_back():
    catalogue, _ = make()
    catalogue.apply(Item("x", title="X", timestamp_ms=NOW_MS))
    catalogue.withdraw("x")
    catalogue.withdraw("never announced")
    assert not catalogue.available("x")
    assert not catalogue.available("never announced")
    assert catalogue.title("x") == ""
    assert catalogue.new_items(NOW_MS, DAY_MS).tolist() == []
    catalogue.apply(Item("x"))
    assert catalogue.available("x")


def test_the_mask_covers_items_that_only_the_graph_knows():
    catalogue, ids = make()
    for number in range(5_000):
        ids.index(f"i{number}")
    assert len(catalogue.unavailable_mask()) >= 5_000
    assert len(catalogue.announced_ms()) >= 5_000
    catalogue.withdraw("i4999")
    assert catalogue.unavailable_mask().sum() == 1


def test_new_items_are_the_available_ones_announced_within_the_period():
    catalogue, ids = make()
    catalogue.apply(Item("new", timestamp_ms=NOW_MS - DAY_MS + 1))
    catalogue.apply(Item("old", timestamp_ms=NOW_MS - DAY_MS))
    catalogue.apply(Item("future", timestamp_ms=NOW_MS + 1))
    catalogue.apply(Item("undated"))
    catalogue.apply(Item("gone", timestamp_ms=NOW_MS, available=False))
    new = catalogue.new_items(NOW_MS, DAY_MS)
    assert [ids.item_id(n) for n in new] == ["new"]


def test_a_change_of_an_old_item_does_not_make_it_new():
    catalogue, ids = make()
    catalogue.apply(Item("x", timestamp_ms=NOW_MS - 10 * DAY_MS))
    catalogue.apply(Item("x", price=2.0, timestamp_ms=NOW_MS))
    assert catalogue.new_items(NOW_MS, DAY_MS).tolist() == []
    assert catalogue.announced_ms()[ids.find("x")] == NOW_MS - 10 * DAY_MS
