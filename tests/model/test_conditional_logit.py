import numpy as np
import pytest

from model.conditional_logit import fit_logit, mean_log_likelihood


def choices(weights, rows=6000, alternatives=12, seed=0):
    """Rows in which the first alternative was drawn with the model's own probabilities."""
    random = np.random.default_rng(seed)
    terms = random.normal(size=(rows, alternatives, len(weights)))
    scores = terms @ np.array(weights) + random.gumbel(size=(rows, alternatives))
    chosen = scores.argmax(1)
    row = np.arange(rows)
    terms[row, 0], terms[row, chosen] = terms[row, chosen], terms[row, 0].copy()
    return terms.astype(np.float32), np.ones((rows, alternatives), np.bool_)


def test_the_weights_that_made_the_choices_are_found():
    terms, present = choices([1.5, -0.7, 0.0])
    found = fit_logit(terms, present, np.ones(3, np.bool_), penalty=1e-6)
    assert found == pytest.approx([1.5, -0.7, 0.0], abs=0.06)


def test_no_weights_near_the_maximum_are_more_likely():
    terms, present = choices([0.8, 0.3], rows=500, seed=1)
    found = fit_logit(terms, present, np.ones(2, np.bool_), penalty=0.0)
    best = mean_log_likelihood(terms, present, found)
    for step in ((0.05, 0), (-0.05, 0), (0, 0.05), (0, -0.05)):
        assert mean_log_likelihood(terms, present, found + np.array(step)) < best


def test_a_weight_that_may_not_be_negative_is_zero_and_the_others_are_fitted_without_it():
    terms, present = choices([1.0, -0.8])
    found = fit_logit(terms, present, np.array([True, False]))
    assert found[1] == 0.0
    alone = fit_logit(terms[:, :, :1], present, np.array([True]))
    assert found[0] == pytest.approx(alone[0], abs=1e-6)


def test_an_absent_alternative_does_not_count():
    terms, present = choices([1.0], alternatives=4)
    terms = np.concatenate((terms, np.full((len(terms), 1, 1), 50, np.float32)), axis=1)
    present = np.concatenate((present, np.zeros((len(terms), 1), np.bool_)), axis=1)
    assert fit_logit(terms, present, np.array([True]))[0] == pytest.approx(1.0, abs=0.1)


def test_a_term_that_says_nothing_gets_no_weight():
    terms, present = choices([1.0, 0.5], rows=200)
    terms[:, :, 1] = 3.0
    assert fit_logit(terms, present, np.ones(2, np.bool_))[1] == 0.0


def test_without_choices_there_are_no_weights():
    nothing = np.zeros((0, 5, 2), np.float32)
    assert not fit_logit(nothing, np.zeros((0, 5), np.bool_), np.ones(2, np.bool_)).any()
