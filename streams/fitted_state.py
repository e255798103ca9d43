"""The state that an artefact's blend was fitted for, as settings of a worker.

Weights belong to shares that are computed in one way: a worker that keeps shorter windows or lets
transitions fade faster than training did has other shares, and lists that are not as good.
"""

from collections.abc import Mapping
from typing import Any

from streams.event_types import EventTypes
from streams.settings import Settings

_FIELDS = (
    "predecessors",
    "max_neighbours",
    "popularity_half_life_seconds",
    "trending_half_life_seconds",
    "window_events",
    "window_seconds",
)


def fitted_settings(training: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by name, from the `training` of a manifest; empty where it says nothing."""
    priors = _priors(training)
    return {name: priors[name] for name in _FIELDS if priors.get(name) is not None}


def fitted_half_life_seconds(training: Mapping[str, Any]) -> float | None:
    """Half-life of transitions; None where nothing is said, and each event type has its own."""
    found = _priors(training).get("graph_half_life_seconds")
    return None if found is None else float(found)


def differences(
    settings: Settings, event_types: EventTypes, used: list[str], training: Mapping[str, Any]
) -> list[str]:
    """How a worker's state differs from what the blend was fitted for, a phrase for each setting.

    used: names of the event types that the artefact was trained on. Artefacts from before windows
    were part of the fit are never told apart.
    """
    if not _priors(training).get("by_arrival"):
        return []
    found = [
        f"{name} {wanted:.10g} (here {getattr(settings, name):.10g})"
        for name, wanted in fitted_settings(training).items()
        if getattr(settings, name) != wanted
    ]
    half_life = fitted_half_life_seconds(training)
    for name in used:
        known = event_types.get(name)
        if known is not None and half_life is not None and known.half_life_seconds != half_life:
            here = known.half_life_seconds
            found.append(f"half_life_seconds of {name} {half_life:.10g} (here {here:.10g})")
    return found


def _priors(training: Mapping[str, Any]) -> Mapping[str, Any]:
    priors = training.get("priors")
    return priors if isinstance(priors, dict) else {}
