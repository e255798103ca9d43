from streams.event_types import EventTypes
from streams.fitted_state import differences, fitted_half_life_seconds, fitted_settings
from streams.settings import Settings

PRIORS = {
    "predecessors": 5,
    "max_neighbours": 100,
    "window": 10,
    "window_events": 1000,
    "window_seconds": None,
    "graph_half_life_seconds": 604_800.0,
    "by_arrival": True,
}


def test_settings_are_those_that_the_fit_named():
    wanted = {"predecessors": 5, "max_neighbours": 100, "window_events": 1000}
    assert fitted_settings({"priors": PRIORS}) == wanted
    assert fitted_half_life_seconds({"priors": PRIORS}) == 604_800.0
    assert fitted_settings({}) == {}
    assert fitted_half_life_seconds({"priors": "none"}) is None


def test_a_worker_with_other_state_is_told_what_differs():
    found = differences(Settings(), EventTypes(), ["click", "purchase"], {"priors": PRIORS})
    assert found == [
        "window_events 1000 (here 200)",
        "half_life_seconds of purchase 604800 (here 2592000)",
    ]
    fitting = Settings().replace(window_events=1000)
    assert differences(fitting, EventTypes(), ["click"], {"priors": PRIORS}) == []


def test_an_artefact_from_before_windows_were_fitted_expects_nothing():
    older = {"priors": {**PRIORS, "by_arrival": False}}
    assert differences(Settings(), EventTypes(), ["click"], older) == []
