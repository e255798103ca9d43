"""Hollow worker: the path between the brokers as of any worker, without graph and ranking.

Everything is read, checked, put into windows, sent, scored by the encoder, acknowledged and
committed as ever. But no graph is folded, no candidates are gathered and nothing is ranked: the
encoder gets the same full windows for every batch of a size, and every user gets the same list.
What this leaves is what no quicker graph or ranking can beat.
"""

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from streams.bench.full_windows import FullWindows
from streams.candidates import UserEvidence
from streams.events import (
    DegradedReason,
    ModelInfo,
    Reason,
    ReasonCode,
    RecommendedItem,
    ServedBy,
    WindowInfo,
    iso_utc,
)
from streams.graph_pipeline import GraphPipeline
from streams.lists import ListRequest, RankedList, RecommenderConfig
from streams.ranking import Prepared, PreparedUser
from streams.recommendation import ListedItems
from streams.recommender import YARDSTICK_SIZE, Recommender
from streams.scoring import Scorer
from streams.window import HistoryView
from streams.worker import Worker

if TYPE_CHECKING:
    from model.scorer import Scores


class _Ready(NamedTuple):
    """What is given to everybody while a model serves under a configuration."""

    scorer: Scorer
    config: RecommenderConfig
    nobody: Prepared
    """A batch without users."""
    windows: FullWindows
    listed: ListedItems
    yardstick: list[str]


class HollowRecommender(Recommender):
    """Gives every user the same list once it has met a model; until then it is a real one."""

    _ready: _Ready | None = None

    def prepare(self, requests: Sequence[ListRequest], scorer: Scorer | None) -> Prepared:
        """Full windows for the scorer. A batch that is too late for it comes without one."""
        ready = self._ready
        if scorer is not None and (
            ready is None or ready.scorer is not scorer or ready.config is not self.config
        ):
            ready = self._ready = self._made_ready(scorer)
        if ready is None:
            return super().prepare(requests, None)
        users = [_user(request) for request in requests]
        batch = None if scorer is None or not users else ready.windows.prepared(len(users))
        return msgspec.structs.replace(ready.nobody, users=users, batch=batch)

    def finish(
        self,
        prepared: Prepared,
        scores: "Scores | None",
        *,
        degraded_reason: DegradedReason | None,
        model: ModelInfo | None,
    ) -> list[RankedList]:
        """The list that is ready, for every user of the batch; the scores are not looked at."""
        ready = self._ready
        if ready is None:
            return super().finish(prepared, scores, degraded_reason=degraded_reason, model=model)
        encoded = scores is not None
        return [
            RankedList(
                request=user.request,
                listed=ready.listed,
                served_by=ServedBy.BERT_GRAPH if encoded else ServedBy.GRAPH,
                degraded_reason=None if encoded else degraded_reason,
                model=model if encoded else None,
                window=user.window,
                graph_ids=ready.yardstick,
                popularity_ids=ready.yardstick,
            )
            for user in prepared.users
        ]

    def _made_ready(self, scorer: Scorer) -> _Ready:
        config, names = self.config, scorer.items
        listed = enumerate(names[: config.list_size], 1)
        items = [_listed(name, rank, names[-1]) for rank, name in listed]
        size = max(config.rules.ranking_size(config.list_size), YARDSTICK_SIZE)
        windows = FullWindows(
            scorer,
            events=config.window.max_events,  # the encoder takes the newest, as of any window
            candidates=max(size, config.max_candidates),
        )
        nobody = super().prepare([], None)
        return _Ready(
            scorer, config, nobody, windows, ListedItems.of(items), list(names[:YARDSTICK_SIZE])
        )


class HollowGraphPipeline(GraphPipeline):
    """Reads transitions and keeps their chain; no item hears of them."""

    def _fold(self, *_: object) -> None:
        return


class HollowWorker(Worker):
    """A worker that makes no list of its own."""

    recommender_type = HollowRecommender
    graph_pipeline_type = HollowGraphPipeline


_NO_EVENTS = HistoryView([], [], array("q"), [])
_NO_EVIDENCE = UserEvidence(0, [], [], [])
_NO_ITEMS: set[int] = set()


def _user(request: ListRequest) -> PreparedUser:
    """Of a request's window only what its list tells of it."""
    window = request.window
    info = WindowInfo(len(window))
    if info.events:
        info.oldest, info.newest = iso_utc(window.oldest_ms), iso_utc(window.newest_ms)
    return PreparedUser(request, _NO_EVENTS, _NO_EVIDENCE, _NO_ITEMS, _NO_ITEMS, [], info)


def _listed(item_id: str, rank: int, source: str) -> RecommendedItem:
    """With as many reasons and digits as an item of graph and encoder has."""
    reasons = [
        Reason(ReasonCode.CO_CLICKED, source, weight=0.0123, age_seconds=12.345),
        Reason(ReasonCode.SEQUENCE, source, delta=0.4567),
    ]
    return RecommendedItem(item_id, rank, round(-0.1234 * rank, 4), "", reasons)
