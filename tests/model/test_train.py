"""Training end to end, on a log whose next items follow a rule."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from model.artifact import load_artifact
from model.augment import Augmentation
from model.blending import choose_blend, unknown_to_lowest
from model.data import DataError, Event, leave_one_out, sequences
from model.evaluate import encoder_log_probabilities, evaluate
from model.export import export
from model.fit_curve import evaluated
from model.log_features import usable_features
from model.log_files import read_log
from model.net import load_checkpoint
from model.scorer import EncoderScorer, History
from model.train import train
from model.validation import log_probabilities
from model.windows import EncodedLog
from tests.model.planted import ITEMS, planted_events, successor


@pytest.fixture(scope="module")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("log") / "clicks.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "item_id", "timestamp"])
        writer.writerows(event[:3] for event in planted_events())
    return path


@pytest.fixture(scope="module")
def trained(log_file: Path) -> tuple[Path, dict[str, object]]:
    out = log_file.parent / "model"
    result = train(
        log_file,
        out,
        max_minutes=1,
        max_steps=250,
        learning_rate=5e-3,
        dim=16,
        layers=1,
        max_length=10,
        dropout=0.1,
        seed=1,
        top_k=5,
        checkpoint=log_file.parent / "checkpoint",
    )
    return out, result


def test_a_trained_artefact_predicts_the_planted_transitions(trained):
    scorer = EncoderScorer.load(trained[0], engine="cpu")
    right = 0
    for item in range(ITEMS):
        path = [item]
        while len(path) < 4:
            path.append(successor(path[-1]))
        history = History(
            [f"i{i}" for i in path],
            ["click"] * 4,
            [1_700_000_000_000 + step * 3_600_000 for step in range(4)],
            [0] * 4,
        )
        best = scorer.score([history], np.zeros((1, 0), np.int64)).top_ids[0, 0]
        right += scorer.items[best - 1] == f"i{successor(path[-1])}"
    assert right >= 27


def test_the_artefact_records_how_it_was_made(trained):
    manifest = load_artifact(trained[0]).manifest
    assert manifest.features == ["time_gap", "hour_of_week"]
    assert manifest.training["split"] == "leave-one-out"
    assert manifest.training["seed"] == 1
    assert manifest.training["data"]["users"] == 80
    assert manifest.metrics["validation"]["blend"]["ndcg"]["10"] > 0.8
    assert trained[1]["version"] == manifest.version
    assert trained[1]["artifact_bytes"] < 300_000


def test_the_artefact_and_the_checkpoint_have_the_curves_of_the_fit(trained, log_file, tmp_path):
    curves = load_artifact(trained[0]).curves
    assert curves is not None
    assert curves.startswith(b"\x89PNG")
    checkpoint = log_file.parent / "checkpoint"
    assert (checkpoint / "curves.png").read_bytes() == curves
    export(checkpoint, tmp_path / "again")
    again = load_artifact(tmp_path / "again")
    assert again.curves == curves
    assert again.manifest.version == trained[1]["version"]


def test_evaluation_of_the_artefact_beats_popularity_and_knows_it_was_fair(trained, log_file):
    report = evaluate(log_file, trained[0], protocol="leave-one-out")
    assert report["held_out"] is True
    assert (report["users"], report["examples"], report["items"]) == (80, 80, ITEMS)
    assert report["encoder"]["hit_rate"]["5"] > 0.85
    assert report["blend"]["hit_rate"]["5"] > 0.85
    assert report["baselines"]["popularity"]["hit_rate"]["5"] < 0.4
    for method in (report["encoder"], report["graph"], report["blend"]):
        for metric in ("hit_rate", "ndcg", "mrr"):
            assert list(method[metric]) == ["5", "10", "20"]
            assert method[metric]["5"] <= method[metric]["10"] <= method[metric]["20"]
        assert method["mrr"]["10"] <= method["ndcg"]["10"] <= method["hit_rate"]["10"]


def test_evaluation_says_when_the_model_has_seen_the_test_events(trained, log_file, tmp_path):
    report = evaluate(log_file, trained[0], protocol="temporal", max_examples=50)
    assert report["held_out"] is False
    assert report["examples"] == 50
    other = tmp_path / "other.csv"
    other.write_text("user,item,time\n1,i1,1\n1,i2,2\n1,i9,3\n1,nobody-knows,4\n")
    report = evaluate(other, trained[0])
    assert report["held_out"] is None
    assert report["known_targets"] == 0
    assert report["encoder"]["hit_rate"]["20"] == 0.0


def test_evaluation_refuses_a_protocol_it_does_not_know(trained, log_file):
    with pytest.raises(ValueError, match="leave-one-out, temporal"):
        evaluate(log_file, trained[0], protocol="random")


def test_evaluation_equals_the_training_encoders_own_scores(trained, log_file: Path):
    """The exported graph, its features and its histories against torch on the same events."""
    encoder, manifest, _ = load_checkpoint(log_file.parent / "checkpoint")
    log = read_log(log_file)
    split = leave_one_out(log)
    encoded = EncodedLog(log, np.unique(log.item[split.train]), manifest.feature_spec())
    events = np.concatenate([split.test, split.validation, log.starts[:-1] + 1])
    scorer = EncoderScorer.load(trained[0], engine="cpu")
    np.testing.assert_allclose(
        encoder_log_probabilities(scorer, log, events),
        log_probabilities(encoder, encoded, events),
        rtol=0,
        atol=1e-4,
    )


@pytest.mark.parametrize(("repeating", "policy"), [(True, "allow"), (False, "exclude")])
def test_the_repeat_policy_follows_the_data(repeating: bool, policy: str):
    random = np.random.default_rng(0)
    events = []
    for user in range(60):
        own = random.permutation(40)[: 3 if repeating else 12]
        for step in range(12):
            item = random.choice(own) if repeating else own[step]
            events.append(Event(f"u{user}", f"i{item}", 1000 * step))
    log = sequences(events)
    split = leave_one_out(log)

    def uniform(examples: np.ndarray) -> np.ndarray:
        return np.full((len(examples), len(log.items)), -3.0, np.float32)

    choice = choose_blend(log, split, uniform, online=False, seed=0)
    assert choice.repeat_policy == policy
    if repeating:
        assert choice.blend.own + choice.blend.own_frequency + choice.blend.seen > 0
        blend, encoder = choice.metrics["blend"], choice.metrics["encoder"]
        assert blend["hit_rate"]["5"] > 0.9 > 0.5 > encoder["hit_rate"]["5"]


def test_an_unknown_item_scores_as_the_last_of_the_known_top():
    scores = np.array([[-1, -np.inf, -3, -2], [-np.inf] * 4], np.float32)
    assert unknown_to_lowest(scores, top_k=2).tolist() == [[-1, -2, -3, -2], [0, 0, 0, 0]]
    assert unknown_to_lowest(scores, top_k=100)[0].tolist() == [-1, -3, -3, -2]


def test_features_that_the_data_cannot_feed_are_refused():
    log = sequences(planted_events(3))
    assert usable_features(log, None) == ("time_gap", "hour_of_week")
    assert usable_features(log, []) == ()
    assert usable_features(log, ["hour_of_week", "time_gap"]) == ("time_gap", "hour_of_week")
    with pytest.raises(DataError, match="nothing to feed the feature place"):
        usable_features(log, ["place"])
    with pytest.raises(DataError, match="none of"):
        usable_features(log, ["weather"])
    order_only = log._replace(has_times=False)
    assert usable_features(order_only, None) == ()


def test_wrong_use_is_refused_in_a_sentence(log_file: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="objective 'fame' is none of next, masked, masked\\+next"):
        train(log_file, tmp_path / "m", objective="fame")
    with pytest.raises(ValueError, match="split 'random'"):
        train(log_file, tmp_path / "m", split="random")
    short = tmp_path / "short.csv"
    short.write_text("user,item,time\n1,a,1\n2,b,1\n")
    with pytest.raises(DataError, match="no user has enough events"):
        train(short, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_a_second_fit_is_pre_trained_in_the_same_proportion(log_file: Path, tmp_path: Path):
    report = train(
        log_file, tmp_path / "m", objective="masked+next", refit=True, max_steps=80, dim=8,
        layers=1, max_length=10, seed=1, top_k=5, max_minutes=10,
    )  # fmt: skip
    training, kept = report["training"], report["curve"]
    best = max(evaluated(kept), key=lambda point: point.ndcg_at_10 or 0.0).step
    larger = (80 * 14 - 80) / (80 * 14 - 160)  # the validation events train too
    assert training["steps"] == math.ceil(best * larger)
    assert training["pretraining_steps"] == math.ceil(20 * larger)


def test_an_encoder_of_another_training_is_adapted_and_the_artefact_says_so(
    trained, log_file: Path, tmp_path: Path
):
    report = train(
        log_file, tmp_path / "m", source=log_file.parent / "checkpoint", adapter="lora",
        features=("time_gap",), objective="masked+next", augmentation=Augmentation(crop=0.2),
        refit=True, resume=tmp_path / "state", checkpoint=tmp_path / "checkpoint",
        split="temporal", data_share=0.8, max_steps=60, learning_rate=5e-3, seed=1, top_k=5,
        max_minutes=10,
    )  # fmt: skip
    manifest = load_artifact(tmp_path / "m").manifest
    assert (manifest.dim, manifest.layers, manifest.max_length) == (16, 1, 10)
    assert manifest.training["from"] == {
        "name": "bert", "version": trained[1]["version"], "adapter": "lora", "items_kept": ITEMS,
        "items_placed_by_text": 0,
        "features_left_out": ["hour_of_week"], "features_new": [],
    }  # fmt: skip
    assert manifest.training["trained_parameters"] == 2304 + 31 * 16 + 30 + 16  # and the mask
    assert manifest.training["data_share"] == 0.8
    assert (tmp_path / "state" / "refit").is_dir()
    assert report["validation"]["encoder"]["hit_rate"]["5"] > 0.85
    tested = evaluate(log_file, tmp_path / "m", protocol="temporal", test_fraction=0.2)
    assert tested["held_out"] is True
    assert tested["encoder"]["hit_rate"]["5"] > 0.85
    encoder, _, _ = load_checkpoint(tmp_path / "checkpoint")  # adapters are merged
    assert encoder.config.layers == 1


def test_what_does_not_fit_the_encoder_of_another_training_is_refused(
    trained, log_file: Path, tmp_path: Path
):
    with pytest.raises(DataError, match="--dim 32 is not the 16 of the encoder that --from names"):
        train(log_file, tmp_path / "m", source=log_file.parent / "checkpoint", dim=32)
    assert not (tmp_path / "m").exists()


def test_an_encoder_trained_on_masked_items_alone_is_served_too(log_file: Path, tmp_path: Path):
    train(
        log_file,
        tmp_path / "model",
        objective="masked",
        max_steps=900,
        learning_rate=5e-3,
        dim=16,
        layers=1,
        max_length=10,
        dropout=0.1,
        features=("time_gap",),
        seed=1,
        threads=1,
        checkpoint=tmp_path / "checkpoint",
    )
    scorer = EncoderScorer.load(tmp_path / "model", engine="cpu")
    encoder, _, items = load_checkpoint(tmp_path / "checkpoint")
    assert not encoder.config.causal
    right = 0
    for item in range(ITEMS):
        path = [item]
        while len(path) < 10:  # the longest window, and a masked event behind it
            path.append(successor(path[-1]))
        names = [f"i{at}" for at in path]
        times_ms = [1_700_000_000_000 + 3_600_000 * at for at in range(10)]
        history = History(names, ["click"] * 10, times_ms, [0] * 10)
        scores = scorer.score([history], np.zeros((1, 1), np.int64))
        right += items[int(scores.top_ids[0, 0]) - 1] == f"i{successor(path[-1])}"
    assert right > 0.8 * ITEMS


def test_augmentation_of_masked_items_is_refused(log_file: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="and not masked ones"):
        train(log_file, tmp_path, objective="masked", augmentation=Augmentation(crop=0.5))
