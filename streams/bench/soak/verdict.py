"""Verdict on a soak: what the samples of a run say of its promises. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import msgspec

from streams.bench.soak.plan import SoakPlan

WARM_UP_SHARE = 0.2
"""Of the run, at its begin: caches and buffers fill, and memory is not looked at."""
MEMORY_GROWTH_BAR = 0.05
MEMORY_JUDGED_SECONDS = 600.0
"""Shorter runs tell of their memory and are not judged by it: RocksDB's buffers still fill."""
ENCODER_AGE_DEADLINES = 3
"""A list of the encoder is at most so many deadlines old when it is made: one until its batch is
taken, one in which the engine must get free, one in which it must answer."""
RECOVERED_SHARE = 0.9
LAG_SECONDS = 1.0
"""Clicks of so much base load count as no lag: offsets may be committed half a second late."""


class Sample(msgspec.Struct):
    """A second of the run."""

    at_seconds: float
    """Since the begin of the load."""
    published: int
    """Clicks so far."""
    rss_bytes: int
    lag_clicks: int
    """Published and not committed: unread, or without acknowledged state and list."""
    unread_clicks: int
    """Of these, what the worker has not read from Kafka; by its own metric."""
    loop_lag_seconds: float
    """Upper edge of the bucket of the latest wake-up of the event loop in this second."""
    encoder_lists: int = 0
    late_lists: int = 0
    """From the graph, because they had waited longer than the deadline."""
    other_lists: int = 0
    age_p50_seconds: float = 0.0
    """From the click to its list, over the lists of this second."""
    age_p99_seconds: float = 0.0
    encoder_age_max_seconds: float = 0.0

    @property
    def lists(self) -> int:
        """Lists of this second."""
        return self.encoder_lists + self.late_lists + self.other_lists


class Burst(msgspec.Struct):
    """One burst and what came of it."""

    begin_seconds: float
    peak_lag_clicks: int
    drained_seconds: float | None
    """From its end until there was no lag; None: not before the next one."""
    late_lists: int
    encoder_share_after: float
    """Of the lists of the last quarter of its period."""


class Verdict(msgspec.Struct):
    """Figures and, for each promise that was broken, the sentence that says so."""

    memory_growth: float
    memory_judged: bool
    bursts: list[Burst]
    drained_seconds_max: float | None
    encoder_age_max_seconds: float
    age_p50_seconds: float
    """Median over the seconds of the run."""
    age_p99_seconds_max: float
    lists: int
    encoder_share: float
    late_share: float
    loop_lag_seconds_max: float
    broken: list[str]


def memory_growth(samples: Sequence[Sample], seconds: float) -> float:
    """Median of the last tenth over that of the first tenth after warm-up, less 1."""
    sizes = [s.rss_bytes for s in samples if s.at_seconds >= WARM_UP_SHARE * seconds]
    if not sizes:
        return 0.0
    tenth = max(1, len(sizes) // 10)
    return median(sizes[-tenth:]) / median(sizes[:tenth]) - 1


def burst_of(
    begin: float, end: float, plan: SoakPlan, base_rate: float, samples: Sequence[Sample]
) -> Burst:
    """What the samples of a burst's period say."""
    next_begin = begin + plan.period_seconds
    period_end = next_begin - plan.period_seconds / 4
    own = [s for s in samples if begin <= s.at_seconds < next_begin]
    drained = [
        s.at_seconds for s in own if s.at_seconds >= end and s.lag_clicks <= base_rate * LAG_SECONDS
    ]
    last = [s for s in own if period_end - plan.period_seconds / 4 <= s.at_seconds < period_end]
    lists = sum(s.lists for s in last)
    return Burst(
        begin_seconds=begin,
        peak_lag_clicks=max((s.lag_clicks for s in own), default=0),
        drained_seconds=round(drained[0] - end, 1) if drained else None,
        late_lists=sum(s.late_lists for s in own),
        encoder_share_after=round(sum(s.encoder_lists for s in last) / max(lists, 1), 4),
    )


def verdict(
    plan: SoakPlan,
    base_rate: float,
    deadline_seconds: float,
    samples: Sequence[Sample],
    *,
    users_without_list: int,
) -> Verdict:
    """Judge a run. `users_without_list`: whose last click is in no list, when all is worked off."""
    growth = memory_growth(samples, plan.seconds)
    judged = plan.seconds >= MEMORY_JUDGED_SECONDS
    bursts = [burst_of(*span, plan, base_rate, samples) for span in plan.bursts()]
    oldest = max((s.encoder_age_max_seconds for s in samples), default=0.0)
    broken = []
    if judged and growth >= MEMORY_GROWTH_BAR:
        broken.append(
            f"Memory grew by {growth:.1%} after warm-up, not by less than {MEMORY_GROWTH_BAR:.0%}."
        )
    undrained = [b.begin_seconds for b in bursts if b.drained_seconds is None]
    if undrained:
        broken.append(
            f"The lag did not return to zero after {len(undrained)} of {len(bursts)} bursts, the"
            f" first at {undrained[0]:.0f} s."
        )
    if oldest > ENCODER_AGE_DEADLINES * deadline_seconds:
        broken.append(
            f"A list of the encoder was {oldest:.2f} s old, more than {ENCODER_AGE_DEADLINES}"
            f" deadlines of {deadline_seconds:g} s; it had to come from the graph."
        )
    if not any(b.late_lists for b in bursts):
        broken.append("No burst was an overload: no list was degraded. Give a larger --burst.")
    stuck = [b for b in bursts if b.encoder_share_after < RECOVERED_SHARE]
    if stuck:
        broken.append(
            f"After {len(stuck)} of {len(bursts)} bursts lists did not come from the encoder again:"
            f" {stuck[0].encoder_share_after:.0%} of them at the end of the period of the burst at"
            f" {stuck[0].begin_seconds:.0f} s, not {RECOVERED_SHARE:.0%}."
        )
    if users_without_list:
        broken.append(f"The last click of {users_without_list} users is in no list of theirs.")
    lists = sum(s.lists for s in samples)
    drains = [b.drained_seconds for b in bursts if b.drained_seconds is not None]
    return Verdict(
        memory_growth=round(growth, 4),
        memory_judged=judged,
        bursts=bursts,
        drained_seconds_max=max(drains, default=None),
        encoder_age_max_seconds=round(oldest, 3),
        age_p50_seconds=round(median([s.age_p50_seconds for s in samples if s.lists] or [0.0]), 4),
        age_p99_seconds_max=round(max((s.age_p99_seconds for s in samples), default=0.0), 3),
        lists=lists,
        encoder_share=round(sum(s.encoder_lists for s in samples) / max(lists, 1), 4),
        late_share=round(sum(s.late_lists for s in samples) / max(lists, 1), 4),
        loop_lag_seconds_max=max((s.loop_lag_seconds for s in samples), default=0.0),
        broken=broken,
    )
