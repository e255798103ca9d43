"""Metrics: names, initialised series, and independence of instances."""

import inspect
import re
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import streams
from streams import topics
from streams.events import DegradedReason, RejectReason, ServedBy
from streams.metrics import TABLES, Metrics
from streams.quality import Verdict

# The contract: exported families, by their names as Prometheus stores them.
FAMILIES = """
events_total rejects_total duplicates_total replayed_total late_events_total rekeyed_total
event_to_recommendation_seconds oldest_pending_event_seconds consumer_lag_records window_users
graph_items graph_edges catalogue_items table_bytes table_recovery_seconds evictions_total
gpu_fallback queue_size queue_seconds batch_size padding_ratio inference_seconds inference_total
model_info model_refused model_loaded_timestamp_seconds model_reloads_total unknown_items_total
recommendations_total
degraded_total unchanged_suppressed_total publish_errors_total next_click_total
next_click_hits_total catalogue_coverage_ratio event_loop_lag_seconds ready rebalances_total
erasures_total
""".split()


def _samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }


def test_every_metric_is_an_attribute_with_its_exported_name() -> None:
    metrics = Metrics()
    text = metrics.exposition().decode()
    for name in FAMILIES:
        assert hasattr(metrics, name), name
        assert f"# TYPE freshrec_{name} " in text, name


def test_names_of_ours_start_with_the_prefix() -> None:
    for family in text_string_to_metric_families(Metrics().exposition().decode()):
        assert family.name.startswith(("freshrec_", "process_")), family.name


def test_known_label_values_exist_before_anything_happened() -> None:
    samples = _samples(Metrics(event_types=["click", "tap"]))
    assert samples["freshrec_events_total", (("event_type", "tap"),)] == 0
    for reject in RejectReason:
        assert samples["freshrec_rejects_total", (("reason", reject.value),)] == 0
    for degraded in DegradedReason:
        assert samples["freshrec_degraded_total", (("reason", degraded.value),)] == 0
    for served in ServedBy:
        labels = (("served_by", served.value), ("variant", "A"))
        assert samples["freshrec_recommendations_total", labels] == 0
        hits = (("k", "10"), *labels)
        assert samples["freshrec_next_click_hits_total", hits] == 0


def test_no_series_of_creation_times_is_exported() -> None:
    assert not [name for name, _ in _samples(Metrics()) if name.endswith("_created")]


def test_freshness_buckets_have_edges_at_the_objectives() -> None:
    samples = _samples(Metrics())
    edges = {
        labels[0][1]
        for name, labels in samples
        if name == "freshrec_event_to_recommendation_seconds_bucket"
    }
    assert {"0.001", "0.01", "0.05", "0.1", "60.0", "+Inf"} <= edges


def test_every_metric_is_fed() -> None:
    sources = (p for p in Path(streams.__file__).parent.rglob("*.py") if p.name != "metrics.py")
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    fed = set(re.findall(r"metrics\.(\w+)", text))
    for method in (Metrics.judged, Metrics.model_loaded):
        assert method.__name__ in fed
        fed |= set(re.findall(r"self\.(\w+)", inspect.getsource(method)))
    metrics = {name for name, value in vars(Metrics()).items() if hasattr(value, "describe")}
    assert metrics - fed == set()


def test_tables_are_those_that_a_partition_has() -> None:
    assert TABLES == topics.TABLES


def test_promtool_finds_nothing_wrong_with_names_types_and_help(promtool: str) -> None:
    metrics = Metrics()
    metrics.model_loaded("bert", "1", "A", "cpu", 10.0)
    metrics.engine_ready("cpu", ["50"])
    metrics.consumer_lag_records.labels("clicks", "0").set(3)
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=metrics.exposition(),
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_instances_do_not_share_state() -> None:
    one, two = Metrics(), Metrics()
    one.duplicates_total.inc(3)
    assert _samples(one)["freshrec_duplicates_total", ()] == 3
    assert _samples(two)["freshrec_duplicates_total", ()] == 0


def test_a_judged_list_counts_in_every_cut_off_that_it_reaches() -> None:
    metrics = Metrics()
    bert, graph = ServedBy.BERT_GRAPH, ServedBy.GRAPH
    ranks = ((1, bert), (4, bert), (4, bert), (0, bert), (2, graph))
    metrics.judged(Verdict(rank, by, rank == 4, rank == 0) for rank, by in ranks)
    samples = _samples(metrics)

    def hits(k: str, served_by: str, variant: str) -> float:
        labels = (("k", k), ("served_by", served_by), ("variant", variant))
        return samples["freshrec_next_click_hits_total", labels]

    assert [hits(k, "bert+graph", "A") for k in ("1", "5", "10")] == [1, 3, 3]
    assert [hits(k, "graph", "none") for k in ("1", "5", "10")] == [0, 1, 1]
    assert samples["freshrec_next_click_total", ()] == 5
    assert samples["freshrec_next_click_reciprocal_rank_sum", ()] == pytest.approx(2.0)
    assert samples["freshrec_next_click_reciprocal_rank_count", ()] == 5
    yardsticks = [
        samples["freshrec_next_click_yardstick_hits_total", (("yardstick", name),)]
        for name in ("graph", "popularity")
    ]
    assert yardsticks == [2, 1]


def test_a_new_model_takes_the_place_of_the_one_before() -> None:
    metrics = Metrics()
    metrics.model_loaded("bert", "1", "A", "cpu", 10.0)
    metrics.model_loaded("bert", "2", "A", "cpu", 20.0)
    samples = _samples(metrics)
    infos = {labels: value for (name, labels), value in samples.items() if name.endswith("_info")}
    assert infos == {(("name", "bert"), ("variant", "A"), ("version", "2")): 1}
    assert samples["freshrec_model_loaded_timestamp_seconds", ()] == 20.0


def test_an_engine_shows_its_buckets_before_the_first_run() -> None:
    metrics = Metrics()
    metrics.engine_ready("cpu", ["50"])
    labels = (("bucket", "50"), ("engine", "cpu"))
    assert _samples(metrics)["freshrec_inference_seconds_count", labels] == 0
