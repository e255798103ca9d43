"""A user's evolution as the HTTP server tells it."""

from __future__ import annotations

from collections.abc import Mapping

from streams.api import (
    CategoryShare,
    DriftAnswer,
    EvolutionAnswer,
    InterestAnswer,
    ItemEvents,
    PlaceEvents,
    SessionAnswer,
)
from streams.evolution import Drift, Evolution, Session
from streams.instant import iso_utc
from streams.place import cell_centre

_DIGITS = 4


def evolution_answer(
    evolution: Evolution, user_id: str, titles: Mapping[str, str], *, at_ms: int, gap_seconds: int
) -> EvolutionAnswer:
    """`titles`: of every item of the events that the evolution is of."""
    of_items = evolution.measured_on == "items"
    return EvolutionAnswer(
        user_id=user_id,
        at=iso_utc(at_ms),
        gap_seconds=gap_seconds,
        events=sum(session.events for session in evolution.sessions),
        measured_on=evolution.measured_on,
        sessions=[_session(session, titles) for session in evolution.sessions],
        drift=[_drift(number, found) for number, found in enumerate(evolution.drift)],
        interest=[
            InterestAnswer(
                label,
                titles[label] if of_items else label,
                round(now, _DIGITS),
                round(before, _DIGITS),
            )
            for label, now, before in evolution.interest
        ],
    )


def _session(session: Session, titles: Mapping[str, str]) -> SessionAnswer:
    return SessionAnswer(
        start=iso_utc(session.start_ms),
        end=iso_utc(session.end_ms),
        events=session.events,
        event_types=dict(session.event_types),
        items=[ItemEvents(item, titles[item], count) for item, count in session.items],
        categories=[
            CategoryShare(category, round(min(1.0, share), _DIGITS))
            for category, share in session.categories
        ],
        places=[_place(cell, count) for cell, count in session.place_cells],
    )


def _place(cell: int, events: int) -> PlaceEvents:
    centre = cell_centre(cell)
    return PlaceEvents(cell, round(centre.lat, _DIGITS), round(centre.lon, _DIGITS), events)


def _drift(number: int, found: Drift | None) -> DriftAnswer:
    if found is None:
        return DriftAnswer(number, number + 1, None, None, None)
    distance, expected, p_value = (round(value, _DIGITS) for value in found)
    return DriftAnswer(number, number + 1, distance, expected, p_value)
