"""New items among the scores of the encoder's own."""

import numpy as np
import pytest

from model.scores import MAX_NEW_ITEMS, Scores, with_new_items


@pytest.mark.parametrize("lift", [0.0, 4.0, 100.0])
def test_few_or_many_new_items_that_reach_the_encoders_best_are_found_alike(lift: float):
    random = np.random.default_rng(4)
    own = -np.sort(-random.normal(size=(6, 10)), axis=1).astype(np.float32)
    log_probs = (random.normal(size=(6, 400)) - 4 + lift).astype(np.float32)
    no_candidates = np.zeros((6, 0), np.int64)
    scores = Scores(np.tile(np.arange(1, 11), (6, 1)), own, np.zeros((6, 0), np.float32))
    found = with_new_items(scores, log_probs, no_candidates, 1000)
    for row in range(6):
        best = np.argsort(-log_probs[row])[:MAX_NEW_ITEMS]
        expected = best[log_probs[row, best] >= own[row].min()] + 1001
        ids = found.top_ids[row, 10:]
        assert ids[ids > 0].tolist() == expected.tolist()
        np.testing.assert_array_equal(
            found.top_log_probs[row, 10:][ids > 0], log_probs[row, expected - 1001]
        )
