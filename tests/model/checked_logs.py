"""A log in order, and what a check finds in one."""

from collections.abc import Iterable

import numpy as np

from model.checks import Finding, findings
from model.data import Event, Sequences, sequences
from model.time_checks import DAY_MS

NOW_MS = 1_760_000_000_000  # 2025-10-09
START_MS = 1_750_000_000_000


def people(users: int = 300, events: int = 12, seed: int = 0) -> list[Event]:
    """A log in order: irregular gaps, varied items, no bots."""
    random = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        time_ms = START_MS + int(random.integers(0, 30 * DAY_MS))
        for item in random.choice(40, events, replace=False).tolist():
            rows.append(Event(f"u{user}", f"i{item}", time_ms))
            time_ms += 1 + int(random.exponential(3_600_000))
    return rows


def found(log: Sequences | Iterable[Event], name: str, **options: object) -> Finding:
    data = log if isinstance(log, Sequences) else sequences(log)
    by_name = {f.name: f for f in findings(data, now_ms=NOW_MS, **options)}  # type: ignore[arg-type]
    return by_name[name]
