"""Look-ups as tables for people; what is a list in JSON is one cell here."""

from __future__ import annotations

from typing import Any

from streams.api import EvolutionAnswer, Trending

Row = dict[str, Any]


def trending_rows(trending: Trending) -> Row:
    """Items that exceed their usual rate, one a row."""
    items = [
        {
            "item_id": item.item_id,
            "title": item.title,
            "categories": ", ".join(item.categories),
            "trend": item.trend,
            "decayed": item.popularity.decayed,
            "events": item.popularity.events,
            "available": "yes" if item.available else "no",
        }
        for item in trending.items
    ]
    return {"at": trending.at, "items": items}


def evolution_rows(evolution: EvolutionAnswer) -> Row:
    """A user's evolution: sessions, drift and interest, a table each."""
    return {
        "user_id": evolution.user_id,
        "at": evolution.at,
        "events": evolution.events,
        "sessions": [
            {
                "session": number,
                "start": session.start,
                "end": session.end,
                "events": session.events,
                "event_types": _counts(session.event_types.items()),
                "items": _counts(
                    (item.title or item.item_id, item.events) for item in session.items[:3]
                ),
                "categories": ", ".join(
                    f"{row.category} {row.share:.0%}" for row in session.categories[:3]
                ),
            }
            for number, session in enumerate(evolution.sessions)
        ],
        f"drift of {evolution.measured_on}": [
            {
                "sessions": f"{step.from_session}-{step.to_session}",
                "distance": step.distance,
                "by chance": step.expected,
                "p": step.p_value,
            }
            for step in evolution.drift
        ],
        "interest": [
            {"label": row.title or row.label, "now": row.now, "before": row.before}
            for row in evolution.interest
        ],
    }


def _counts(counts: Any) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts)
