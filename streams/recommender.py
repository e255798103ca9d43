"""Recommender: from the state of a batch of users to one ranked list each.

Two pure steps around the encoder, which runs elsewhere and may fail:

1. `prepare` reads windows, graph, popularity and catalogue, gathers candidates and the encoder's
   inputs. The windows are not needed afterwards, so they may change while the encoder runs.
2. `finish` blends the encoder's scores in, if there are any, ranks, applies the rules and
   explains.

A list depends on its user's state, the replica and the catalogue, never on the rest of the batch.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from streams.blend import BlendWeights, popularity_score, prior_score
from streams.candidates import UserEvidence, gather
from streams.catalogue import Catalogue
from streams.cold_items import ColdIndex, ColdItems
from streams.events import DegradedReason, ModelInfo, ServedBy, WindowInfo, iso_utc
from streams.kernels import (
    ascending_keys,
    choose_popular,
    choose_top,
    hold_back,
    last_distinct,
    take,
)
from streams.list_writer import write_lists
from streams.lists import ListRequest, RankedList, RecommenderConfig
from streams.popularity_table import PopularitySnapshot
from streams.ranking import Prepared, PreparedUser, Ranking, rank_by_prior, rank_with_encoder
from streams.replica import GraphReplica
from streams.scoring import EncoderIndex, Scorer
from streams.window import HistoryView, history, negatives

if TYPE_CHECKING:
    from model.scorer import History, Scores

__all__ = ["ListRequest", "Prepared", "RankedList", "Recommender", "RecommenderConfig", "Scorer"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

YARDSTICK_SIZE = 10
_EVENTS_A_SOURCE = 4


class _Read(NamedTuple):
    """What a window and the catalogue say of a user, before candidates are gathered."""

    history: HistoryView
    sources: list[str]
    excluded: set[int]
    repeated: set[int]


class Recommender:
    """Makes lists from a replica of the graph and the catalogue.

    `config` may be replaced at any time: a prepared batch is finished as it was begun.
    """

    def __init__(
        self,
        replica: GraphReplica,
        catalogue: Catalogue,
        config: RecommenderConfig,
        cold_items: ColdItems | None = None,
    ) -> None:
        """`cold_items`: items that the encoder is to score by their text; None: no items are."""
        self.config = config
        self._cold_items = cold_items
        self._replica = replica
        self._catalogue = catalogue
        self._indexes: WeakKeyDictionary[Scorer, EncoderIndex] = WeakKeyDictionary()
        self._popular_score: tuple[PopularitySnapshot | None, BlendWeights | None, Floats]
        self._popular_score = (None, None, np.zeros(0))

    def prepare(self, requests: Sequence[ListRequest], scorer: Scorer | None) -> Prepared:
        """Gather candidates of a batch and, with a scorer, its inputs (`Prepared.batch`)."""
        config = self.config
        encoder = None if scorer is None else self._index_of(scorer)
        at_ms = max((request.now_ms for request in requests), default=0)
        popularity = self._replica.popularity(at_ms)
        popular_score = self._popularity_score(popularity, config.weights)
        own_terms = config.weights.own_terms
        whole = scorer is not None or bool(own_terms)
        reads = [self._read(request, whole=whole) for request in requests]
        popular = self._popular(popularity, [read.excluded for read in reads])
        own = bool(own_terms) and config.repeat_policy != "exclude"
        users = [
            self._user(request, read, most_popular, own=own)
            for request, read, most_popular in zip(requests, reads, popular, strict=True)
        ]
        candidates = gather(
            self._replica,
            [user.evidence for user in users],
            window_decay=config.weights.window_decay,
            own_decay=config.weights.own_decay,
            terms=own_terms | {"graph_last"} if config.weights.graph_last else own_terms,
        )
        excluded_keys = ascending_keys([user.excluded for user in users])
        repeated_keys = ascending_keys([user.repeated for user in users])
        prior = prior_score(
            candidates.graph,
            candidates.terms,
            take(popular_score, candidates.items),
            config.weights,
        )
        hold_back(
            prior,
            candidates.keys,
            repeated_keys,
            config.repeat_penalty,
            excluded_keys,
            self._catalogue.unavailable_mask(),
        )
        size = max(config.rules.ranking_size(config.list_size), YARDSTICK_SIZE)
        columns = size if encoder is None else max(size, config.max_candidates)
        prepared = Prepared(
            config=config,
            users=users,
            candidates=candidates,
            prior=prior,
            chosen=choose_top(
                prior, candidates.start, candidates.items, self._replica.ids.tie_keys, columns
            ),
            popularity=popularity,
            popular_score=popular_score,
            excluded_keys=excluded_keys,
            repeated_keys=repeated_keys,
        )
        if scorer is not None and encoder is not None:
            self._prepare_scoring(prepared, scorer, encoder)
        return prepared

    def finish(
        self,
        prepared: Prepared,
        scores: "Scores | None",
        *,
        degraded_reason: DegradedReason | None,
        model: ModelInfo | None,
    ) -> list[RankedList]:
        """One list a request, in order.

        `scores`: of `prepared.batch`; None when there are none, for `degraded_reason`. `model`:
        what scored; it is named on the lists that it had a say in.
        """
        ids = self._replica.ids
        yardstick = prepared.chosen.items[:, :YARDSTICK_SIZE]
        ranking = self.rank(prepared, scores)
        if scores is not None:
            degraded_reason = DegradedReason.COLD_USER
        lists = []
        for user, written, encoded, best in zip(
            prepared.users,
            write_lists(prepared, ranking, ids, self._catalogue),
            ranking.encoded.tolist(),
            yardstick.tolist(),
            strict=True,
        ):
            if encoded:
                served_by, reason = ServedBy.BERT_GRAPH, None
            else:
                served_by = ServedBy.GRAPH if written.personal else ServedBy.POPULAR
                reason = degraded_reason if user.history.items else DegradedReason.COLD_USER
            lists.append(
                RankedList(
                    request=user.request,
                    listed=written.items,
                    served_by=served_by,
                    degraded_reason=reason,
                    model=model if encoded else None,
                    window=user.window,
                    graph_ids=ids.ranked_ids(best),
                    popularity_ids=ids.item_ids(user.popular[:YARDSTICK_SIZE]),
                )
            )
        return lists

    def rank(self, prepared: Prepared, scores: "Scores | None") -> Ranking:
        """The order of a prepared batch before the rules, as many places as the rules need."""
        config = prepared.config
        size = config.rules.ranking_size(config.list_size)
        if scores is None:
            return rank_by_prior(prepared, size)
        unavailable = self._catalogue.unavailable_mask()
        return rank_with_encoder(prepared, scores, size, unavailable, self._replica.ids.tie_keys)

    def _read(self, request: ListRequest, *, whole: bool) -> _Read:
        """Everything that is needed of a window, at once."""
        config, window = self.config, request.window
        find_all = self._replica.ids.find_all
        wanted = config.weights.graph_window
        whole = whole or config.repeat_policy != "allow"
        limit = None if whole else _EVENTS_A_SOURCE * wanted
        view = history(window, config.window, limit)
        sources = last_distinct(view.items, wanted)
        if len(sources) < wanted and limit is not None and len(view.items) == limit:
            view = history(window, config.window)
            sources = last_distinct(view.items, wanted)
        averse = negatives(window, config.window)
        excluded: set[int] = find_all(averse) if averse else set()
        if request.hidden_items:
            excluded |= find_all(request.hidden_items)
        repeated: set[int] = set()
        if config.repeat_policy == "exclude":
            seen = find_all(view.items)
            excluded = seen | excluded if excluded else seen
        elif config.repeat_policy == "discount":
            repeated = find_all(view.items)
        return _Read(view, sources, excluded, repeated)

    def _user(
        self, request: ListRequest, read: _Read, popular: list[int], *, own: bool
    ) -> PreparedUser:
        window, view = request.window, read.history
        evidence = UserEvidence(
            now_ms=request.now_ms,
            sources=read.sources,
            own_items=view.items[::-1] if own else [],
            fill_items=popular,
        )
        events = len(window)
        if events:
            # As a rule all events were read, the oldest one first.
            whole = len(view.items) == events
            oldest_ms = view.times_ms[0] if whole else window.oldest_ms
            info = WindowInfo(events, iso_utc(oldest_ms), iso_utc(window.newest_ms))
        else:
            info = WindowInfo(0)
        return PreparedUser(request, view, evidence, read.excluded, read.repeated, popular, info)

    def _popular(self, popularity: PopularitySnapshot, excluded: list[set[int]]) -> list[list[int]]:
        """Per user, the most popular items that may be on the list."""
        size = max(self.config.rules.ranking_size(self.config.list_size), YARDSTICK_SIZE)
        unavailable = self._catalogue.unavailable_mask()
        most_excluded = max(map(len, excluded), default=0)
        wanted = asked = size + most_excluded
        while True:
            top = popularity.top_popular(asked)
            chosen, usable = choose_popular(top, unavailable, excluded, size)
            if usable >= wanted or len(top) < asked:
                return chosen
            asked *= 2

    def _prepare_scoring(self, prepared: Prepared, scorer: Scorer, encoder: EncoderIndex) -> None:
        rows = [row for row, user in enumerate(prepared.users) if user.history.items]
        if not rows:
            return
        cold = None if self._cold_items is None else self._cold_items.of(scorer)
        if cold is not None:
            encoder = ColdIndex(encoder, len(scorer.items), cold.numbers)
            prepared.new_items = cold.numbers
        prepared.encoder = encoder
        prepared.scored_rows = np.array(rows, dtype=np.int64)
        everybody = len(rows) == len(prepared.users)
        items = prepared.chosen.items
        if not everybody:
            items = items[prepared.scored_rows]
        # A view has the four columns of a history: to make one of it would only cost time.
        views = [prepared.users[row].history for row in rows]
        histories = cast("list[History]", views)
        ids = encoder.encoder_ids(items)
        if cold is None:
            prepared.batch = scorer.prepare(histories, ids)
        else:
            prepared.batch = scorer.prepare(histories, ids, cold.vectors)

    def _index_of(self, scorer: Scorer) -> EncoderIndex:
        """Translation of a scorer's ids, kept as long as the scorer."""
        index = self._indexes.get(scorer)
        if index is None:
            index = self._indexes[scorer] = EncoderIndex(scorer, self._replica.ids)
        return index

    def _popularity_score(self, popularity: PopularitySnapshot, weights: BlendWeights) -> Floats:
        """Popularity's part of the score of all items, made once a snapshot."""
        of, with_weights, score = self._popular_score
        if of is not popularity or with_weights is not weights:
            score = popularity_score(popularity.shares, popularity.recent_shares, weights)
            self._popular_score = (popularity, weights, score)
        return score
