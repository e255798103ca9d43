from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from model.artifact import Artifact
from model.scorer import EncoderScorer, History, Scores
from tests.model.samples import ITEMS, make_history

NO_CANDIDATES = np.zeros((1, 0), np.int64)


def test_a_users_scores_do_not_depend_on_the_rest_of_the_batch(scorer: EncoderScorer):
    random = np.random.default_rng(0)
    histories = [make_history(seed, int(random.integers(1, 30))) for seed in range(64)]
    candidates = random.integers(0, 61, (64, 12), np.int64)
    together = scorer.score(histories, candidates)
    for row in range(64):
        alone = scorer.score([histories[row]], candidates[row : row + 1])
        assert alone.top_ids[0].tolist() == together.top_ids[row].tolist()
        np.testing.assert_allclose(
            alone.top_log_probs[0], together.top_log_probs[row], rtol=0, atol=1e-5
        )
        np.testing.assert_allclose(
            alone.candidate_log_probs[0], together.candidate_log_probs[row], rtol=0, atol=1e-5
        )


def test_scores_do_not_depend_on_how_far_a_window_is_padded(scorer: EncoderScorer):
    short, long = make_history(1, 3), make_history(2, 20)
    one_call = [short] * 3 + [long]
    prepared = scorer.prepare(one_call, np.zeros((4, 0), np.int64))
    assert [group.length for group, _ in prepared.calls] == [20]
    padded = scorer.run(prepared).top_log_probs[0]
    np.testing.assert_allclose(
        scorer.score([short], NO_CANDIDATES).top_log_probs[0], padded, rtol=0, atol=1e-5
    )


def test_the_same_batch_scores_bitwise_the_same_from_several_threads(scorer: EncoderScorer):
    prepared = scorer.prepare(
        [make_history(seed, 15) for seed in range(32)], np.ones((32, 4), np.int64)
    )
    expected = scorer.run(prepared)
    with ThreadPoolExecutor(4) as pool:
        for scores in pool.map(scorer.run, [prepared] * 16):
            assert all((a == b).all() for a, b in zip(scores, expected, strict=True))


def test_calls_side_by_side_give_every_user_the_same_scores(
    artifact: Artifact, scorer: EncoderScorer
):
    two = EncoderScorer.load(artifact.path, engine="cpu", threads=2)
    histories = [make_history(seed, 20) for seed in range(40)]
    candidates = np.tile(np.arange(1, 9, dtype=np.int64), (40, 1))
    prepared = two.prepare(histories, candidates)
    assert [group.batch for group, _ in prepared.calls] == [20, 20]
    for found, wanted in zip(two.run(prepared), scorer.score(histories, candidates), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


def test_candidates_get_the_log_probabilities_of_the_top_list(scorer: EncoderScorer):
    history = make_history(4, 10)
    everything = np.arange(61, dtype=np.int64)[None]
    scores = scorer.score([history], everything)
    log_probs = scores.candidate_log_probs[0]
    assert np.isneginf(log_probs[0])
    assert np.exp(log_probs[1:].astype(np.float64)).sum() == pytest.approx(1, abs=1e-5)
    assert scores.top_ids[0].tolist() == (np.argsort(-log_probs[1:])[:10] + 1).tolist()
    np.testing.assert_array_equal(scores.top_log_probs[0], log_probs[scores.top_ids[0]])


def equal(one: Scores, other: Scores) -> bool:
    return all((a == b).all() for a, b in zip(one, other, strict=True))


def test_events_of_unknown_items_are_left_out(scorer: EncoderScorer):
    known = make_history(5, 6)
    mixed = History(
        ["new", *known.items[:3], "newer", *known.items[3:], "newest"],
        ["click", *known.event_types[:3], "click", *known.event_types[3:], "click"],
        [0, *known.times_ms[:3], known.times_ms[2], *known.times_ms[3:], known.times_ms[-1]],
        [1, *known.place_cells[:3], 2, *known.place_cells[3:], 3],
    )
    candidates = np.ones((1, 1), np.int64)
    assert equal(scorer.score([mixed], candidates), scorer.score([known], candidates))


def test_unknown_items_are_counted_where_the_encoder_looks_and_older_ones_take_their_places(
    scorer: EncoderScorer,
):
    long = make_history(6, 45)
    unknown_at = (0, 40, 44)
    mixed = long._replace(
        items=["new" if at in unknown_at else item for at, item in enumerate(long.items)]
    )
    kept = [at for at in range(45) if at not in unknown_at][-20:]
    known = History(*([column[at] for at in kept] for column in long))
    candidates = np.ones((1, 1), np.int64)
    assert equal(scorer.score([mixed], candidates), scorer.score([known], candidates))
    counts = [
        scorer.prepare([history], candidates).unknown_events
        for history in (mixed, long, long._replace(items=["new"] * 45))
    ]
    assert counts == [2, 0, 45]


def test_only_the_last_events_that_fit_count(scorer: EncoderScorer):
    long = make_history(6, 45)
    last = History(*(column[-20:] for column in long))
    candidates = np.ones((1, 1), np.int64)
    assert equal(scorer.score([long], candidates), scorer.score([last], candidates))


@pytest.mark.parametrize("column", ["items", "event_types", "times_ms", "place_cells"])
def test_every_input_changes_the_scores(scorer: EncoderScorer, column: str):
    history = make_history(7, 5)
    other = {
        "items": [ITEMS[0]] * 5,
        "event_types": ["unheard-of"] * 5,
        "times_ms": [time * 3 for time in history.times_ms],
        "place_cells": [99] * 5,
    }
    changed = history._replace(**{column: other[column]})
    before = scorer.score([history], NO_CANDIDATES).top_log_probs
    assert np.abs(scorer.score([changed], NO_CANDIDATES).top_log_probs - before).max() > 1e-3


def test_the_order_of_events_changes_the_scores(scorer: EncoderScorer):
    history = make_history(8, 6)
    swapped = history._replace(items=[history.items[1], history.items[0], *history.items[2:]])
    before = scorer.score([history], NO_CANDIDATES).top_log_probs
    assert np.abs(scorer.score([swapped], NO_CANDIDATES).top_log_probs - before).max() > 1e-3


@pytest.mark.parametrize("items", [["nobody", "knows"], []])
def test_a_history_without_a_known_item_gets_no_scores_and_disturbs_no_other(
    scorer: EncoderScorer, items: list[str]
):
    count = len(items)
    nothing = History(items, ["click"] * count, [0] * count, [0] * count)
    known = make_history(9, 4)
    candidates = np.array([[1, 2], [1, 2]], np.int64)
    scores = scorer.score([nothing, known], candidates)
    assert (scores.top_ids[0] == 0).all()
    assert np.isneginf(scores.top_log_probs[0]).all()
    assert np.isneginf(scores.candidate_log_probs[0]).all()
    alone = scorer.score([known], candidates[1:])
    assert scores.top_ids[1].tolist() == alone.top_ids[0].tolist()


def test_an_empty_batch_and_a_batch_without_candidates_are_fine(scorer: EncoderScorer):
    empty = scorer.score([], np.zeros((0, 3), np.int64))
    assert empty.top_ids.shape == (0, 10)
    assert empty.candidate_log_probs.shape == (0, 3)
    assert scorer.score([make_history(1, 3)], NO_CANDIDATES).candidate_log_probs.shape == (1, 0)


def test_a_batch_above_the_limit_is_cut_into_calls(artifact: Artifact, scorer: EncoderScorer):
    small = EncoderScorer.load(artifact.path, engine="cpu", max_batch=4)
    histories = [make_history(seed, 6) for seed in range(11)]
    candidates = np.ones((11, 2), np.int64)
    prepared = small.prepare(histories, candidates)
    assert sorted(group.batch for group, _ in prepared.calls) == [3, 4, 4]
    assert (small.run(prepared).top_ids == scorer.score(histories, candidates).top_ids).all()


@pytest.mark.parametrize("candidates", [[[61]], [[-1]]])
def test_a_candidate_outside_the_catalogue_is_refused(
    scorer: EncoderScorer, candidates: list[list[int]]
):
    with pytest.raises(ValueError, match="not an encoder id"):
        scorer.prepare([make_history(1, 3)], np.array(candidates, np.int64))


def test_candidates_for_another_number_of_users_are_refused(scorer: EncoderScorer):
    with pytest.raises(ValueError, match="for 1 histories"):
        scorer.prepare([make_history(1, 3)], np.ones((2, 1), np.int64))


def test_items_and_encoder_ids_map_to_each_other(scorer: EncoderScorer):
    assert [scorer.item_index(item) for item in scorer.items] == list(range(1, 61))
    assert scorer.item_index("nobody knows") == 0


def test_warming_up_runs_every_shape(artifact: Artifact):
    scorer = EncoderScorer.load(artifact.path, engine="cpu", max_batch=4, now=lambda: 17.0)
    shapes = []
    run = scorer.run

    def record(prepared):
        shapes.extend((group.batch, group.length) for group, _ in prepared.calls)
        return run(prepared)

    scorer.run = record  # type: ignore[method-assign]
    scorer.warm_up()
    assert sorted(shapes) == sorted((b, n) for b in (1, 2, 4) for n in (8, 16, 20))
    assert scorer.loaded_at == 17.0
