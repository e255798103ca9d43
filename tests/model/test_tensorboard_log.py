"""What TensorBoard reads of a fit, also of one that was interrupted."""

import sys
from pathlib import Path

import pytest

from model.fit_curve import Point
from model.tensorboard_log import tensorboard_log
from model.train import train
from tests.model.planted import planted_events


def point(step: int, **figures: float) -> Point:
    rate, loss = step * 1e-4, 7 - step / 100
    return Point(step=step, steps=20, seconds=step / 10, learning_rate=rate, loss=loss,
                 pretraining=not figures, **figures)  # fmt: skip


def scalars(directory: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of each tag, as TensorBoard shows them."""
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    ).EventAccumulator(str(directory))
    accumulator.Reload()
    return {
        tag: [(event.step, event.value) for event in accumulator.Scalars(tag)]
        for tag in accumulator.Tags()["scalars"]
    }


def test_loss_learning_rate_and_validation_are_there_by_step(tmp_path: Path):
    with tensorboard_log(tmp_path) as add:
        add(point(21))
        add(point(41, ndcg_at_10=0.25, hit_rate_at_10=0.5))
    found = scalars(tmp_path)
    assert found["training/loss_masked_items"] == [(21, pytest.approx(6.79))]
    assert found["training/loss_next_items"] == [(41, pytest.approx(6.59))]
    assert found["training/learning_rate"] == [
        (21, pytest.approx(0.0021)), (41, pytest.approx(0.0041))
    ]  # fmt: skip
    assert found["validation/ndcg_at_10"] == [(41, 0.25)]
    assert found["validation/hit_rate_at_10"] == [(41, 0.5)]


def test_a_fit_that_is_taken_up_has_each_of_its_points_once(tmp_path: Path):
    figures = {"ndcg_at_10": 0.25, "hit_rate_at_10": 0.5}
    with tensorboard_log(tmp_path) as add:
        add(point(21, **figures))
        add(point(41, **figures))
    with tensorboard_log(tmp_path) as add:
        for step in (21, 41, 61):
            add(point(step, **figures))
    assert [step for step, _ in scalars(tmp_path)["validation/ndcg_at_10"]] == [21, 41, 61]


def test_without_a_directory_the_package_is_not_needed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with tensorboard_log(None) as add:
        add(point(1))


def test_a_training_writes_both_of_its_fits(tmp_path: Path):
    log = tmp_path / "clicks.csv"
    rows = [f"{user},{item},{time}" for user, item, time, *_ in planted_events(20, 8)]
    log.write_text("\n".join(["user,item,time", *rows]))
    report = train(log, tmp_path / "m", max_steps=30, dim=8, layers=1, max_length=8, top_k=5,
                   refit=True, tensorboard=tmp_path / "board")  # fmt: skip
    found = scalars(tmp_path / "board" / "fit")
    curve = report["curve"]
    assert isinstance(curve, list)
    assert found["validation/ndcg_at_10"] == [
        (each.step, pytest.approx(each.ndcg_at_10, abs=1e-6)) for each in curve
    ]
    of_refit = scalars(tmp_path / "board" / "refit")
    assert of_refit["training/loss_next_items"]
    assert "validation/ndcg_at_10" not in of_refit
