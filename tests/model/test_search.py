"""The search: what it compares, gives up, keeps, and how it goes on after a break.

Fits are made up: of each, how good it is after how long.
"""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from model import search as searching
from model.data import DataError, leave_one_out, sequences
from model.fit_curve import Point
from model.search import Found, rows, search
from model.start import BY_CHANCE, Start
from tests.model.planted import planted_events

LOG = sequences(planted_events(users=6, length=12))
MAX_SECONDS = 100.0
Fit = Callable[[dict[str, Any], Path], list[float]]


class Fits:
    """Stands for `plan_fit`: a fit is evaluated every second, with what `ndcg` says of it."""

    def __init__(self, ndcg: Fit) -> None:
        self.ndcg = ndcg
        self.settings: list[dict[str, Any]] = []
        self.seconds: list[int] = []  # how long each fit ran

    def __call__(self, log: Any, **settings: Any) -> SimpleNamespace:
        self.settings.append(settings)
        return SimpleNamespace(
            options=SimpleNamespace(max_seconds=MAX_SECONDS),
            fit=lambda *given, **options: self.fit(settings, *given, **options),
        )

    def fit(
        self, settings: dict[str, Any], log: Any, train: Any, validation: Any, *,
        hardware: Any, report: Any, evaluated: Any, state: Path,
    ) -> SimpleNamespace:  # fmt: skip
        assert hardware.processes == 1
        split = leave_one_out(log)
        assert not train[split.test].any()
        assert not set(validation.tolist()) & set(split.test.tolist())
        state.mkdir(parents=True, exist_ok=True)
        self.seconds.append(0)
        best = 0.0
        for second, ndcg in enumerate(self.ndcg(settings, state), 1):
            self.seconds[-1] = second
            best = max(best, ndcg)
            report(float(second), second, 1.0, best)
            evaluated(Point(step=second, steps=1, seconds=float(second), learning_rate=1e-3,
                            loss=1.0, ndcg_at_10=ndcg, hit_rate_at_10=ndcg))  # fmt: skip
        return SimpleNamespace(ndcg_at_10=best)


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> Callable[[Fit], Fits]:
    def install(ndcg: Fit) -> Fits:
        made = Fits(ndcg)
        monkeypatch.setattr(searching, "plan_fit", made)
        return made

    return install


def by_rate(settings: dict[str, Any], _state: Path) -> list[float]:
    """The nearer the learning rate to 2e-3, the better, from the first second on."""
    return [0.5 - abs(settings["learning_rate"] - 2e-3) * 50] * 100


OPTIONS: dict[str, Any] = {"max_minutes": 5.0, "dim": 16, "seed": 3, "name": "bert", "refit": True}


def run(directory: Path, trials: int, **options: Any) -> Found:
    return search(LOG, directory, trials=trials, options=OPTIONS | options, fixed={"dim"})


def test_the_usual_settings_come_first_and_what_is_given_stays(tmp_path: Path, fits):
    made = fits(by_rate)
    found = run(tmp_path, 4)
    assert (made.settings[0]["learning_rate"], made.settings[0]["layers"]) == (1e-3, 2)
    assert {settings["dim"] for settings in made.settings} == {16}
    assert all(settings["max_minutes"] == 5.0 for settings in made.settings)
    assert "dim" not in found.best
    assert not {"name", "refit"} & set(made.settings[0])  # not of the fit


def test_the_best_trial_wins_and_its_fit_alone_is_kept(tmp_path: Path, fits):
    made = fits(by_rate)
    found = run(tmp_path, 6)
    scores = [by_rate(settings, tmp_path)[0] for settings in made.settings]
    best = scores.index(max(scores))
    assert found.ndcg_at_10 == max(scores)
    assert found.best.items() <= made.settings[best].items()
    assert [path.name for path in (tmp_path / "trials").iterdir()] == [str(best)]
    assert (found.state / "fit").is_dir()
    assert [row["trial"] for row in rows(found)] == list(range(6))
    assert rows(found)[0]["learning_rate"] == 1e-3
    assert rows(found)[0]["crop"] == 0.0


def test_the_same_seed_tries_the_same_settings(tmp_path: Path, fits):
    made = fits(by_rate)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(tmp_path / name, 4, seed=seed)
    tried = [[{**s, "seed": 0} for s in made.settings[n : n + 4]] for n in (0, 4, 8)]
    assert tried[0] == tried[1] != tried[2]


def test_a_trial_behind_the_others_at_the_same_time_is_given_up(tmp_path: Path, fits):
    made = fits(lambda settings, state: [])
    made.ndcg = lambda *_: [0.3 if len(made.seconds) <= 3 else 0.1] * 100
    found = run(tmp_path, 4)
    assert [row["outcome"] for row in rows(found)] == ["complete"] * 3 + ["pruned"]
    assert made.seconds[:3] == [100, 100, 100]
    assert 40 <= made.seconds[3] <= 50  # compared from two fifths of the time on


def test_a_trial_that_is_slow_to_begin_is_not_given_up_for_it(tmp_path: Path, fits):
    made = fits(lambda settings, state: [])
    made.ndcg = lambda *_: [0.3] * 100 if len(made.seconds) <= 3 else [0.0] * 35 + [0.4] * 65
    assert [row["outcome"] for row in rows(run(tmp_path, 4))] == ["complete"] * 4


def test_a_fit_that_stopped_early_counts_with_its_best_to_the_end(tmp_path: Path, fits):
    made = fits(lambda settings, state: [])
    made.ndcg = lambda *_: [0.3] * 20 if len(made.seconds) <= 3 else [0.1] * 100
    assert [row["outcome"] for row in rows(run(tmp_path, 4))][3] == "pruned"


def test_an_interrupted_trial_is_tried_again_and_goes_on_from_its_fit(tmp_path: Path, fits):
    made = fits(lambda settings, state: [])

    def breaks_off(settings: dict[str, Any], state: Path) -> list[float]:
        if len(made.seconds) == 3:
            (state / "weights").write_text("half a fit")
            raise KeyboardInterrupt
        return by_rate(settings, state)

    made.ndcg = breaks_off
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, 5)
    taken_up: list[str] = []

    def goes_on(settings: dict[str, Any], state: Path) -> list[float]:
        taken_up.append((state / "weights").read_text() if (state / "weights").exists() else "")
        return by_rate(settings, state)

    made.ndcg = goes_on
    found = run(tmp_path, 5)
    assert taken_up == ["half a fit", "", ""]
    assert made.settings[3] == made.settings[2]
    assert made.settings[4] not in made.settings[:4]  # it does not begin its draws again
    assert len(rows(found)) == 5


def test_a_search_that_is_over_is_not_done_again(tmp_path: Path, fits):
    made = fits(by_rate)
    first = run(tmp_path, 3)
    again = run(tmp_path, 3)
    assert len(made.settings) == 3
    assert again.best == first.best
    assert len(rows(run(tmp_path, 4))) == 4


def test_a_search_of_something_else_is_refused(tmp_path: Path, fits):
    fits(by_rate)
    run(tmp_path, 1)
    with pytest.raises(DataError, match="on other data or with other options"):
        run(tmp_path, 1, dim=32)


def test_lack_of_memory_ends_a_trial_and_not_the_search(tmp_path: Path, fits):
    made = fits(lambda settings, state: [])

    def too_large(settings: dict[str, Any], state: Path) -> list[float]:
        if len(made.seconds) == 2:
            raise torch.OutOfMemoryError
        return by_rate(settings, state)

    made.ndcg = too_large
    outcomes = [row["outcome"] for row in rows(run(tmp_path, 3))]
    assert outcomes == ["complete", "fail", "complete"]

    def never(settings: dict[str, Any], state: Path) -> list[float]:
        raise MemoryError

    made.ndcg = never
    with pytest.raises(DataError, match="more memory or smaller sizes"):
        run(tmp_path / "other", 2)


def test_trials_begin_with_the_encoder_and_the_texts_that_training_begins_with(
    tmp_path: Path, fits, monkeypatch: pytest.MonkeyPatch
):
    titles = tmp_path / "titles.csv"
    titles.write_text("item_id,title\ni1,Oak desk\n")
    asked: list[tuple[Any, ...]] = []

    def start_of(source: Path, adapter: str, *, fresh_items: bool, items: Any, rows: Any) -> Start:
        asked.append((source, adapter, fresh_items, items, rows["i1"].title))
        return BY_CHANCE

    monkeypatch.setattr(searching, "start_of", start_of)
    made = fits(by_rate)
    given = {"source": Path("c"), "adapter": "lora", "fresh_items": True, "items": titles}
    run(tmp_path / "s", 2, **given)
    assert asked == [(Path("c"), "lora", True, LOG.items, "Oak desk")]
    assert [settings["start"] for settings in made.settings] == [BY_CHANCE] * 2
