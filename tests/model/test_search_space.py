"""What is searched on a log, and that what was drawn can be said on the command line."""

from typing import Any

import optuna
import pytest

from model.augment import Augmentation
from model.data import Event, sequences
from model.search_space import SEARCHED, SearchSpace, flags
from tests.model.planted import planted_events

LOG = sequences(planted_events(users=5, length=30))


def draw(space: SearchSpace, seed: int) -> dict[str, Any]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return space.draw(study.ask())


def test_everything_that_is_not_given_is_drawn_within_what_a_training_takes():
    space = SearchSpace(LOG, fixed=())
    for seed in range(30):
        drawn = draw(space, seed)
        assert set(drawn) == SEARCHED
        assert 3e-4 <= drawn["learning_rate"] <= 6e-3
        assert 0.0 <= drawn["dropout"] <= 0.6
        assert set(drawn["features"]) <= {"time_gap", "hour_of_week"}
        assert drawn["max_length"] in (20, 50)  # histories have 30 events
        drawn["augmentation"].check()


def test_what_is_given_is_not_drawn():
    drawn = draw(SearchSpace(LOG, fixed={"dim", "features", "augmentation"}), 0)
    assert set(drawn) == SEARCHED - {"dim", "features", "augmentation"}


def test_sizes_fit_the_number_of_heads():
    assert SearchSpace(LOG, fixed=(), heads=3).dims == (48, 96)


def test_features_that_the_log_cannot_feed_are_not_drawn():
    order_only = sequences((Event("u", str(n), 0) for n in range(5)), has_times=False)
    space = SearchSpace(order_only, fixed=())
    assert draw(space, 1)["features"] == []
    assert space.lengths == (20,)
    assert "max_length" not in space.usual()  # 50 is not among them


def test_the_usual_settings_are_within_the_space():
    space = SearchSpace(LOG, fixed=())
    usual = space.draw(optuna.trial.FixedTrial(space.usual()))
    assert usual["features"] == ["time_gap", "hour_of_week"]
    assert usual["augmentation"] == Augmentation()
    assert (usual["dim"], usual["learning_rate"], usual["max_length"]) == (64, 1e-3, 50)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"learning_rate": 0.00123, "max_length": 50}, {"--learning-rate": "0.00123",
                                                        "--max-length": "50"}),
        ({"features": ["time_gap", "place"]}, {"--features": "time_gap,place"}),
        ({"features": []}, {"--features": ""}),
        ({"augmentation": Augmentation(crop=0.2, mask=0.1)}, {"--augment": "crop=0.2,mask=0.1"}),
        ({"augmentation": Augmentation()}, {}),
    ],
)  # fmt: skip
def test_settings_become_options_of_the_command(settings: dict[str, Any], expected: dict[str, str]):
    assert flags(settings) == expected
