"""Random click logs, and pipelines of one partition for them."""

import numpy as np

from model.data import Event, sequences
from streams.event_types import EventType, EventTypes
from streams.events import ClickLimits
from streams.graph import GraphConfig
from streams.pipeline import PipelineConfig
from streams.window import WindowConfig

START_MS = 1_700_000_000_000
DAY_SECONDS = 86_400


def random_log(seed, *, events=160, users=5, items=14, days=40):
    """Clicks at different times, with habits: every user comes back to a few items."""
    random = np.random.default_rng(seed)
    times = START_MS + np.sort(random.choice(days * DAY_SECONDS * 1000, events, replace=False))
    favourites = random.integers(0, items, (users, 3))
    found = []
    for time_ms in times.tolist():
        user = int(random.integers(users))
        item = random.choice(favourites[user]) if random.random() < 0.5 else random.integers(items)
        found.append(Event(f"u{user}", f"i{item}", time_ms))
    return sequences(found)


def pipeline(half_life_seconds=7.0 * DAY_SECONDS, window_events=200, window_days=30, **graph):
    types = EventTypes([EventType("click", 1.0, half_life_seconds, 1)])
    max_age_ms = window_days * DAY_SECONDS * 1000
    return PipelineConfig(
        window=WindowConfig(max_events=window_events, max_age_ms=max_age_ms, event_types=types),
        graph=GraphConfig(event_types=types, **graph),
        limits=ClickLimits(max_age_ms=max_age_ms, event_types=types.names),
        event_types=types,
        partitions=1,
    )
