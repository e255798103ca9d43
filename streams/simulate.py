"""An endless synthetic click stream with sessions, drift and trends, for load.

It is for load and for demonstrations of change over time; figures of quality come from real logs.
The stream is a function of its seed: the same seed gives the same clicks.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

from streams.columns import LoggedClick

_EVENT_TYPES = ("view", "click", "like", "add_to_cart", "purchase")
_EVENT_SHARES = (0.55, 0.33, 0.05, 0.05, 0.02)


@dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    """Who clicks on what, and how it changes.

    Users start sessions so that `clicks_per_second` come out on average. Within a session an item
    leads to its successor with `follow_share`, else the user picks by popularity inside the topic
    of the session. Every `drift_seconds` a user's favourite topic moves on and successors change;
    every `trend_seconds` another item becomes a trend that takes `trend_share` of the picks and
    fades within that time.
    """

    users: int = 10_000
    items: int = 5_000
    topics: int = 25
    clicks_per_second: float = 1_000.0
    mean_session_clicks: float = 8.0
    mean_gap_seconds: float = 12.0
    follow_share: float = 0.5
    drift_seconds: float = 3_600.0
    trend_seconds: float = 600.0
    trend_share: float = 0.05
    zipf_exponent: float = 1.05

    def __post_init__(self) -> None:
        if min(self.users, self.items, self.topics) < 1 or self.items < self.topics:
            raise ValueError("A simulation needs users, topics, and at least one item for a topic.")
        if min(self.clicks_per_second, self.mean_session_clicks, self.mean_gap_seconds) <= 0:
            raise ValueError("clicks_per_second, session length and gap must be above 0.")


@dataclass(slots=True)
class _Session:
    user: int
    number: int
    topic: int
    item: int
    clicks_left: int


class Simulation:
    """The stream. `start_ms` is the event time of its beginning, in epoch milliseconds."""

    def __init__(self, config: SimulationConfig, seed: int, start_ms: int) -> None:
        self._config = config
        self._random = random.Random(seed)
        self._start_ms = start_ms
        self._topic_size = config.items // config.topics
        weights = (1 / (rank + 1) ** config.zipf_exponent for rank in range(self._topic_size))
        self._cumulative = list(itertools.accumulate(weights))
        self._sessions = itertools.count()

    def clicks(self) -> Iterator[LoggedClick]:
        """Clicks in time order, without end; memory holds the sessions that are open."""
        config, rng = self._config, self._random
        starts_per_second = config.clicks_per_second / config.mean_session_clicks
        next_start = 0.0
        open_sessions = self._already_open()
        for row in itertools.count():
            while not open_sessions or next_start <= open_sessions[0][0]:
                session = self._open(next_start)
                heapq.heappush(open_sessions, (next_start, session.number, session))
                next_start += rng.expovariate(starts_per_second)
            seconds, number, session = open_sessions[0]
            yield self._click(session, seconds, row)
            session.clicks_left -= 1
            if session.clicks_left <= 0:
                heapq.heappop(open_sessions)
                continue
            session.item = self._next_item(session, seconds)
            later = seconds + rng.expovariate(1 / config.mean_gap_seconds)
            heapq.heapreplace(open_sessions, (later, number, session))

    def _already_open(self) -> list[tuple[float, int, _Session]]:
        """The sessions that are open at the start of a stream that has long been running."""
        config = self._config
        count = config.clicks_per_second * config.mean_gap_seconds
        count *= 1 - 1 / max(config.mean_session_clicks, 1)
        sessions = []
        for _ in range(int(count)):
            session = self._open(0.0)
            seconds = self._random.expovariate(1 / config.mean_gap_seconds)
            sessions.append((seconds, session.number, session))
        heapq.heapify(sessions)
        return sessions

    def _open(self, seconds: float) -> _Session:
        config, rng = self._config, self._random
        # Squaring makes some users far more active than others, as in every log.
        user = int(config.users * rng.random() ** 2)
        favourite = user * 7 + self._drift(seconds)
        topic = (favourite if rng.random() < 0.7 else rng.randrange(config.topics)) % config.topics
        length = 1 + int(rng.expovariate(1 / max(config.mean_session_clicks - 0.5, 0.5)))
        session = _Session(user, next(self._sessions), topic, 0, length)
        session.item = self._pick(topic, seconds)
        return session

    def _next_item(self, session: _Session, seconds: float) -> int:
        if self._random.random() >= self._config.follow_share:
            return self._pick(session.topic, seconds)
        # The successor is fixed for an item until the next drift: what a graph can learn.
        position = session.item // self._config.topics
        step = 1 + (position * 31 + self._drift(seconds)) % 5
        return self._item(session.topic, (position + step) % self._topic_size)

    def _pick(self, topic: int, seconds: float) -> int:
        config, rng = self._config, self._random
        period, age = divmod(seconds, config.trend_seconds)
        freshness = 1 - age / config.trend_seconds
        if rng.random() < config.trend_share * 2 * freshness:
            return (int(period) * 7919 + 13) % (config.topics * self._topic_size)
        total = self._cumulative[-1]
        position = bisect.bisect_left(self._cumulative, rng.random() * total)
        return self._item(topic, position)

    def _item(self, topic: int, position: int) -> int:
        return position * self._config.topics + topic

    def _drift(self, seconds: float) -> int:
        return int(seconds // self._config.drift_seconds)

    def _click(self, session: _Session, seconds: float, row: int) -> LoggedClick:
        kind = self._random.choices(_EVENT_TYPES, _EVENT_SHARES)[0]
        return LoggedClick(
            timestamp_ms=self._start_ms + int(seconds * 1000),
            row=row,
            user_id=f"u{session.user:07d}",
            item_id=f"i{session.item:07d}",
            event_type=kind,
            session_id=f"s{session.number:09d}",
        )
