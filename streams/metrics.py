"""Every metric of a process, in a registry of its own.

Names start with `freshrec_`, units are base units, labels never hold a user or an item. Label
values that are known in advance are initialised, so that a rate over a series that has not
happened yet is 0 and not absent; topics, partitions and models appear when they are first seen.
"""

from __future__ import annotations

from collections import Counter as CountOf
from collections.abc import Iterable
from typing import NamedTuple

import prometheus_client
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    Summary,
    generate_latest,
)

from streams.event_types import DEFAULT_EVENT_TYPES
from streams.events import DegradedReason, RejectReason, ServedBy
from streams.quality import Verdict

# The client would add a `_created` series to each counter and histogram, doubling a scrape.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

_EVENT_TYPE_NAMES = tuple(event_type.name for event_type in DEFAULT_EVENT_TYPES)
CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST

DEFAULT_VARIANT = "A"
NO_VARIANT = "none"  # the variant label of a list that no model took part in
TABLES = ("windows", "graph", "lists")
EVICTIONS = (("graph", "neighbour_cap"),)
INFERENCE_OUTCOMES = ("ok", "failed", "deadline")
RELOAD_OUTCOMES = ("loaded", "refused")
ERASURE_OUTCOMES = ("erased",)
HIT_RANKS = (1, 5, 10)
YARDSTICKS = ("graph", "popularity")  # what is judged beside the list, on the same click

# Edges at the service-level objectives: 10, 50 and 100 ms from event to recommendation.
_FRESHNESS = (
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.035,
    0.05,
    0.075,
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    30,
    60,
)
_QUEUE = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_INFERENCE = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 1)
_LOOP_LAG = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5, 15)
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_RATIO = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class ServingModel(NamedTuple):
    """The encoder that serves a variant."""

    name: str
    version: str
    variant: str
    engine: str


class Metrics:
    """The metrics as attributes: the exported name without the `freshrec_` prefix.

    `event_types` are the configured names and `variants` the model variants that may serve; both
    only decide which series exist from the start. Instances do not share state, so a test or a
    second worker in one process has its own.
    """

    def __init__(
        self,
        event_types: Iterable[str] = _EVENT_TYPE_NAMES,
        variants: Iterable[str] = (NO_VARIANT, DEFAULT_VARIANT),
    ) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        self._ingest(tuple(event_types))
        self._state()
        self._inference()
        self._output(tuple(variants))
        self._runtime()

    def exposition(self) -> bytes:
        """The text that a Prometheus server scrapes; its type is `CONTENT_TYPE`."""
        return generate_latest(self.registry)

    def model_loaded(
        self, name: str, version: str, variant: str, engine: str, at_seconds: float
    ) -> None:
        """Say which model serves a variant; the info series of the one before goes away."""
        previous = self._models.get(variant)
        # At once, for whoever reads from another thread.
        self._models[variant] = ServingModel(name, version, variant, engine)
        if previous is not None:
            self.model_info.remove(*previous[:3])
        self.model_info.labels(name, version, variant).set(1)
        self.model_loaded_timestamp_seconds.set(at_seconds)

    def engine_ready(self, engine: str, buckets: Iterable[str]) -> None:
        """Initialise the inference series of an engine, one for each padded length of windows."""
        for bucket in buckets:
            self.inference_seconds.labels(engine, bucket)

    def models(self) -> list[ServingModel]:
        """The models that serve; any thread may ask."""
        return list(self._models.values())

    def judged(self, verdicts: Iterable[Verdict]) -> None:
        """Count lists that their users' next clicks judged.

        They count for the default variant, or for none where no model ranked.
        """
        alike = CountOf(verdicts)
        self.next_click_total.inc(alike.total())
        for verdict, count in alike.items():
            rank, served_by = verdict.rank, verdict.served_by
            variant = DEFAULT_VARIANT if served_by == ServedBy.BERT_GRAPH else NO_VARIANT
            for _ in range(count):
                self.next_click_reciprocal_rank_sum.observe(1 / rank if rank else 0)
            for k in HIT_RANKS:
                if 0 < rank <= k:
                    self.next_click_hits_total.labels(str(k), served_by, variant).inc(count)
            hits = (verdict.graph_hit, verdict.popularity_hit)
            for yardstick, hit in zip(YARDSTICKS, hits, strict=True):
                if hit:
                    self.next_click_yardstick_hits_total.labels(yardstick).inc(count)

    def _ingest(self, event_types: tuple[str, ...]) -> None:
        self.events_total = self._counter(
            "events", "Accepted clicks", ("event_type",), ((name,) for name in event_types)
        )
        self.rejects_total = self._counter(
            "rejects", "Clicks sent to the dead letters", ("reason",), ((r,) for r in RejectReason)
        )
        self.duplicates_total = self._counter("duplicates", "Clicks whose event id was seen before")
        self.screened_total = self._counter(
            "screened", "Clicks kept from the graph because their user has too many"
        )
        self.replayed_total = self._counter(
            "replayed", "Clicks read again after a restart; they change nothing"
        )
        self.late_events_total = self._counter(
            "late_events", "Accepted clicks older than the newest event of their user"
        )
        self.rekeyed_total = self._counter(
            "rekeyed", "Clicks forwarded because their record key was not their user id"
        )
        self.event_to_recommendation_seconds = self._histogram(
            "event_to_recommendation_seconds",
            "From the timestamp of a click's record to the acknowledgement of its list",
            _FRESHNESS,
        )
        self.oldest_pending_event_seconds = self._gauge(
            "oldest_pending_event_seconds",
            "Time since the oldest click was read whose list is not yet acknowledged",
        )
        self.consumer_lag_records = self._gauge(
            "consumer_lag_records", "Records not yet read", ("topic", "partition")
        )

    def _state(self) -> None:
        self.window_users = self._gauge(
            "window_users", "Users whose window is unpacked in memory, at most 100,000 a partition"
        )
        self.graph_items = self._gauge("graph_items", "Items of the graph")
        self.graph_edges = self._gauge("graph_edges", "Edges of the graph")
        self.catalogue_items = self._gauge("catalogue_items", "Items of the catalogue")
        self.cold_items = self._gauge(
            "cold_items", "Items that the encoder never saw and scores by their text"
        )
        self.table_bytes = self._gauge(
            "table_bytes", "Size of a table on this worker, in memory and on disk", ("table",),
            ((name,) for name in TABLES),
        )  # fmt: skip
        self.table_recovery_seconds = self._gauge(
            "table_recovery_seconds",
            "Time the last recovery of tables took; of one that runs, so far",
        )
        self.evictions_total = self._counter(
            "evictions", "Entries dropped to keep a bound", ("table", "reason"), EVICTIONS
        )

    def _inference(self) -> None:
        self.queue_size = self._gauge("queue_size", "Users waiting to be scored")
        self.queue_seconds = self._histogram("queue_seconds", "Wait of a user for a batch", _QUEUE)
        self.batch_size = self._histogram("batch_size", "Users of a scored batch", _BATCH)
        self.padding_ratio = self._histogram(
            "padding_ratio", "Share of a batch's positions that are padding", _RATIO
        )
        self.inference_seconds = Histogram(
            "inference_seconds",
            "Time of one encoder run",
            ("engine", "bucket"),
            namespace="freshrec",
            buckets=_INFERENCE,
            registry=self.registry,
        )
        self.inference_total = self._counter(
            "inference", "Users by outcome of scoring", ("outcome",),
            ((name,) for name in INFERENCE_OUTCOMES),
        )  # fmt: skip
        self._models: dict[str, ServingModel] = {}
        self.model_info = self._gauge(
            "model_info", "1 for the model that serves a variant", ("name", "version", "variant")
        )
        self.model_loaded_timestamp_seconds = self._gauge(
            "model_loaded_timestamp_seconds", "When the serving model was loaded, Unix time"
        )
        self.model_reloads_total = self._counter(
            "model_reloads", "Attempts to load a model", ("outcome",),
            ((name,) for name in RELOAD_OUTCOMES),
        )  # fmt: skip
        self.model_refused = self._gauge(
            "model_refused", "1 while the newest artefact of the model directory is refused"
        )
        self.gpu_fallback = self._gauge(
            "gpu_fallback", "1 while a GPU is there or asked for and no encoder runs on it"
        )
        self.unknown_items_total = self._counter(
            "unknown_items", "Events among those that the encoder sees whose item it does not know"
        )

    def _output(self, variants: tuple[str, ...]) -> None:
        served = [(served_by, variant) for served_by in ServedBy for variant in variants]
        self.recommendations_total = self._counter(
            "recommendations", "Lists published", ("served_by", "variant"), served
        )
        self.degraded_total = self._counter(
            "degraded", "Lists served with less than the encoder", ("reason",),
            ((reason,) for reason in DegradedReason),
        )  # fmt: skip
        self.unchanged_suppressed_total = self._counter(
            "unchanged_suppressed", "Lists not published because nothing in them changed"
        )
        self.publish_errors_total = self._counter(
            "publish_errors", "Sends that failed after the client's own retries"
        )
        self.next_click_total = self._counter(
            "next_click", "Lists judged by the user's next positive click"
        )
        self.next_click_hits_total = self._counter(
            "next_click_hits", "Judged lists with the clicked item in the first k",
            ("k", "served_by", "variant"),
            ((str(k), *pair) for k in HIT_RANKS for pair in served),
        )  # fmt: skip
        self.next_click_yardstick_hits_total = self._counter(
            "next_click_yardstick_hits",
            "Judged lists whose clicked item the yardstick would have shown in its first 10",
            ("yardstick",),
            ((name,) for name in YARDSTICKS),
        )
        # A Summary exports exactly the sum (and count) that a mean reciprocal rank needs.
        self.next_click_reciprocal_rank_sum = Summary(
            "next_click_reciprocal_rank",
            "Reciprocal rank of the clicked item in a judged list, 0 where it is not on it",
            namespace="freshrec",
            registry=self.registry,
        )
        self.catalogue_coverage_ratio = self._gauge(
            "catalogue_coverage_ratio", "Share of the graph's items on at least one recent list"
        )

    def _runtime(self) -> None:
        self.event_loop_lag_seconds = self._histogram(
            "event_loop_lag_seconds", "How late the event loop woke a timer", _LOOP_LAG
        )
        self.ready = self._gauge("ready", "1 while the worker answers /readyz with 200")
        self.rebalances_total = self._counter("rebalances", "Assignments of partitions received")
        self.erasures_total = self._counter(
            "erasures", "Users erased", ("outcome",), ((name,) for name in ERASURE_OUTCOMES)
        )

    def _counter(
        self,
        name: str,
        words: str,
        labels: tuple[str, ...] = (),
        values: Iterable[tuple[str, ...]] = (),
    ) -> Counter:
        counter = Counter(name, words, labels, namespace="freshrec", registry=self.registry)
        for row in values:
            counter.labels(*row)
        return counter

    def _gauge(
        self,
        name: str,
        words: str,
        labels: tuple[str, ...] = (),
        values: Iterable[tuple[str, ...]] = (),
    ) -> Gauge:
        gauge = Gauge(name, words, labels, namespace="freshrec", registry=self.registry)
        for row in values:
            gauge.labels(*row)
        return gauge

    def _histogram(self, name: str, words: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, words, namespace="freshrec", buckets=buckets, registry=self.registry)
