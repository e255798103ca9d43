"""Plan of a soak: how many clicks are due when, and how capacity is looked for. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

SUSTAINED_ENCODER_SHARE = 0.95
"""Of the lists of a step, at least so many must be the encoder's for its rate to be sustained."""


class SoakPlan(msgspec.Struct, frozen=True):
    """Load of a soak. Bursts are part of the share, so that on average capacity is left over.

    `share` is the mean load as a part of capacity, bursts included. A burst of `burst_seconds` at
    `burst` times the base rate begins a quarter into every period of `period_seconds`; what it
    leaves undone has the rest of the period and the capacity above the base rate to be worked off.
    """

    seconds: float = 1_800.0
    share: float = 0.8
    burst: float = 10.0
    burst_seconds: float = 2.0
    period_seconds: float = 60.0
    users: int = 5_000
    window_events: int = 50
    seed: int = 7
    capacity: float | None = None
    """Clicks a second, where it is known; None: looked for."""
    first_rate: float = 200.0
    """Clicks a second of the first step of the search for the capacity."""
    step_factor: float = 1.25
    step_seconds: float = 4.0

    @classmethod
    def short(
        cls, share: float = 0.8, burst: float = 10.0, capacity: float | None = None
    ) -> SoakPlan:
        """About a minute and a half in all: the same with everything smaller."""
        return cls(
            seconds=40.0,
            share=share,
            burst=burst,
            capacity=capacity,
            period_seconds=20.0,
            window_events=20,
            step_factor=1.5,
            step_seconds=3.0,
        )

    def base_rate(self, capacity: float) -> float:
        """Clicks a second between bursts, so that the mean is `share` of the capacity."""
        extra = (self.burst - 1) * self.burst_seconds / self.period_seconds
        return self.share * capacity / (1 + extra)

    def due(self, at_seconds: float, base_rate: float) -> int:
        """Clicks that are due from the begin of the run to `at_seconds`."""
        periods, phase = divmod(at_seconds, self.period_seconds)
        in_bursts = periods * self.burst_seconds + min(
            max(0.0, phase - self.period_seconds / 4), self.burst_seconds
        )
        return int(base_rate * (at_seconds + (self.burst - 1) * in_bursts))

    def bursts(self) -> list[tuple[float, float]]:
        """Begin and end of every burst that has its whole period, in seconds of the run."""
        begins = [
            number * self.period_seconds + self.period_seconds / 4
            for number in range(int(self.seconds / self.period_seconds))
        ]
        return [(begin, begin + self.burst_seconds) for begin in begins]


def sustained(ages_seconds: Sequence[float], encoder_lists: int, deadline_seconds: float) -> bool:
    """Whether a rate is one that the worker holds, from the lists of the end of a step.

    Ages that approach the deadline say that a queue is growing, before a list is degraded.
    """
    count = len(ages_seconds)
    if count == 0 or encoder_lists < SUSTAINED_ENCODER_SHARE * count:
        return False
    return sorted(ages_seconds)[int(0.95 * (count - 1))] <= deadline_seconds / 2
