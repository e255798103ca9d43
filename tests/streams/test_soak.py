"""Plan and verdict of a soak: what is due when, and the sentence of a broken promise."""

import pytest

from streams.bench.soak.plan import SoakPlan, sustained
from streams.bench.soak.sampler import latest_lag, read_metrics
from streams.bench.soak.verdict import Sample, Verdict, memory_growth, verdict
from streams.metrics import Metrics

PLAN = SoakPlan(seconds=1_200.0)
BASE = 100.0


def test_the_mean_load_with_bursts_is_the_share_of_the_capacity() -> None:
    for plan in (PLAN, SoakPlan.short()):
        base = plan.base_rate(1_000.0)
        clicks = plan.due(plan.seconds, base)
        assert clicks / plan.seconds == pytest.approx(plan.share * 1_000.0, rel=0.01)


def test_a_burst_is_ten_times_the_load_between_bursts_and_ends_in_its_period() -> None:
    begin, end = PLAN.bursts()[3]
    assert PLAN.due(end, BASE) - PLAN.due(begin, BASE) == 10 * BASE * (end - begin)
    assert PLAN.due(begin, BASE) - PLAN.due(begin - 2, BASE) == 2 * BASE
    assert PLAN.due(end + 2, BASE) - PLAN.due(end, BASE) == 2 * BASE
    assert len(PLAN.bursts()) == 20
    assert PLAN.bursts()[-1][1] < PLAN.seconds - PLAN.period_seconds / 2


def test_a_rate_is_held_while_the_encoder_makes_the_lists_clear_of_the_deadline() -> None:
    assert sustained([0.05] * 100, 100, 1.0)
    assert not sustained([0.05] * 90 + [0.8] * 10, 100, 1.0)
    assert not sustained([0.05] * 100, 90, 1.0)
    assert not sustained([], 0, 1.0)


def samples() -> list[Sample]:
    """A run that keeps every promise: bursts wait, come from the graph, and are worked off."""
    made = []
    for at in range(int(PLAN.seconds)):
        phase = at % PLAN.period_seconds - PLAN.period_seconds / 4
        is_late = 2 <= phase < 8
        made.append(
            Sample(
                at_seconds=float(at),
                published=PLAN.due(at, BASE),
                rss_bytes=400_000_000 + min(at, 100) * 1_000_000,
                lag_clicks=1_500 if is_late else 40,
                unread_clicks=0,
                loop_lag_seconds=0.02,
                encoder_lists=0 if is_late else 100,
                late_lists=300 if is_late else 0,
                age_p50_seconds=0.05,
                age_p99_seconds=4.0 if is_late else 0.1,
                encoder_age_max_seconds=0.0 if is_late else 1.2,
            )
        )
    return made


def judge(run: list[Sample], plan: SoakPlan = PLAN, without_list: int = 0) -> Verdict:
    return verdict(plan, BASE, 1.0, run, users_without_list=without_list)


def test_a_run_that_keeps_its_promises_breaks_none() -> None:
    verdict = judge(samples())
    assert verdict.broken == []
    assert [burst.drained_seconds for burst in verdict.bursts] == [6.0] * 20
    assert {burst.late_lists for burst in verdict.bursts} == {1_800}
    assert verdict.memory_growth == 0.0


def test_memory_is_compared_after_the_warm_up_and_between_medians() -> None:
    run = samples()
    run[-1].rss_bytes *= 10
    assert memory_growth(run, PLAN.seconds) == 0.0
    for sample in run:
        sample.rss_bytes += int(sample.at_seconds) * 50_000
    assert 0.05 < memory_growth(run, PLAN.seconds) < 0.15
    assert "Memory grew by" in judge(run).broken[0]


def test_memory_of_a_short_run_is_told_and_not_judged() -> None:
    plan = SoakPlan(seconds=599.0)
    run = [sample for sample in samples() if sample.at_seconds < 599]
    for sample in run:
        sample.rss_bytes += int(sample.at_seconds) * 1_000_000
    found = judge(run, plan)
    assert (found.memory_judged, found.broken) == (False, [])
    assert found.memory_growth > 0.5


def test_each_broken_promise_is_a_sentence() -> None:
    never_drained = samples()
    for sample in never_drained[200:]:
        sample.lag_clicks = 5_000
    assert "did not return to zero after 17 of 20" in judge(never_drained).broken[0]
    too_old = samples()
    too_old[77].encoder_age_max_seconds = 3.2
    assert "A list of the encoder was 3.20 s old" in judge(too_old).broken[0]
    stuck = samples()
    for sample in stuck[600:]:
        sample.late_lists, sample.encoder_lists = 100, 0
    assert "did not come from the encoder again" in judge(stuck).broken[0]
    idle = samples()
    for sample in idle:
        sample.late_lists = 0
    assert "No burst was an overload" in judge(idle).broken[0]
    assert judge(samples(), without_list=3).broken == [
        "The last click of 3 users is in no list of theirs."
    ]


def test_a_workers_own_metrics_are_read() -> None:
    metrics = Metrics()
    metrics.consumer_lag_records.labels("clicks", "0").set(5)
    metrics.consumer_lag_records.labels("clicks", "1").set(7)
    metrics.consumer_lag_records.labels("freshrec-transitions", "0").set(11)
    metrics.event_loop_lag_seconds.observe(0.004)
    unread, before = read_metrics(metrics.exposition().decode(), "clicks")
    assert unread == 12
    metrics.event_loop_lag_seconds.observe(0.09)
    metrics.event_loop_lag_seconds.observe(0.002)
    _, after = read_metrics(metrics.exposition().decode(), "clicks")
    assert latest_lag({}, before) == 0.005
    assert latest_lag(before, after) == 0.1
    assert latest_lag(after, after) == 0.0
