"""Gauges: sizes, lag and recovery of a worker as Prometheus sees them."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.gauges import Gauges
from streams.metrics import Metrics
from streams.quality import NextClick
from tests.streams.shell_fakes import make_partition, make_settings


class FakeConsumer:
    """Has read everything but what `behind` says."""

    def __init__(self, behind: dict[TP, int]) -> None:
        self.behind = behind

    @property
    def _read_offset(self) -> dict[TP, int]:
        return {tp: 100 - lag for tp, lag in self.behind.items()}

    def assignment(self) -> set[TP]:
        return set(self.behind)

    def highwater(self, tp: TP) -> int:
        return 100


def make_worker(**more: Any) -> Any:
    settings = make_settings()
    defaults = {
        "settings": settings,
        "metrics": Metrics(),
        "app": SimpleNamespace(consumer=FakeConsumer({})),
        "read_models": SimpleNamespace(
            graph=SimpleNamespace(lag_records=dict), items=SimpleNamespace(lag_records=dict)
        ),
        "owned": {0: make_partition(settings)},
        "replica": range(20),
        "quality": NextClick(),
    }
    return SimpleNamespace(**defaults | more)


def value(worker: Any, name: str, **labels: str) -> float | None:
    found: float | None = worker.metrics.registry.get_sample_value(f"freshrec_{name}", labels)
    return found


def test_the_lag_of_a_partition_that_went_away_is_not_shown_any_more() -> None:
    consumer = FakeConsumer({TP("clicks", 0): 3, TP("clicks", 1): 0})
    follower = SimpleNamespace(lag_records=lambda: {1: 7})
    worker = make_worker(app=SimpleNamespace(consumer=consumer))
    worker.read_models.items = follower
    gauges = Gauges(worker)
    gauges._lag()
    assert value(worker, "consumer_lag_records", topic="clicks", partition="0") == 3
    assert value(worker, "consumer_lag_records", topic="clicks", partition="1") == 0
    assert value(worker, "consumer_lag_records", topic="items", partition="1") == 7
    consumer.behind = {TP("clicks", 1): 5}
    gauges._lag()
    assert value(worker, "consumer_lag_records", topic="clicks", partition="0") is None
    assert value(worker, "consumer_lag_records", topic="clicks", partition="1") == 5


def test_tables_show_what_they_take_and_lists_the_share_of_items_on_them() -> None:
    worker = make_worker()
    worker.owned[0].windows.recover([(b"ann", b"x" * 100)], 1)
    worker.quality.on_list("ann", ["lamp", "desk"], [], [], "graph")
    Gauges(worker)._sizes()
    assert value(worker, "table_bytes", table="windows") == 103
    assert value(worker, "table_bytes", table="graph") == 0
    assert value(worker, "catalogue_coverage_ratio") == pytest.approx(0.1)


def test_a_recovery_that_runs_shows_how_long_it_has_taken() -> None:
    worker = make_empty_worker(
        health=SimpleNamespace(reasons={"partitions": "recovering"}),
        recovering_since=time.monotonic() - 40,
    )
    Gauges(worker)._state()
    assert value(worker, "table_recovery_seconds") == pytest.approx(40, abs=5)
    assert value(worker, "ready") == 0


def test_item_states_that_cannot_be_read_are_told_of_each_time_there_are_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = make_empty_worker()
    gauges = Gauges(worker)
    told = []
    for damaged in (0, 2, 2, 3):
        worker.replica.damaged = damaged
        caplog.clear()
        gauges._state()
        told.append([record.args for record in caplog.records])
    assert told == [[], [(2,)], [], [(3,)]]


def make_empty_worker(**more: Any) -> Any:
    empty = {
        "batcher": NoBatcher(),
        "replica": EmptyReplica(),
        "catalogue": (),
        "cold_items": (),
        "health": SimpleNamespace(reasons={}),
        "recovering_since": None,
    }
    return make_worker(**empty | more)


class EmptyReplica(list[str]):
    edges = 0
    damaged = 0


class NoBatcher(list[str]):
    oldest_pending_seconds = 0.0
