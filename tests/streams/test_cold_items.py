from types import SimpleNamespace

import numpy as np
import pytest

from streams.catalogue import Catalogue
from streams.cold_items import ColdIndex, ColdItems
from streams.events import Item
from streams.item_index import ItemIndex
from streams.scoring import EncoderIndex
from tests.streams.list_world import BlendWeights, FakeScorer, World, ids, reasons


class TextScorer(FakeScorer):
    """Knows some items; new ones get the log-probability that is their bias."""

    def __init__(self, log_probs, top=3, text=True):
        super().__init__(log_probs, top)
        self.text = object() if text else None
        self.manifest = SimpleNamespace(dim=2, text=True)

    def item_index(self, item_id):
        return self.items.index(item_id) + 1 if item_id in self.items else 0

    def prepare(self, histories, candidates, new_items=None):
        self.new_items = new_items
        own = np.where(candidates > len(self.items), 0, candidates)
        return (*super().prepare(histories, own), candidates)

    def run(self, prepared):
        from model.scorer import with_new_items

        *own, candidates = prepared
        scores = super().run(own)
        if self.new_items is None:
            return scores
        log_probs = np.broadcast_to(
            self.new_items.biases, (len(candidates), len(self.new_items[1]))
        )
        return with_new_items(scores, log_probs, candidates, len(self.items))


def places(*biases):
    from model.scorer import ItemVectors

    vectors = np.tile(np.array(biases, np.float32)[:, None], (1, 2))
    return ItemVectors(vectors, np.array(biases, np.float32))


class Shop:
    """A catalogue and its cold items."""

    def __init__(self, limit=10):
        self.ids = ItemIndex()
        self.catalogue = Catalogue(self.ids)
        self.cold = ColdItems(self.ids, self.catalogue, limit=limit)

    def publish(self, item_id, title="a title", **fields):
        item = Item(item_id, title, **fields)
        self.catalogue.apply(item)
        self.cold.apply(item)

    def place_all(self, scorer, bias=1.0):
        items = self.cold.take(100)
        self.cold.place(scorer, items, places(*[bias] * len(items)))

    def placed(self, scorer):
        snapshot = self.cold.of(scorer)
        return [] if snapshot is None else self.ids.item_ids(snapshot.numbers.tolist())


def test_only_items_that_the_encoder_does_not_know_are_placed():
    shop, scorer = Shop(), TextScorer({"known": -1.0})
    shop.cold.serve(scorer)
    shop.publish("known")
    shop.publish("new")
    assert [item.item_id for item in shop.cold.take(9)] == ["new"]


def test_items_published_before_the_model_was_loaded_are_placed_too():
    shop, scorer = Shop(), TextScorer({"known": -1.0})
    shop.publish("early")
    assert shop.cold.waiting == 0
    shop.cold.serve(scorer)
    shop.place_all(scorer)
    assert shop.placed(scorer) == ["early"]


def test_the_newest_item_is_placed_first():
    shop = Shop()
    shop.cold.serve(TextScorer({}))
    for name in ("a", "b", "c"):
        shop.publish(name)
    assert [item.item_id for item in shop.cold.take(2)] == ["c", "b"]
    assert [item.item_id for item in shop.cold.take(2)] == ["a"]


def test_an_item_without_text_is_not_placed():
    shop = Shop()
    shop.cold.serve(TextScorer({}))
    shop.publish("silent", "")
    shop.publish("categorised", "", categories=["desk"])
    assert [item.item_id for item in shop.cold.take(9)] == ["categorised"]


def test_nothing_waits_for_a_model_without_item_text():
    shop, scorer = Shop(), TextScorer({}, text=False)
    shop.cold.serve(scorer)
    shop.publish("new")
    assert shop.cold.waiting == 0
    assert shop.cold.of(scorer) is None


def test_a_message_that_leaves_the_text_as_it_was_places_nothing_again():
    shop, scorer = Shop(), TextScorer({})
    shop.cold.serve(scorer)
    shop.publish("new")
    shop.place_all(scorer)
    shop.publish("new", price=3.0)
    assert shop.cold.waiting == 0
    shop.publish("new", "another title")
    assert shop.cold.waiting == 1
    shop.publish("new")
    assert shop.cold.waiting == 0


def test_a_changed_text_moves_the_item():
    shop, scorer = Shop(), TextScorer({})
    shop.cold.serve(scorer)
    shop.publish("new")
    shop.place_all(scorer, 1.0)
    shop.publish("new", "another title")
    shop.place_all(scorer, 2.0)
    assert shop.cold.of(scorer).vectors.biases.tolist() == [2.0]


def test_an_item_withdrawn_or_changed_while_it_was_encoded_is_not_placed():
    shop, scorer = Shop(), TextScorer({})
    shop.cold.serve(scorer)
    shop.publish("gone")
    shop.publish("changed")
    items = shop.cold.take(9)
    shop.catalogue.withdraw("gone")
    shop.cold.withdraw("gone")
    shop.publish("changed", "another title")
    shop.cold.place(scorer, items, places(1.0, 1.0))
    assert shop.placed(scorer) == []


def test_withdrawn_items_free_their_place_and_the_others_keep_theirs():
    shop, scorer = Shop(), TextScorer({})
    shop.cold.serve(scorer)
    for name in "abcd":
        shop.publish(name)
    items = shop.cold.take(4)
    shop.cold.place(scorer, items, places(*(float(ord(item.item_id)) for item in items)))
    for name in ("b", "d"):
        shop.catalogue.withdraw(name)
        shop.cold.withdraw(name)
    snapshot = shop.cold.of(scorer)
    names = shop.ids.item_ids(snapshot.numbers.tolist())
    assert sorted(names) == ["a", "c"]
    assert snapshot.vectors.biases.tolist() == [float(ord(name)) for name in names]


def test_of_more_items_than_fit_the_newest_are_placed():
    shop, scorer = Shop(limit=3), TextScorer({})
    shop.cold.serve(scorer)
    for number in range(5):
        shop.publish(f"i{number}")
        shop.place_all(scorer)
    assert sorted(shop.placed(scorer)) == ["i2", "i3", "i4"]
    assert len(shop.cold) == 3


def test_of_more_items_than_may_wait_the_newest_do():
    shop = Shop(limit=3)
    shop.cold.serve(TextScorer({}))
    for number in range(5):
        shop.publish(f"i{number}")
    assert [item.item_id for item in shop.cold.take(9)] == ["i4", "i3", "i2"]


def test_places_of_one_model_are_never_used_with_another():
    shop, old, new = Shop(), TextScorer({}), TextScorer({})
    shop.cold.serve(old)
    shop.publish("a")
    shop.publish("b")
    (late,) = shop.cold.take(1)
    shop.place_all(old)
    shop.cold.serve(new)
    assert shop.cold.of(new) is None
    shop.cold.place(old, [late], places(1.0))
    assert shop.cold.of(new) is None
    assert shop.cold.of(old) is None
    assert shop.cold.waiting == 2


def test_a_snapshot_does_not_change_when_items_come_and_go():
    shop, scorer = Shop(), TextScorer({})
    shop.cold.serve(scorer)
    shop.publish("a")
    shop.place_all(scorer, 1.0)
    snapshot = shop.cold.of(scorer)
    assert shop.cold.of(scorer) is snapshot
    shop.publish("a", "another title")
    shop.place_all(scorer, 2.0)
    assert snapshot.vectors.biases.tolist() == [1.0]
    assert shop.cold.of(scorer) is not snapshot


@pytest.mark.parametrize("cold", [["x", "b", "y"], []])
def test_numbers_and_ids_translate_both_ways(cold):
    numbers = ItemIndex()
    scorer = FakeScorer({"k1": -1.0, "k2": -2.0})
    base = EncoderIndex(scorer, numbers)
    cold_numbers = np.array([numbers.index(name) for name in cold], dtype=np.int64)
    other = numbers.index("other")
    index = ColdIndex(base, 2, cold_numbers)
    items = np.array([[numbers.index("k2"), -1, other, *cold_numbers]])
    expected = [2, 0, 0, *range(3, 3 + len(cold))]
    assert index.encoder_ids(items).tolist() == [expected]
    back = index.numbers(np.array([expected]))
    assert back.tolist() == [[items[0, 0], -1, -1, *cold_numbers]]


# -- in lists


def world_with(scorer, *, bias):
    """u clicked `known`; `fresh` is in the catalogue and no one has ever clicked it."""
    world = World()
    world.clicks("u", "known")
    world.cold_items = ColdItems(world.replica.ids, world.catalogue)
    world.cold_items.serve(scorer)
    world.item("fresh", title="Fresh")
    world.cold_items.apply(world.catalogue.get("fresh"))
    items = world.cold_items.take(9)
    world.cold_items.place(scorer, items, places(bias))
    return world


SCORER_ITEMS = {"known": -3.0, "other": -1.0, "third": -2.0}


def test_a_new_item_that_its_text_speaks_for_is_listed_and_says_so():
    scorer = TextScorer(SCORER_ITEMS)
    (ranked,) = world_with(scorer, bias=-0.5).lists("u", scorer=scorer)
    assert ids(ranked)[0] == "fresh"
    assert ranked.items[0].title == "Fresh"
    why = reasons(ranked, "fresh")
    assert set(why) == {"SEQUENCE", "NEW_ITEM"}
    assert why["SEQUENCE"].item_id == "known"
    assert "NEW_ITEM" not in reasons(ranked, "other")


def test_a_new_item_below_the_encoders_best_is_not_listed():
    scorer = TextScorer(SCORER_ITEMS)
    (ranked,) = world_with(scorer, bias=-9.0).lists("u", scorer=scorer)
    assert "fresh" not in ids(ranked)


def test_the_others_score_as_without_new_items():
    scorer = TextScorer(SCORER_ITEMS)
    world = world_with(scorer, bias=-0.5)
    (beside,) = world.lists("u", scorer=scorer)
    world.cold_items = None
    (alone,) = world.lists("u", scorer=scorer)
    others = [item for item in beside.items if item.item_id != "fresh"]
    assert [(item.item_id, item.score, item.reasons) for item in others] == [
        (item.item_id, item.score, item.reasons) for item in alone.items
    ]


def test_what_the_graph_says_of_a_new_item_is_added_to_what_its_text_says():
    scorer = TextScorer(SCORER_ITEMS)
    world = world_with(scorer, bias=-0.5)
    weights = BlendWeights(popularity=0.0)
    (before,) = world.lists("u", scorer=scorer, weights=weights)
    world.crowd("known", "fresh", users=3)
    (after,) = world.lists("u", scorer=scorer, weights=weights)
    assert after.items[0].score > before.items[0].score
    assert {"CO_CLICKED", "SEQUENCE", "NEW_ITEM"} <= set(reasons(after, "fresh"))


def test_an_unavailable_or_withdrawn_new_item_is_not_listed():
    scorer = TextScorer(SCORER_ITEMS)
    world = world_with(scorer, bias=-0.5)
    world.item("fresh", title="Fresh", available=False)
    (ranked,) = world.lists("u", scorer=scorer)
    assert "fresh" not in ids(ranked)
    world = world_with(scorer, bias=-0.5)
    world.catalogue.withdraw("fresh")
    (ranked,) = world.lists("u", scorer=scorer)
    assert "fresh" not in ids(ranked)
