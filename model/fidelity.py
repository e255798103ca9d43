"""How close a compressed variant of an encoder is to it, how fast, and whom its lists depend on."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.data import Sequences
from model.evaluate import encoder_log_probabilities, history_before
from model.examples import seen_others
from model.ranking import ranking_metrics, target_ranks
from model.scorer import EncoderScorer, History

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]

LIST_SIZE = 10
BATCH = 64  # windows of a timed call
CANDIDATES = 200  # of a timed call, for each window
TIMED_CALLS = 15
EXAMPLES_AT_ONCE = 256
MIXED_BATCH = 32  # windows that are scored together and one by one


class Fidelity(NamedTuple):
    """What one variant's lists are worth, on the same events as the others'."""

    ndcg_at_10: float
    overlap_at_10: float  # share of the first variant's list that is on this one's


def masked_scores(log_probs: FloatArray, log: Sequences, events: IntArray, policy: str) -> None:
    """Take what each user already had off the lists, in place, where the policy is `exclude`.

    log_probs: (n, items of the log). The event's own item stays: it is what is looked for.
    """
    if policy == "exclude":
        log_probs[seen_others(log, events)] = -np.inf


def fidelities(
    scorers: Sequence[EncoderScorer], log: Sequences, events: IntArray
) -> list[Fidelity]:
    """NDCG@10 of each scorer by ranking the full catalogue, and its overlap with the first one."""
    ranks: list[list[IntArray]] = [[] for _ in scorers]
    shared = np.zeros(len(scorers))
    for first in range(0, len(events), EXAMPLES_AT_ONCE):
        part = events[first : first + EXAMPLES_AT_ONCE]
        wanted: IntArray | None = None
        for place, scorer in enumerate(scorers):
            log_probs = encoder_log_probabilities(scorer, log, part)
            masked_scores(log_probs, log, part, scorer.manifest.repeat_policy)
            ranks[place].append(target_ranks(log_probs, log.item[part]))
            size = min(LIST_SIZE, log_probs.shape[1])
            listed = np.argsort(-log_probs, axis=1, kind="stable")[:, :size]
            if wanted is None:
                wanted = listed
            hits = (wanted[:, :, None] == listed[:, None, :]).any(2)  # (n, size)
            shared[place] += hits.mean(1).sum()
    return [
        Fidelity(
            ranking_metrics(np.concatenate(of_variant))["ndcg"][str(LIST_SIZE)],
            float(overlap / len(events)),
        )
        for of_variant, overlap in zip(ranks, shared, strict=True)
    ]


def lists_per_second(
    scorers: Sequence[EncoderScorer],
    *,
    seed: int = 0,
    clock: Callable[[], float] = time.thread_time,
) -> list[float]:
    """Lists that each scorer makes in a second of one core: BATCH full windows a call.

    Calls of the scorers alternate, so that a busy machine slows all alike; the default clock
    counts the processor time of the thread, in which a scorer of one thread computes.
    """
    random = np.random.default_rng(seed)
    prepared = []
    for scorer in scorers:
        length, items = scorer.manifest.max_length, len(scorer.items)
        histories = [
            History(
                [scorer.items[i] for i in random.integers(0, items, length)],
                [""] * length,
                list(range(0, 60_000 * length, 60_000)),
                [0] * length,
            )
            for _ in range(BATCH)
        ]
        candidates = random.integers(1, items + 1, (BATCH, CANDIDATES), np.int64)
        prepared.append(scorer.prepare(histories, candidates))
        scorer.run(prepared[-1])
    seconds = np.empty((TIMED_CALLS, len(scorers)))
    for call in range(TIMED_CALLS):
        for place, scorer in enumerate(scorers):
            started = clock()
            scorer.run(prepared[place])
            seconds[call, place] = clock() - started
    return [float(rate) for rate in BATCH / np.median(seconds, axis=0)]


def batch_dependence(scorer: EncoderScorer, log: Sequences, events: IntArray) -> float:
    """Largest difference of a log-probability between windows scored together and one by one."""
    histories = [history_before(log, event) for event in events[:MIXED_BATCH].tolist()]
    ids = np.arange(1, min(len(scorer.items), 1000) + 1)
    together = scorer.score(histories, np.tile(ids, (len(histories), 1))).candidate_log_probs
    largest = 0.0
    for row, history in enumerate(histories):
        alone = scorer.score([history], ids[None, :]).candidate_log_probs[0]
        scored = np.isfinite(alone)
        gaps = np.abs(alone[scored] - together[row][scored])
        largest = max(largest, float(gaps.max(initial=0)))
    return largest
