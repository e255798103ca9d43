"""A small world of users and items, folded by the real folds, that lists can be made from."""

import random

import numpy as np

from streams.blend import BlendWeights
from streams.catalogue import Catalogue
from streams.events import Click, Item, Trigger
from streams.graph import GraphConfig, encode_item, new_item_state
from streams.recommender import ListRequest, Recommender, RecommenderConfig
from streams.replica import GraphReplica
from streams.window import WindowConfig, fold
from tests.streams.item_folds import fold_edge, fold_popularity

NOW_MS = 1_769_860_800_000
SECOND_MS = 1_000


class World:
    """Clicks go through window and graph as in a worker, without partitions."""

    def __init__(self, **config):
        self.graph = GraphConfig(**config)
        self.window = WindowConfig(event_types=self.graph.event_types)
        self.replica = GraphReplica(self.graph)
        self.catalogue = Catalogue(self.replica.ids)
        self.windows = {}
        self.states = {}
        self.cold_items = None
        self._offset = 0

    def click(self, user, item, event_type="click", at_ms=NOW_MS, place_cell=0):
        self._offset += 1
        click = Click(
            user_id=user,
            item_id=item,
            event_type=event_type,
            timestamp_ms=at_ms,
            event_id=None,
            value=1.0,
            recommendation_id=None,
            position=None,
            place_cell=place_cell,
        )
        self.windows[user], _, predecessors = fold(
            self.windows.get(user), click, 0, self._offset, at_ms, self.window
        )
        for distance, source in enumerate(predecessors, 1):
            if source is not None:
                state = self.states.setdefault(source, new_item_state())
                fold_edge(state, 0, self._offset, item, event_type, distance, at_ms, self.graph)
                self.replica.apply(source, encode_item(state))
        state = self.states.setdefault(item, new_item_state())
        fold_popularity(state, 0, self._offset, event_type, at_ms, self.graph)
        self.replica.apply(item, encode_item(state))

    def clicks(self, user, *items, at_ms=NOW_MS):
        """Clicks one second apart, the last at `at_ms`."""
        for place, item in enumerate(items):
            self.click(user, item, at_ms=at_ms - SECOND_MS * (len(items) - 1 - place))

    def crowd(self, *items, users=1, at_ms=NOW_MS):
        """Several users who click the same items in the same order."""
        for number in range(users):
            self.clicks(f"crowd-{items}-{number}", *items, at_ms=at_ms)

    def item(self, item_id, **fields):
        self.catalogue.apply(Item(item_id, **fields))

    def request(self, user, now_ms=NOW_MS, **fields):
        window = self.windows.get(user)
        if window is None:
            window, _, _ = fold(None, _impression(user), 0, 0, now_ms, self.window)
        trigger = Trigger(None, "clicks", 0, 1, "2026-01-31T12:00:00.000Z")
        return ListRequest(user, window, trigger, 0, now_ms, 0.0, **fields)

    def recommender(self, **config):
        return Recommender(
            self.replica,
            self.catalogue,
            RecommenderConfig(window=self.window, **config),
            self.cold_items,
        )

    def lists(self, *users, scorer=None, degraded_reason=None, model=None, **config):
        recommender = self.recommender(**config)
        prepared = recommender.prepare([self.request(user) for user in users], scorer)
        scores = None if scorer is None or prepared.batch is None else scorer.run(prepared.batch)
        return recommender.finish(prepared, scores, degraded_reason=degraded_reason, model=model)


def crowd_world():
    """a is followed by b three times and by c once; z is popular and follows nothing."""
    world = World()
    world.crowd("a", "b", users=3)
    world.crowd("a", "c", users=1)
    world.crowd("z", users=9)
    world.clicks("u", "a")
    return world


def random_world(seed, clicks=400):
    """Clicks of 15 users on 30 items, an hour apart."""
    world = World(max_neighbours=20)
    drawn = random.Random(seed)
    for step in range(clicks):
        event_type = drawn.choice(["click", "click", "view", "purchase"])
        at_ms = NOW_MS - (clicks - step) * 3_600_000 + drawn.randrange(3_600_000)
        world.click(f"u{drawn.randrange(15)}", f"i{drawn.randrange(30)}", event_type, at_ms)
    return world


def _impression(user):
    return Click(
        user_id=user,
        item_id="seen",
        event_type="impression",
        timestamp_ms=NOW_MS,
        event_id=None,
        value=1.0,
        recommendation_id=None,
        position=None,
        place_cell=0,
    )


class FakeScorer:
    """Log-probabilities by item, the same for every history that has a known item."""

    def __init__(self, log_probs, top=3):
        self.items = list(log_probs)
        self.log_probs = np.array([-np.inf, *log_probs.values()], dtype=np.float32)
        self.top = top
        self.histories = []

    def prepare(self, histories, candidates):
        self.histories = histories
        known = [any(item in self.items for item in history.items) for history in histories]
        return np.array(known, dtype=bool), candidates

    def run(self, prepared):
        from model.scorer import Scores

        known, candidates = prepared
        best = np.argsort(-self.log_probs[1:], kind="stable")[: self.top] + 1
        top_ids = np.where(known[:, None], best, 0)
        of_candidates = np.where(known[:, None], self.log_probs[candidates], -np.inf)
        return Scores(top_ids, self.log_probs[top_ids], of_candidates.astype(np.float32))


def ids(ranked):
    return [item.item_id for item in ranked.items]


def reasons(ranked, item_id):
    (item,) = [item for item in ranked.items if item.item_id == item_id]
    return {reason.code.value: reason for reason in item.reasons}


__all__ = [
    "NOW_MS",
    "BlendWeights",
    "FakeScorer",
    "World",
    "crowd_world",
    "ids",
    "random_world",
    "reasons",
]
