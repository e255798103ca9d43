"""Examples: which events of a log are predicted under a protocol, and from what."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.data import Sequences, leave_one_out, temporal

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]

REPEAT_POLICIES = ("allow", "exclude")
# From this share of repeats on, a list without what the user already had cannot be right.
REPEATS_ALLOWED_FROM = 0.05
CELLS_AT_ONCE = 1_000_000  # examples x items of one array; about a dozen are alive at a time
MAX_CHUNK = 256


class Examples(NamedTuple):
    """What is predicted, and from which events it may be."""

    log: Sequences
    events: IntArray  # (n,) indexes of the events that are predicted
    fold: BoolArray  # [N] events that graph and popularity learn from
    train: BoolArray  # [N] events that were there before anything was predicted
    online: bool  # graph and popularity learn each event after it was predicted
    repeat_policy: str

    def targets(self) -> IntArray:
        """(n,) the items that came."""
        return self.log.item[self.events]

    def chunk(self) -> int:
        """So many examples at a time that an array over all items stays small."""
        return max(1, min(MAX_CHUNK, CELLS_AT_ONCE // len(self.log.items)))

    def chunks(self) -> Iterator[IntArray]:
        """The events, `chunk` at a time."""
        for first in range(0, len(self.events), self.chunk()):
            yield self.events[first : first + self.chunk()]

    def hide(self, scores: FloatArray, seen: BoolArray) -> FloatArray:
        """Scores with what may not be on a list at -inf."""
        if self.repeat_policy != "exclude":
            return scores
        return np.where(seen, -np.inf, scores).astype(np.float32)


def choose_examples(
    log: Sequences,
    protocol: str,
    *,
    test_fraction: float,
    max_examples: int | None,
    repeat_policy: str | None,
    seed: int,
) -> Examples:
    """The examples of a protocol; ValueError where there are none."""
    if repeat_policy not in (None, *REPEAT_POLICIES):
        message = f"repeat policy {repeat_policy!r} is none of {', '.join(REPEAT_POLICIES)}"
        raise ValueError(message)
    fold = np.ones(log.events, np.bool_)
    online = protocol == "temporal"
    if online:
        split = temporal(log, test_fraction=test_fraction, validation_fraction=0.0)
        events, train = split.test, split.train
    else:
        events = leave_one_out(log).test
        fold[events] = False
        train = fold
    if not len(events):
        message = "there is nothing to predict: no user has enough events"
        raise ValueError(message)
    if max_examples is not None and len(events) > max_examples:
        random = np.random.default_rng(seed)
        events = np.sort(random.choice(events, max_examples, replace=False))
    if repeat_policy is None:
        few = repeat_share(log, train) < REPEATS_ALLOWED_FROM
        repeat_policy = "exclude" if few else "allow"
    return Examples(log, events, fold, train, online, repeat_policy)


def repeat_share(log: Sequences, events: BoolArray) -> float:
    """Share of some events [N] on an item that the user already had in one of them."""
    pairs = log.user[events] * len(log.items) + log.item[events]
    return 1.0 - len(np.unique(pairs)) / len(pairs) if len(pairs) else 0.0


def seen_items(log: Sequences, events: IntArray) -> BoolArray:
    """(n, items) what each event's user had before it."""
    seen = np.zeros((len(events), len(log.items)), np.bool_)
    for row, event in enumerate(events.tolist()):
        seen[row, log.item[log.starts[log.user[event]] : event]] = True
    return seen


def seen_others(log: Sequences, events: IntArray) -> BoolArray:
    """(n, items) `seen_items` without each event's own: it is what is looked for."""
    seen = seen_items(log, events)
    seen[np.arange(len(events)), log.item[events]] = False
    return seen
