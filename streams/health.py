"""Whether a process is alive and ready: written by the worker, read by whoever asks."""

from __future__ import annotations

import time
from collections.abc import Callable

STALL_SECONDS = 60.0  # an event loop silent for this long is not alive


class Health:
    """Readiness by part, and the heartbeat of the event loop. Safe to read from other threads.

    `clock` is monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: dict[str, str] = {}
        self._last_beat: float | None = None

    def not_ready(self, part: str, why: str) -> None:
        """Not ready until `ready(part)`; `why` is shown to whoever asks."""
        self._waiting = self._waiting | {part: why}

    def ready(self, part: str) -> None:
        """This part no longer stands in the way."""
        self._waiting = {name: why for name, why in self._waiting.items() if name != part}

    def beat(self) -> None:
        """Called by the event loop every second or so; from the first call on it must go on."""
        self._last_beat = self._clock()

    @property
    def reasons(self) -> dict[str, str]:
        """Why the worker is not ready, by part; empty: it is."""
        return dict(self._waiting)

    @property
    def stalled_seconds(self) -> float | None:
        """How long the event loop has been silent, where that is too long; else None."""
        silent = 0.0 if self._last_beat is None else self._clock() - self._last_beat
        return silent if silent > STALL_SECONDS else None
