"""Live figures: totals, latencies, lag and sizes, from metrics alone."""

from streams.api import LiveModel, PartitionLag
from streams.health import STALL_SECONDS, Health
from streams.live import live
from streams.metrics import Metrics
from streams.quality import Verdict


def figures(metrics: Metrics, health: Health | None = None):
    return live(metrics, health or Health(), time_seconds=1000.0, uptime_seconds=5.0)


def test_a_worker_that_has_done_nothing_has_every_total_at_zero():
    answer = figures(Metrics())
    assert answer.totals.clicks == answer.totals.hits_at_10 == 0
    assert answer.totals.lists == {"bert+graph": 0, "graph": 0, "popular": 0}
    assert set(answer.totals.degraded) == {
        "cold_user", "model_missing", "model_failed", "deadline",
    }  # fmt: skip
    assert answer.event_to_recommendation.sum_seconds == 0.0
    assert answer.partitions == []
    assert answer.model is None
    assert answer.ready


def test_totals_are_sums_over_labels():
    metrics = Metrics()
    metrics.events_total.labels("click").inc(3)
    metrics.events_total.labels("purchase").inc(2)
    metrics.rejects_total.labels("bad_id").inc()
    metrics.recommendations_total.labels("graph", "none").inc(2)
    metrics.recommendations_total.labels("graph", "A").inc()
    metrics.judged([Verdict(3, "graph", True, False), Verdict(0, "bert+graph", False, True)])
    totals = figures(metrics).totals
    assert (totals.clicks, totals.rejects, totals.lists["graph"]) == (5, 1, 3)
    assert (totals.next_clicks, totals.hits_at_10) == (2, 1)
    assert (totals.graph_hits_at_10, totals.popularity_hits_at_10) == (1, 1)


def test_hits_never_exceed_the_lists_that_were_judged():
    metrics = Metrics()

    def judged_while_read(metric):
        collect = metric.collect

        def collected():
            found = collect()
            metrics.judged([Verdict(1, "graph", True, True)])
            return found

        metric.collect = collected

    judged_while_read(metrics.next_click_total)
    judged_while_read(metrics.next_click_hits_total)
    judged_while_read(metrics.next_click_yardstick_hits_total)
    totals = figures(metrics).totals
    assert totals.hits_at_10 <= totals.next_clicks
    assert totals.graph_hits_at_10 <= totals.next_clicks
    assert totals.popularity_hits_at_10 <= totals.next_clicks


def test_the_histogram_counts_lists_at_or_below_each_edge_and_last_all():
    metrics = Metrics()
    for seconds in (0.0005, 0.03, 0.03, 300.0):
        metrics.event_to_recommendation_seconds.observe(seconds)
    histogram = figures(metrics).event_to_recommendation
    assert len(histogram.cumulative_counts) == len(histogram.edges_seconds) + 1
    at = dict(zip(histogram.edges_seconds, histogram.cumulative_counts, strict=False))
    assert (at[0.001], at[0.02], at[0.035], at[60.0]) == (1, 1, 3, 3)
    assert histogram.cumulative_counts[-1] == 4
    assert histogram.sum_seconds == 0.0005 + 0.03 + 0.03 + 300.0


def test_lag_sizes_and_model_are_those_of_the_gauges():
    metrics = Metrics()
    metrics.consumer_lag_records.labels("clicks", "10").set(7)
    metrics.consumer_lag_records.labels("clicks", "9").set(0)
    metrics.table_bytes.labels("windows").set(100)
    metrics.table_bytes.labels("graph").set(20)
    metrics.window_users.set(4)
    metrics.model_loaded("bert", "1", "A", "CPUExecutionProvider", 10.0)
    answer = figures(metrics)
    assert answer.partitions == [PartitionLag("clicks", 9, 0), PartitionLag("clicks", 10, 7)]
    assert (answer.state.bytes, answer.state.users) == (120, 4)
    assert answer.model == LiveModel("bert", "1", "A", "CPUExecutionProvider")


def test_a_model_that_takes_over_is_never_seen_in_parts():
    metrics = Metrics()
    metrics.model_loaded("bert", "1", "A", "cpu", 10.0)
    metrics.engine_ready("cuda", ["50"])
    assert figures(metrics).model == LiveModel("bert", "1", "A", "cpu")
    seen = []
    remove = metrics.model_info.remove
    metrics.model_info.remove = lambda *labels: (
        seen.append(figures(metrics).model),
        remove(*labels),
    )
    metrics.model_loaded("bert", "2", "A", "cuda", 20.0)
    assert seen == [LiveModel("bert", "2", "A", "cuda")]


def test_what_a_worker_waits_for_is_told():
    health = Health()
    health.not_ready("model", "starting")
    answer = figures(Metrics(), health)
    assert not answer.ready
    assert answer.waiting_for == {"model": "starting"}


def test_a_worker_whose_event_loop_stands_still_is_not_ready():
    now = [0.0]
    health = Health(clock=lambda: now[0])
    health.beat()
    assert figures(Metrics(), health).stalled_seconds is None
    now[0] = STALL_SECONDS + 15.0
    answer = figures(Metrics(), health)
    assert not answer.ready
    assert answer.waiting_for == {}
    assert answer.stalled_seconds == STALL_SECONDS + 15.0
