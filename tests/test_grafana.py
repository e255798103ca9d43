"""Grafana's dashboards: every query is one that Prometheus takes, of metrics that exist."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.metrics import Metrics
from tests.test_prometheus import RECORDED

ROOT = Path(__file__).parents[1]
GRAFANA = ROOT / "deploy/grafana"
BOARDS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((GRAFANA / "dashboards").glob("*.json"))
}
DATASOURCE = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text())
PROVIDER = yaml.safe_load((GRAFANA / "provisioning/dashboards/freshrec.yaml").read_text())
COMPOSE = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())


def queries(board: dict[str, Any]) -> list[str]:
    of_panels = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return of_panels + [note["expr"] for note in board["annotations"]["list"]]


def names(query: str) -> set[str]:
    """Names of metrics and of recording rules in a query."""
    return set(re.findall(r"\b(?:freshrec|process)[_:][a-z0-9_:]+", query))


def exported() -> dict[str, set[str]]:
    """Names of all series that a worker shows, with the labels of each."""
    found: dict[str, set[str]] = {}
    for metric in vars(Metrics()).values():
        for family in getattr(metric, "describe", list)():
            labels = set(getattr(metric, "_labelnames", ()))
            endings = {
                "counter": ["_total"],
                "histogram": ["_bucket", "_sum", "_count"],
                "summary": ["_sum", "_count"],
            }.get(family.type, [""])
            for ending in endings:
                found[family.name + ending] = labels | ({"le"} if ending == "_bucket" else set())
    return found


EXPORTED = exported()


def test_there_is_a_board_for_each_thing_to_watch() -> None:
    assert set(BOARDS) == {"overview", "freshness", "quality", "state", "inference", "kafka"}
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS)


@pytest.mark.parametrize("name", BOARDS)
def test_every_query_is_of_metrics_and_recording_rules_that_exist(name: str) -> None:
    for query in queries(BOARDS[name]):
        unknown = names(query) - EXPORTED.keys() - RECORDED
        assert unknown <= {"process_resident_memory_bytes"}, query


def test_every_metric_is_on_a_board() -> None:
    rules = (ROOT / "deploy/prometheus/rules/recording.yml").read_text(encoding="utf-8")
    shown = {name for board in BOARDS.values() for query in queries(board) for name in names(query)}
    shown |= names(rules)
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in EXPORTED}
    assert families - {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown} == set()


@pytest.mark.parametrize("name", BOARDS)
def test_series_are_named_by_labels_that_they_have(name: str) -> None:
    for panel in BOARDS[name]["panels"]:
        for target in panel["targets"]:
            known = {"instance", "alertname"}.union(
                *(EXPORTED.get(metric, set()) for metric in names(target["expr"]))
            )
            if names(target["expr"]) & RECORDED:
                known |= {"topic", "engine"}
            used = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert used <= known, panel["title"]


def test_prometheus_can_read_every_query(promtool: str, tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "1m")}
        for number, query in enumerate(q for board in BOARDS.values() for q in queries(board))
    ]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "boards", "rules": rules}]}))
    checked = subprocess.run(
        [promtool, "check", "rules", str(path)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_panels_ask_the_source_that_is_provisioned_and_do_not_overlap() -> None:
    (source,) = DATASOURCE["datasources"]
    for board in BOARDS.values():
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            assert panel["datasource"]["uid"] == source["uid"]
            place = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not cells & taken, panel["title"]
            assert max(x for x, _ in cells) < 24
            taken |= cells


def test_compose_mounts_what_is_provisioned_where_grafana_looks() -> None:
    mounts = dict(v.split(":")[:2] for v in COMPOSE["services"]["grafana"]["volumes"])
    (provider,) = PROVIDER["providers"]
    assert mounts == {
        "../deploy/grafana/provisioning": "/etc/grafana/provisioning",
        "../deploy/grafana/dashboards": provider["options"]["path"],
    }
    (source,) = DATASOURCE["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in COMPOSE["services"]
