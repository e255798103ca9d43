"""The synthetic stream: a function of its seed, in time order, at its rate, and changing."""

import itertools
from collections import Counter, defaultdict

import pytest

from streams.columns import LoggedClick
from streams.simulate import Simulation, SimulationConfig


def _clicks(count: int, seed: int = 1, **changes: float) -> list[LoggedClick]:
    config = SimulationConfig(**({"users": 500, "items": 400, "topics": 8} | changes))  # type: ignore[arg-type]
    return list(itertools.islice(Simulation(config, seed, 1_000_000).clicks(), count))


def test_the_same_seed_gives_the_same_stream_and_another_seed_another() -> None:
    assert _clicks(2000) == _clicks(2000)
    assert _clicks(2000) != _clicks(2000, seed=2)


def test_clicks_come_in_time_order_from_the_start_time_on() -> None:
    times = [click.timestamp_ms for click in _clicks(5000)]
    assert times == sorted(times)
    assert times[0] >= 1_000_000


def test_the_rate_holds_from_the_first_second_on() -> None:
    clicks = _clicks(40_000, clicks_per_second=1000.0, users=100_000)
    seconds = Counter((click.timestamp_ms - 1_000_000) // 10_000 for click in clicks)
    for ten_seconds in range(3):
        assert seconds[ten_seconds] == pytest.approx(10_000, rel=0.15)


def test_sessions_belong_to_one_user_and_have_several_clicks() -> None:
    sessions = defaultdict(list)
    for click in _clicks(20_000, clicks_per_second=50.0):
        sessions[click.session_id].append(click.user_id)
    assert all(len(set(users)) == 1 for users in sessions.values())
    assert 4 < 20_000 / len(sessions) < 9


def test_items_lead_to_successors_that_a_graph_can_learn() -> None:
    last: dict[str | None, str] = {}
    follows: dict[str, Counter[str]] = defaultdict(Counter)
    for click in _clicks(40_000, drift_seconds=1e9):
        if click.session_id in last:
            follows[last[click.session_id]][click.item_id] += 1
        last[click.session_id] = click.item_id
    frequent = [after for after in follows.values() if after.total() >= 100]
    shares = [after.most_common(1)[0][1] / after.total() for after in frequent]
    assert len(shares) > 20
    assert sum(shares) / len(shares) > 0.45


def test_tastes_drift_and_trends_come_and_go() -> None:
    clicks = _clicks(60_000, drift_seconds=20.0, trend_seconds=20.0, trend_share=0.2)
    tops = []
    for period in range(3):
        within = [c.item_id for c in clicks if (c.timestamp_ms - 1_000_000) // 20_000 == period]
        tops.append(Counter(within).most_common(1)[0][0])
    assert len(set(tops)) == 3


def test_a_simulation_that_cannot_be_is_refused() -> None:
    for changes in ({"users": 0}, {"items": 3, "topics": 4}, {"clicks_per_second": 0.0}):
        with pytest.raises(ValueError, match="simulation needs|above 0"):
            SimulationConfig(**changes)  # type: ignore[arg-type]
