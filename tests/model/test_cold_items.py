import numpy as np
import pytest

from model.cold_items import Calibration, ItemVectors, calibrate, fit_projection, project

RANDOM = np.random.default_rng(0)
TEXTS = RANDOM.normal(size=(300, 12)).astype(np.float32)
SLOPE = RANDOM.normal(size=(12, 5)).astype(np.float32)
PLACES = TEXTS @ SLOPE + np.arange(5, dtype=np.float32)


def test_a_projection_finds_a_linear_relation():
    projection = fit_projection(TEXTS, PLACES[:, :4], PLACES[:, 4], ridge=1e-6)
    unseen = RANDOM.normal(size=(7, 12)).astype(np.float32)
    placed = project(projection, unseen)
    expected = unseen @ SLOPE + np.arange(5, dtype=np.float32)
    np.testing.assert_allclose(placed.vectors, expected[:, :4], atol=1e-3)
    np.testing.assert_allclose(placed.biases, expected[:, 4], atol=1e-3)


def test_a_large_ridge_places_every_item_at_the_mean():
    projection = fit_projection(TEXTS, PLACES[:, :4], PLACES[:, 4], ridge=1e9)
    placed = project(projection, TEXTS)
    np.testing.assert_allclose(placed.vectors, np.tile(PLACES[:, :4].mean(0), (300, 1)), atol=1e-3)


def test_a_score_is_the_product_and_the_bias_less_the_normaliser():
    items = ItemVectors(np.array([[1, 2], [0, 1]], np.float32), np.array([0.5, -1], np.float32))
    log_probs = items.log_probs(np.array([[3, 1]], np.float32), np.array([2], np.float32))
    np.testing.assert_allclose(log_probs, [[3.5, -2.0]])


def test_calibration_scales_embedding_and_bias_and_moves_the_bias():
    projection = fit_projection(TEXTS, PLACES[:, :4], PLACES[:, 4], ridge=1.0)
    plain = project(projection, TEXTS)
    changed = project(Calibration(1.0, 2.0, 0.5).apply(projection), TEXTS)
    np.testing.assert_allclose(changed.vectors, 2 * plain.vectors, rtol=1e-5)
    np.testing.assert_allclose(changed.biases, 2 * plain.biases + 0.5, rtol=1e-4)


def world(noise: float):
    """Items whose place follows from their text, the embedding but for noise, and events."""
    random = np.random.default_rng(1)
    texts = random.normal(size=(200, 10)).astype(np.float32)
    slope = random.normal(size=(10, 6)).astype(np.float32) / 3
    vectors = texts @ slope + noise * random.normal(size=(200, 6)).astype(np.float32)
    biases = texts @ random.normal(size=10).astype(np.float32) / 3
    hidden = random.normal(size=(800, 6)).astype(np.float32)
    gumbel = random.gumbel(size=(800, 200))
    targets = (hidden @ vectors.T + biases + gumbel).argmax(1)
    return texts, vectors.astype(np.float32), biases, hidden, targets


def test_where_text_tells_all_a_small_ridge_is_chosen_and_where_it_tells_nothing_a_large_one():
    everything = np.arange(200)
    texts, vectors, biases, hidden, targets = world(noise=0.0)
    told, _ = calibrate(texts, everything, vectors, biases, hidden, targets)
    silent = np.random.default_rng(2).normal(size=texts.shape).astype(np.float32)
    untold, figures = calibrate(silent, everything, vectors, biases, hidden, targets)
    assert told.ridge < untold.ridge
    assert figures["log_likelihood"] < figures["log_likelihood_of_trained_items"]


def test_a_calibration_explains_what_happened_no_worse_than_none():
    texts, vectors, biases, hidden, targets = world(noise=0.5)
    best, figures = calibrate(texts, np.arange(200), vectors, biases, hidden, targets)
    own = hidden @ vectors.T + biases
    fold_of = np.random.default_rng(0).integers(0, 5, 200)
    likelihoods = []
    for fold in range(5):
        out = fold_of == fold
        projection = fit_projection(texts[~out], vectors[~out], biases[~out], 0.3)
        placed = project(projection, texts[out])
        scores = own.copy()
        scores[:, out] = hidden @ placed.vectors.T + placed.biases
        normalizer = np.log(np.exp(scores.astype(np.float64)).sum(1))
        likelihoods.append((scores[np.arange(800), targets] - normalizer).mean())
    assert figures["log_likelihood"] >= np.mean(likelihoods) - 1e-3
    assert best.ridge == figures["ridge"]


def test_items_without_text_stay_as_they_were_trained():
    texts, vectors, biases, hidden, targets = world(noise=0.0)
    _, figures = calibrate(texts[:0], np.arange(0), vectors, biases, hidden, targets)
    assert figures["log_likelihood"] == pytest.approx(0)
