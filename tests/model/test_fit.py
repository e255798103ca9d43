"""The fitting loop: what bounds it, what it must not see, and how it goes on after a break."""

import os
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from model import objectives
from model.augment import Augmentation
from model.data import DataError
from model.fit import FitOptions, fit
from model.fit_curve import Point
from model.fit_state import STATE_FILE
from model.net import SequenceEncoder
from model.windows import EncodedLog
from tests.model.planted import planted_fit

OPTIONS = FitOptions(
    max_seconds=60,
    max_steps=250,
    patience=100,
    learning_rate=5e-3,
    batch_size=32,
    seed=1,
    last_window_share=0.5,
)


def same_weights(one: SequenceEncoder, other: SequenceEncoder) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    _, split, encoded, config = planted_fit(features=("time_gap",))
    few = OPTIONS._replace(max_steps=12)
    fits = [
        fit(config, encoded, split.train, split.validation, few._replace(seed=seed)).encoder
        for seed in (4, 4, 5)
    ]
    assert same_weights(fits[0], fits[1])
    assert not same_weights(fits[0], fits[2])


def test_held_out_events_leave_no_trace_in_the_weights():
    log, split, encoded, config = planted_fit()
    few = OPTIONS._replace(max_steps=12)
    first = fit(config, encoded, split.train, np.zeros(0, np.int64), few).encoder
    other_items = np.where(split.train, log.item, 0)
    other = EncodedLog(log._replace(item=other_items), encoded.known, encoded.spec)
    second = fit(config, other, split.train, np.zeros(0, np.int64), few).encoder
    assert same_weights(first, second)


def test_sampled_negatives_learn_the_planted_transitions_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(objectives, "FULL_SOFTMAX_ITEMS", 10)
    monkeypatch.setattr(objectives, "SAMPLED_NEGATIVES", 8)
    _, split, encoded, config = planted_fit()
    fitted = fit(config, encoded, split.train, split.validation, OPTIONS)
    assert fitted.ndcg_at_10 > 0.75


def test_training_stops_when_validation_no_longer_improves():
    _, split, encoded, config = planted_fit()
    flat = OPTIONS._replace(learning_rate=0.0, patience=2, max_steps=10_000)
    fitted = fit(config, encoded, split.train, split.validation, flat)
    assert len(fitted.curve) == 3


def test_training_stops_at_its_time_limit():
    _, split, encoded, config = planted_fit()
    fitted = fit(
        config,
        encoded,
        split.train,
        np.zeros(0, np.int64),
        OPTIONS._replace(max_seconds=0.3, max_steps=10**9),
    )
    assert fitted.seconds < 5


class BrokenOffError(Exception):
    """The machine went away."""


def timeless(curve: list[Point]) -> list[Point]:
    return [msgspec.structs.replace(point, seconds=0.0) for point in curve]


def break_at(step: int):
    def report(_seconds: float, at: int, _loss: float, _best: float) -> None:
        if at == step:
            raise BrokenOffError

    return report


@pytest.mark.parametrize(
    ("objective", "augmentation"),
    [("next", Augmentation()), ("masked+next", Augmentation(0.3, 0.2, 0.3))],
)
def test_an_interrupted_fit_ends_in_the_same_weights(
    objective: str, augmentation: Augmentation, tmp_path: Path
):
    _, split, encoded, config = planted_fit(masked=objective != "next")
    options = OPTIONS._replace(
        max_steps=120, max_seconds=1e9, objective=objective, augmentation=augmentation
    )
    whole = fit(config, encoded, split.train, split.validation, options, state=tmp_path / "whole")
    for step in (47, 95):
        with pytest.raises(BrokenOffError):
            fit(
                config,
                encoded,
                split.train,
                split.validation,
                options,
                state=tmp_path / "broken",
                report=break_at(step),
            )
    resumed = fit(
        config, encoded, split.train, split.validation, options, state=tmp_path / "broken"
    )
    assert timeless(resumed.curve) == timeless(whole.curve)
    assert resumed.steps == whole.steps
    assert same_weights(resumed.encoder, whole.encoder)


def test_a_resumed_fit_does_not_do_its_steps_again(tmp_path: Path):
    _, split, encoded, config = planted_fit()
    nothing = np.zeros(0, np.int64)
    options = OPTIONS._replace(max_steps=45)
    fit(config, encoded, split.train, nothing, options, state=tmp_path)
    steps: list[int] = []
    fit(
        config,
        encoded,
        split.train,
        nothing,
        options._replace(max_steps=50),
        state=tmp_path,
        report=lambda _seconds, step, _loss, _best: steps.append(step),
    )
    assert steps == list(range(42, 51))


def test_the_curve_has_the_mean_loss_of_every_step_and_the_validation_figures():
    _, split, encoded, config = planted_fit(masked=True)
    options = OPTIONS._replace(max_steps=41, objective="masked+next", pretraining_steps=21)
    losses: list[float] = []
    told: list[Point] = []
    fitted = fit(
        config,
        encoded,
        split.train,
        split.validation,
        options,
        report=lambda _seconds, _step, loss, _best: losses.append(loss),
        evaluated=told.append,
    )
    assert told == fitted.curve
    assert [(point.step, point.steps) for point in told] == [(1, 1), (21, 20), (41, 20)]
    assert [point.pretraining for point in told] == [True, True, False]
    assert told[1].loss == pytest.approx(np.mean(losses[1:21]), abs=1e-4)
    assert [point.ndcg_at_10 is None for point in told] == [True, True, False]
    assert told[2].ndcg_at_10 == pytest.approx(fitted.ndcg_at_10, abs=1e-5)
    assert told[2].hit_rate_at_10 >= told[2].ndcg_at_10
    assert told[0].learning_rate == options.learning_rate / 100  # warming up
    assert 0 < told[0].seconds < told[2].seconds <= fitted.seconds


def test_a_resumed_fit_tells_its_earlier_points_again(tmp_path: Path):
    _, split, encoded, config = planted_fit()
    options = OPTIONS._replace(max_steps=45)
    before: list[Point] = []
    fit(config, encoded, split.train, split.validation, options,
        evaluated=before.append, state=tmp_path)  # fmt: skip
    after: list[Point] = []
    fit(config, encoded, split.train, split.validation, options._replace(max_steps=65),
        evaluated=after.append, state=tmp_path)  # fmt: skip
    assert after[: len(before)] == before
    assert [point.step for point in after[len(before) :]] == [61]


def test_a_state_of_another_fit_is_refused(tmp_path: Path):
    _, split, encoded, config = planted_fit()
    few = OPTIONS._replace(max_steps=5)
    fit(config, encoded, split.train, split.validation, few, state=tmp_path)
    other = few._replace(seed=2)
    with pytest.raises(DataError, match="other data or options"):
        fit(config, encoded, split.train, split.validation, other, state=tmp_path)


def test_a_damaged_state_is_refused(tmp_path: Path):
    _, split, encoded, config = planted_fit()
    few = OPTIONS._replace(max_steps=5)
    fit(config, encoded, split.train, split.validation, few, state=tmp_path)
    os.truncate(tmp_path / STATE_FILE, 3000)
    with pytest.raises(DataError, match="cannot be read"):
        fit(config, encoded, split.train, split.validation, few, state=tmp_path)


def test_masked_items_come_first_and_next_items_after(monkeypatch: pytest.MonkeyPatch):
    order: list[str] = []
    for name in ("masked_item_loss", "next_item_loss"):
        loss = getattr(objectives, name)

        def noted(*inputs, name=name, loss=loss):
            order.append(name)
            return loss(*inputs)

        monkeypatch.setattr(objectives, name, noted)
    _, split, encoded, config = planted_fit(masked=True)
    options = OPTIONS._replace(max_steps=40, objective="masked+next")
    fitted = fit(config, encoded, split.train, split.validation, options)
    assert order == ["masked_item_loss"] * 10 + ["next_item_loss"] * 30
    assert fitted.pretraining_steps == 10
    order.clear()
    fit(config, encoded, split.train, split.validation, options._replace(pretraining_steps=33))
    assert order == ["masked_item_loss"] * 33 + ["next_item_loss"] * 7


def test_masked_pre_training_and_next_items_learn_the_planted_transitions():
    _, split, encoded, config = planted_fit(masked=True)
    options = OPTIONS._replace(objective="masked+next")
    assert fit(config, encoded, split.train, split.validation, options).ndcg_at_10 > 0.75


@pytest.mark.parametrize("changed", [{"crop": 1.0}, {"mask": 0.3}, {"reorder": 1.0}])
def test_augmentation_changes_what_is_learned_from(changed: dict[str, float]):
    _, split, encoded, config = planted_fit(features=("time_gap",))
    few = OPTIONS._replace(max_steps=12)
    nothing = np.zeros(0, np.int64)
    plain = fit(config, encoded, split.train, nothing, few).encoder
    options = few._replace(augmentation=Augmentation(**changed))
    assert not same_weights(plain, fit(config, encoded, split.train, nothing, options).encoder)


def test_the_planted_transitions_are_found_among_masked_events():
    _, split, encoded, config = planted_fit()
    options = OPTIONS._replace(augmentation=Augmentation(crop=0.3, mask=0.1))
    assert fit(config, encoded, split.train, split.validation, options).ndcg_at_10 > 0.75
