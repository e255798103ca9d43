"""Prequential evaluation: every event is predicted, judged and then learned.

The way to judge a recommender that learns from a stream (Gama, Sebastiao, Rodrigues: "On evaluating
stream learning algorithms", Machine Learning 90, 2013; Vinagre, Jorge, Gama: "Evaluation of
recommender systems in streaming environments", 2014). State and lists are the worker's own (`Core`,
`Recommender`); the encoder stays as it is until a newer artefact takes over, as in a worker. What a
list is judged by never includes the event itself.

Ranked are all items that had an event before; an item's first event is a miss. Ties count against
whoever is ranked.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.core import Core
from streams.event_log import EventLog, LoggedClick
from streams.events import Trigger
from streams.item_index import with_room
from streams.lists import ListRequest, RecommenderConfig
from streams.lookahead import Lookahead, LookaheadScorer
from streams.pipeline import PipelineConfig
from streams.ranking import Prepared
from streams.recommender import Recommender
from streams.rules import RulesConfig
from streams.window import WindowConfig, history

if TYPE_CHECKING:
    # Types only: the module behind them loads the inference engine.
    from model.scorer import EncoderScorer

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MISSED = 1 << 40
"""Rank of an item that is on no list, whatever its length."""
LIST_SIZE = 40
"""Places that are made, so that what ties with the last place that counts is seen."""
OWN_DECAY = 0.9
BASELINES = ("popularity", "decayed_popularity", "last_transition", "own_history", "own_recency")
METHODS = ("encoder", "graph", "blend", *BASELINES)

_BUILD_EVENTS = 500
_TRIGGER = Trigger(None, "clicks", 0, 0, "")


class PrequentialConfig(msgspec.Struct, frozen=True):
    """What is evaluated. `start`: position of the first event that may be predicted."""

    pipeline: PipelineConfig
    recommender: RecommenderConfig
    start: int
    max_examples: int | None = None
    seed: int = 0


class Judged(msgspec.Struct, frozen=True):
    """Ranks of what came, by method; `[examples]` each, in the order of the stream."""

    positions: Integers
    """Places of the examples in the log's order."""
    ranks: Mapping[str, Integers]


class Successor(NamedTuple):
    """An artefact that takes over in the middle of the stream."""

    position: int  # of the first event that it predicts
    encoder: "EncoderScorer"
    recommender: RecommenderConfig


def judge(
    log: EventLog,
    config: PrequentialConfig,
    encoder: "Lookahead | None",
    report: Callable[[int], None] = lambda _: None,
    successors: Sequence[Successor] = (),
) -> Judged:
    """Judge the examples from `config.start` on, one event after the other.

    `encoder` must stand at `config.start`; without one, lists come from the graph and there are no
    ranks of the encoder. `report` gets the number of events that are done. `successors`, which need
    an encoder to succeed, come in the order of their positions.
    """
    examples = choose_examples(log, config.start, config.max_examples, config.seed)
    wanted = frozenset(examples.tolist())
    core = Core(config.pipeline)
    scorer = None if encoder is None else encoder.scorer
    judges = _Judges(core, config.recommender, config.pipeline.window, scorer)
    waiting = list(successors)
    learned = 0
    for position in (*examples.tolist(), len(log)):
        # What comes between two examples may be learned at once: it gives the same state.
        while learned < position:
            end = min(learned + _BUILD_EVENTS, position)
            clicks = list(log.clicks(learned, end))
            core.fold([click.record for click in clicks])
            judges.count(click.item_id for click in clicks)
            learned = end
            report(learned)
        if position == len(log):
            break
        while encoder is not None and position >= encoder.position:
            if waiting and encoder.position == waiting[0].position:
                successor = waiting.pop(0)
                encoder.replace(successor.encoder)
                judges.replace(successor.recommender, encoder.scorer)
            end = min(encoder.position + encoder.events_ahead, len(log))
            encoder.advance(min(end, waiting[0].position) if waiting else end, wanted)
        judges.judge(position, log.click(position))
    ranks = {name: np.array(found, dtype=np.int64) for name, found in judges.ranks.items()}
    return Judged(examples, ranks)


def choose_examples(log: EventLog, start: int, at_most: int | None, seed: int) -> Integers:
    """Positions of the events of returning users from `start` on, or a sample of them."""
    found = start + np.flatnonzero(log.returning()[start:])
    if at_most is not None and len(found) > at_most:
        found = np.sort(np.random.default_rng(seed).choice(found, at_most, replace=False))
    return found.astype(np.int64)


class _Judges:
    """Ranks of one event's item by every method, from the state as it is."""

    def __init__(
        self,
        core: Core,
        config: RecommenderConfig,
        window: WindowConfig,
        scorer: LookaheadScorer | None,
    ) -> None:
        self._core = core
        self._window = window
        self._counts = np.zeros(1024)
        self.ranks: dict[str, list[int]] = {
            name: [] for name in METHODS if scorer is not None or name != "encoder"
        }
        self.replace(config, scorer)

    def replace(self, config: RecommenderConfig, scorer: LookaheadScorer | None) -> None:
        """From now on lists are made so."""
        self._scorer = scorer
        # The rules change lists, not ranks; there are more places than any list is judged by.
        config = msgspec.structs.replace(
            config, list_size=LIST_SIZE, rules=RulesConfig(), window=self._window
        )
        self._recommender = Recommender(self._core.replica, self._core.catalogue, config)
        ids = self._core.replica.ids
        # The encoder's items have numbers before anything is judged, seen or not.
        self._encoder_numbers = np.array(
            [] if scorer is None else ids.index_all(list(scorer.items)), dtype=np.int64
        )
        self._encoder_ids = {
            number: place for place, number in enumerate(self._encoder_numbers.tolist(), 1)
        }

    def count(self, item_ids: Iterable[str]) -> None:
        """Events on items, for popularity that forgets nothing."""
        for item_id in item_ids:
            number = self._core.replica.index(item_id)
            self._counts = with_room(self._counts, number + 1)
            self._counts[number] += 1.0

    def judge(self, position: int, click: LoggedClick) -> None:
        """Rank the item of an event that is not folded yet."""
        number = self._core.replica.ids.find(click.item_id)
        if number < 0 or number >= len(self._counts) or not self._counts[number]:
            for ranks in self.ranks.values():
                ranks.append(MISSED)
            return
        scorer = self._scorer
        if scorer is not None:
            scorer.event = position
        window = self._core.windows[click.user_id]
        request = ListRequest(click.user_id, window, _TRIGGER, 0, click.time_ms, 0.0)
        prepared = self._recommender.prepare([request], scorer)
        scores = None
        if scorer is not None and prepared.batch is not None:
            scores = scorer.run(prepared.batch)
        ranking = self._recommender.rank(prepared, scores)
        self.ranks["blend"].append(_rank(ranking.scores[0], ranking.items[0] == number, -np.inf))
        excluded = prepared.users[0].excluded
        hidden = number in excluded
        for name, rank in self._alone(prepared, number, excluded):
            self.ranks[name].append(MISSED if hidden else rank)

    def _alone(
        self, prepared: Prepared, number: int, excluded: set[int]
    ) -> Iterator[tuple[str, int]]:
        """The rank by each single method, of an item that may be on the list."""
        gone = np.fromiter(excluded, dtype=np.int64, count=len(excluded))
        counts = self._counts.copy()
        counts[gone] = 0.0
        yield "popularity", _rank(counts, np.array([number]))
        shares = prepared.popularity.shares.copy()
        shares[gone[gone < len(shares)]] = 0.0
        # A snapshot may be a second old: an item that is newer is on no list yet.
        newest = np.array([number] if number < len(shares) else [], dtype=np.int64)
        yield "decayed_popularity", _rank(shares, newest)

        candidates = prepared.candidates
        shown = prepared.prior > -np.inf
        is_target = candidates.items == number
        yield "graph", _rank(np.where(shown, candidates.graph, 0.0), is_target)
        last = candidates.shares_of_last()
        yield "last_transition", _rank(np.where(shown, last, 0.0), is_target)

        view = history(prepared.users[0].request.window, self._window)
        own_items = self._core.replica.ids.index_all(view.items)[::-1]
        items, newest_age, inverse = np.unique(
            np.array(own_items, dtype=np.int64), return_index=True, return_inverse=True
        )
        own: Floats = np.bincount(
            inverse, OWN_DECAY ** np.arange(len(own_items)), len(items)
        ).astype(np.float64)
        own[np.isin(items, gone)] = 0.0
        yield "own_history", _rank(own, items == number)
        recency = np.where(own > 0.0, 1.0 / (1.0 + newest_age), 0.0)
        yield "own_recency", _rank(recency, items == number)

        if self._scorer is None:
            return
        log_probs = self._scorer.log_probs()
        encoder_id = self._encoder_ids.get(number)
        if log_probs is None or encoder_id is None:
            yield "encoder", MISSED
            return
        of_items = np.exp(log_probs[1:].astype(np.float64))
        numbers = self._encoder_numbers
        may = self._counts[np.minimum(numbers, len(self._counts) - 1)] > 0.0
        if len(gone):
            may &= ~np.isin(numbers, gone)
        yield "encoder", _rank(np.where(may, of_items, 0.0), np.array([encoder_id - 1]))


def _rank(scores: Floats, target: NDArray[np.bool_] | Integers, above: float = 0.0) -> int:
    """Place of the target, ties counted against it; MISSED unless its score is above `above`."""
    of_target = scores[target]
    if not len(of_target) or not of_target[0] > above:
        return MISSED
    return int((scores >= of_target[0]).sum())
