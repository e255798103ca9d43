"""Live figures of a worker, read from its metrics and its health: any thread may ask.

Nothing of the event loop is touched, so there is an answer while the loop is busy or stands still.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.samples import Sample

import streams
from streams.api import (
    LatencyHistogram,
    Live,
    LiveModel,
    LiveTotals,
    PartitionLag,
    StateSizes,
)
from streams.health import Health
from streams.metrics import Metrics


def live(metrics: Metrics, health: Health, *, time_seconds: float, uptime_seconds: float) -> Live:
    """The figures of now. `time_seconds`: Unix time; `uptime_seconds`: of the HTTP server."""
    reasons = health.reasons
    stalled_seconds = health.stalled_seconds
    return Live(
        time_seconds=time_seconds,
        uptime_seconds=uptime_seconds,
        version=streams.__version__,
        ready=not reasons and stalled_seconds is None,
        waiting_for=reasons,
        stalled_seconds=stalled_seconds,
        totals=_totals(metrics),
        event_to_recommendation=_histogram(metrics.event_to_recommendation_seconds),
        queue_users=int(_value(metrics.queue_size)),
        oldest_pending_seconds=_value(metrics.oldest_pending_event_seconds),
        partitions=_lag(metrics.consumer_lag_records),
        state=StateSizes(
            users=int(_value(metrics.window_users)),
            items=int(_value(metrics.graph_items)),
            edges=int(_value(metrics.graph_edges)),
            catalogue_items=int(_value(metrics.catalogue_items)),
            bytes=int(_value(metrics.table_bytes)),
        ),
        model=_model(metrics),
    )


def _totals(metrics: Metrics) -> LiveTotals:
    # What is judged is counted before its hit, so hits are read first: they never exceed trials.
    hits = _by(metrics.next_click_hits_total, "k")
    yardsticks = _by(metrics.next_click_yardstick_hits_total, "yardstick")
    return LiveTotals(
        clicks=int(_value(metrics.events_total)),
        rejects=int(_value(metrics.rejects_total)),
        duplicates=int(_value(metrics.duplicates_total)),
        lists=_by(metrics.recommendations_total, "served_by"),
        degraded=_by(metrics.degraded_total, "reason"),
        next_clicks=int(_value(metrics.next_click_total)),
        hits_at_10=hits["10"],
        popularity_hits_at_10=yardsticks["popularity"],
        graph_hits_at_10=yardsticks["graph"],
    )


def _histogram(histogram: Histogram) -> LatencyHistogram:
    edges: list[float] = []
    counts: list[int] = []
    total = 0.0
    for sample in _samples(histogram):
        if sample.name.endswith("_bucket"):
            edges.append(float(sample.labels["le"]))
            counts.append(int(sample.value))
        elif sample.name.endswith("_sum"):
            total = sample.value
    return LatencyHistogram(edges[:-1], counts, total)


def _lag(gauge: Gauge) -> list[PartitionLag]:
    lags = [
        PartitionLag(s.labels["topic"], int(s.labels["partition"]), int(s.value))
        for s in _samples(gauge)
    ]
    return sorted(lags, key=lambda lag: (lag.topic, lag.partition))


def _model(metrics: Metrics) -> LiveModel | None:
    models = metrics.models()
    return LiveModel(*models[0]) if models else None


def _by(counter: Counter, label: str) -> dict[str, int]:
    """Counts by the values of one label, summed over the others."""
    counts: dict[str, int] = {}
    for sample in _samples(counter):
        value = sample.labels[label]
        counts[value] = counts.get(value, 0) + int(sample.value)
    return counts


def _value(metric: Counter | Gauge) -> float:
    """Of a metric, or the sum of all its series."""
    return sum(sample.value for sample in _samples(metric))


def _samples(metric: MetricWrapperBase) -> Iterator[Sample]:
    for family in metric.collect():
        yield from family.samples
