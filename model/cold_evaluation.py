"""How good an artefact is on items that it has never seen: full ranking, from their text alone.

Protocol: an artefact trained with `--hold-out-items` has seen no event of the items held out.
Predicted are the events of just those items in the newest part of the log, after the moment that
training ended, each from the user's earlier events (of which those on held-out items are unknown
to the encoder, as they would be). Ranked are all items that the user has not had (under the
artefact's repeat policy), with ties counted against the target.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.cold_items import ItemVectors
from model.data import DataError, Sequences, temporal
from model.datasets import read_data
from model.evaluate import history_before
from model.examples import seen_others
from model.held_out import HeldOutItems, without_items
from model.item_table import read_items
from model.ranking import ranking_metrics, target_ranks
from model.scorer import EncoderScorer

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
Ranks = dict[str, list[IntArray]]  # by method

CUTS = (10, 20)
METHODS = ("text", "popularity", "popularity_in_hindsight", "random")


def evaluate_cold_items(
    data: Path | str | Sequences,
    model: Path,
    items: Path | str,
    *,
    test_fraction: float = 0.2,
    max_examples: int | None = None,
    seed: int = 0,
    threads: int = 1,
    engine: str = "cpu",
) -> dict[str, object]:
    """Recall at 10 and 20 (one target an example, so the hit rate) of held-out items.

    `among_new_items` ranks the held-out items only, `full_catalogue` everything. Baselines:
    `random`; `popularity`, which knows nothing of a new item; `popularity_in_hindsight`, the
    events that the held-out items did have before the cut and that nobody may know.
    `known_items` is what the new ones cost the others: the hit rate of the test events of known
    items, with and without the new items in the ranking.
    ValueError, one sentence, on wrong use.
    """
    scorer = EncoderScorer.load(model, engine=engine, threads=threads)
    log = read_data(data)
    held_out = _held_out(scorer, log, test_fraction)
    if scorer.text is None:
        message = "tokenizers is not installed: pip install 'freshrec[text]'"
        raise ValueError(message)
    rows = read_items(items)
    is_new = np.array([held_out.has(item) and item in rows for item in log.items], np.bool_)
    cut_ms = _trained_before_ms(log, held_out, test_fraction)
    random = np.random.default_rng(seed)
    of_new, of_known = _choose_events(scorer, log, is_new, cut_ms, max_examples, random)
    described = [rows[log.items[item]] for item in np.flatnonzero(is_new).tolist()]
    places = scorer.text.encode(
        [row.title for row in described], [row.categories for row in described]
    )
    shop = _Shop(scorer, log, is_new, places)
    among, full = _rank_new(shop, of_new, cut_ms, random)
    without_new, with_new = _rank_known(shop, of_known)
    return {
        "protocol": "cold-items",
        "test_fraction": test_fraction,
        "held_out_items": {
            **held_out._asdict(),
            "items": int(is_new.sum()),
            "of": len(log.items),
        },
        "examples": len(of_new),
        "users": len(np.unique(log.user[of_new])),
        "model": {"name": scorer.name, "version": scorer.version},
        "text": scorer.manifest.training.get("text"),
        "repeat_policy": scorer.manifest.repeat_policy,
        "among_new_items": {name: _recall(parts) for name, parts in among.items()},
        "full_catalogue": {name: _recall(parts) for name, parts in full.items()},
        "known_items": {
            "examples": len(of_known),
            "without_new_items": _recall(without_new),
            "with_new_items": _recall(with_new),
        },
    }


class _Scored(NamedTuple):
    """Some events and what the artefact says before each; scores are (n, items of the log)."""

    targets: IntArray  # (n,) the items that came
    own: FloatArray  # of the items that the encoder knows; -inf of the others
    with_new: FloatArray  # the same, and of the new ones by their text
    hidden: BoolArray  # what may not be on a list


class _Shop(NamedTuple):
    """An artefact, a log, and the items of the log that are new to the artefact."""

    scorer: EncoderScorer
    log: Sequences
    is_new: BoolArray  # (items,)
    places: ItemVectors  # of the new ones, in their order

    def scored(self, events: IntArray) -> Iterator[_Scored]:
        """The events, as many at a time as the scorer takes."""
        scorer, log = self.scorer, self.log
        new = np.flatnonzero(self.is_new)
        encoder_ids = np.array([scorer.item_index(item) for item in log.items], np.int64)
        for first in range(0, len(events), scorer.max_batch):
            part = events[first : first + scorer.max_batch]
            histories = [history_before(log, int(event)) for event in part]
            candidates = np.broadcast_to(encoder_ids, (len(part), len(encoder_ids)))
            own = scorer.score(histories, candidates).candidate_log_probs
            with_new = own.copy()
            with_new[:, new] = self.places.log_probs(*scorer.states(histories))
            repeats = scorer.manifest.repeat_policy != "exclude"
            hidden = np.zeros(own.shape, np.bool_) if repeats else seen_others(log, part)
            yield _Scored(log.item[part], own, with_new, hidden)


def _choose_events(
    scorer: EncoderScorer,
    log: Sequences,
    is_new: BoolArray,
    cut_ms: int,
    max_examples: int | None,
    random: np.random.Generator,
) -> tuple[IntArray, IntArray]:
    """Events since the cut on new and on known items. DataError if none is on a new one."""
    test = np.flatnonzero((log.time_ms >= cut_ms) & log.has_history)
    of_new, of_known = test[is_new[log.item[test]]], _known_targets(scorer, log, test)
    if not len(of_new):
        message = "there is nothing to predict: no held-out item occurs in the newest events"
        raise DataError(message)
    if max_examples is not None:
        of_new, of_known = (
            np.sort(random.choice(part, min(max_examples, len(part)), replace=False))
            for part in (of_new, of_known)
        )
    return of_new, of_known


def _rank_new(
    shop: _Shop, events: IntArray, cut_ms: int, random: np.random.Generator
) -> tuple[Ranks, Ranks]:
    """Ranks of new items by each of METHODS, among the new ones and in the full catalogue."""
    log, is_new = shop.log, shop.is_new
    past = log.item[log.time_ms < cut_ms]
    hindsight = np.bincount(past, minlength=len(log.items)).astype(np.float32)
    popularity = np.where(is_new, 0.0, hindsight).astype(np.float32)
    among: Ranks = {name: [] for name in METHODS}
    full: Ranks = {name: [] for name in METHODS}
    for targets, _, scores, hidden in shop.scored(events):
        by_method = {
            "text": scores,
            "popularity": np.broadcast_to(popularity, scores.shape),
            "popularity_in_hindsight": np.broadcast_to(hindsight, scores.shape),
            "random": random.random(scores.shape, np.float32),
        }
        for name, of_method in by_method.items():
            full[name].append(_ranks(of_method, targets, hidden))
            among[name].append(_ranks(np.where(is_new, of_method, -np.inf), targets, hidden))
    return among, full


def _rank_known(shop: _Shop, events: IntArray) -> tuple[list[IntArray], list[IntArray]]:
    """Ranks of known items without and with the new ones in the ranking."""
    without_new: list[IntArray] = []
    with_new: list[IntArray] = []
    for scored in shop.scored(events):
        without_new.append(_ranks(scored.own, scored.targets, scored.hidden))
        with_new.append(_ranks(scored.with_new, scored.targets, scored.hidden))
    return without_new, with_new


def _held_out(scorer: EncoderScorer, log: Sequences, test_fraction: float) -> HeldOutItems:
    """What the artefact says was held out; ValueError where it cannot be measured with."""
    training = scorer.manifest.training
    stated = training.get("held_out_items")
    if scorer.manifest.text is None or not isinstance(stated, dict):
        message = (
            "the artefact was not trained for this protocol: train it with --items, "
            "--hold-out-items and --split temporal"
        )
        raise ValueError(message)
    held_out = HeldOutItems(float(stated["share"]), int(stated["seed"]))
    data = training.get("data")
    fingerprint = data.get("fingerprint") if isinstance(data, dict) else None
    if fingerprint != without_items(log, held_out).fingerprint:
        message = "the artefact was trained on other data: evaluate it with the log it is from"
        raise ValueError(message)
    trained = training.get("test_fraction")
    if training.get("split") != "temporal" or not isinstance(trained, (int, float)):
        message = "the artefact may have seen what is to be predicted: train with --split temporal"
        raise ValueError(message)
    if trained < test_fraction:
        message = f"the artefact was trained with a test fraction of {trained}: ask for no more"
        raise ValueError(message)
    return held_out


def _trained_before_ms(log: Sequences, held_out: HeldOutItems, test_fraction: float) -> int:
    """Time of the first event that training held out: nothing later was seen by it."""
    known = without_items(log, held_out)
    split = temporal(known, test_fraction=test_fraction, validation_fraction=0.0)
    return int(known.time_ms[~split.train].min())


def _known_targets(scorer: EncoderScorer, log: Sequences, events: IntArray) -> IntArray:
    known = np.array([scorer.item_index(item) > 0 for item in log.items], np.bool_)
    return events[known[log.item[events]]]


def _ranks(scores: FloatArray, targets: IntArray, hidden: BoolArray) -> IntArray:
    return target_ranks(np.where(hidden, -np.inf, scores).astype(np.float32), targets)


def _recall(ranks: list[IntArray]) -> dict[str, float]:
    metrics = ranking_metrics(np.concatenate([*ranks, np.zeros(0, np.int64)]))
    return {f"recall@{cut}": metrics["hit_rate"][str(cut)] for cut in CUTS}
