"""What a batch of lists costs by itself: processor time of the recommender and of its encoder."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from model.scorer import EncoderScorer
from streams.core import StreamRecord
from streams.lists import ListRequest
from streams.recommendation import ModelInfo, Trigger
from streams.recommender import Recommender
from streams.window import Window

_TRIGGER = Trigger(None, "clicks", 0, 0, "")
_MODEL = ModelInfo("bench", "0")


class ListCost(NamedTuple):
    """Of the thread that makes the lists; an encoder of one thread runs in it."""

    lists: int
    ranking_seconds: float
    """Of all: candidates, inputs, blend, reasons, the JSON of the items."""
    encoder_seconds: float
    """Of all; 0 without an encoder."""


def make_lists(
    recommender: Recommender,
    scorer: EncoderScorer | None,
    clicks: Sequence[StreamRecord],
    window_of: Callable[[str], Window],
    now_ms: int,
) -> ListCost:
    """Make the lists that these clicks, already folded, cause: one a user."""
    users = {click.key.decode(): None for click in clicks if click.key is not None}
    requests = [ListRequest(user, window_of(user), _TRIGGER, 0, now_ms, 0.0) for user in users]
    began = time.thread_time()
    prepared = recommender.prepare(requests, scorer)
    ready = scored = time.thread_time()
    scores = None
    if scorer is not None:
        scores = scorer.run(prepared.batch)
        scored = time.thread_time()
    recommender.finish(prepared, scores, degraded_reason=None, model=_MODEL)
    ended = time.thread_time()
    return ListCost(len(requests), ready - began + ended - scored, scored - ready)
