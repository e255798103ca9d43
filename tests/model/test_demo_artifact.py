"""The artefact that comes with the package."""

from pathlib import Path

import numpy as np

from model.artifact import DEMO_ARTIFACT, load_artifact
from model.scorer import EncoderScorer, History


def test_the_demo_artefact_loads_and_reproduces_its_recorded_scores():
    scorer = EncoderScorer.load(DEMO_ARTIFACT, engine="cpu")
    assert scorer.manifest.repeat_policy == "exclude"
    assert scorer.manifest.features == ["time_gap"]


def test_the_demo_artefact_is_small():
    files = [file for file in DEMO_ARTIFACT.iterdir() if file.is_file()]
    names = {file.name for file in files} - {"curves.png"}
    assert names == {"items.json", "manifest.json", "model.onnx", "smoke.json"}
    assert sum(file.stat().st_size for file in files) < 3_000_000


def test_the_demo_artefact_holds_ids_and_nothing_else_of_the_data_set():
    artifact = load_artifact(DEMO_ARTIFACT)
    assert all(item.isdigit() for item in artifact.items)
    text = b"".join(
        (Path(DEMO_ARTIFACT) / name).read_bytes() for name in ("manifest.json", "smoke.json")
    )
    assert b"Toy Story" not in text
    assert b"rating" not in text


def test_the_demo_artefact_was_trained_with_the_newest_fifth_held_out():
    training = load_artifact(DEMO_ARTIFACT).manifest.training
    assert training["split"] == "temporal"
    assert training["test_fraction"] == 0.2
    assert training["refit"] is True


def test_the_demo_artefacts_encoder_prefers_films_that_go_with_the_history():
    """Two users with different tastes get lists that have little in common."""
    scorer = EncoderScorer.load(DEMO_ARTIFACT, engine="cpu")
    space, children = ["50", "181", "172"], ["95", "588", "71"]  # Star Wars; animated Disney films
    histories = [
        History(items, ["click"] * 3, [1_750_000_000_000 + 30_000 * n for n in range(3)], [0] * 3)
        for items in (space, children)
    ]
    scores = scorer.score(histories, np.zeros((2, 0), np.int64))
    first, second = (set(row[:10].tolist()) for row in scores.top_ids)
    assert len(first & second) <= 3
