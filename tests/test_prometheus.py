"""Recording and alert rules: each alert fires when it should, and a real Prometheus takes them."""

import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import yaml

from streams.health import Health
from streams.metrics import Metrics
from streams.ports import free_port
from streams.serving import Server, StateReader

ROOT = Path(__file__).parents[1]
RULES = ROOT / "deploy/prometheus/rules"
RULE_TESTS = ROOT / "deploy/prometheus/tests/alerts.yml"
CONFIGURATION = ROOT / "docker/prometheus.yml"
RUNBOOKS = (ROOT / "docs/runbooks.md").read_text(encoding="utf-8")


def rules(name: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((RULES / name).read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = rules("alerts.yml")
RECORDED = {rule["record"] for rule in rules("recording.yml")}


def tell(*command: str) -> None:
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_promtool_accepts_the_configuration_and_the_rules(promtool: str) -> None:
    tell(promtool, "check", "config", "--lint-fatal", str(CONFIGURATION))
    tell(promtool, "check", "rules", "--lint-fatal", *map(str, sorted(RULES.glob("*.yml"))))


def test_each_alert_stays_quiet_near_its_state_and_fires_in_it(promtool: str) -> None:
    tell(promtool, "test", "rules", str(RULE_TESTS))


def test_no_alert_is_without_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    cases = [
        case
        for group in yaml.safe_load(RULE_TESTS.read_text(encoding="utf-8"))["tests"]
        for case in group["alert_rule_test"]
    ]
    names = {alert["alert"] for alert in ALERTS}
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == names


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_each_alert_has_a_runbook_that_says_what_to_do(alert: dict[str, Any]) -> None:
    name = alert["alert"]
    assert alert["annotations"]["runbook"] == f"docs/runbooks.md#{name.lower()}"
    (section,) = re.findall(rf"(?ms)^## {name}\n(.*?)(?=^## |\Z)", RUNBOOKS)
    assert len(section.split()) > 20
    assert alert["labels"]["severity"] in ("page", "ticket")


def test_no_runbook_is_of_an_alert_that_is_gone() -> None:
    assert re.findall(r"(?m)^## (\w+)$", RUNBOOKS) == [alert["alert"] for alert in ALERTS]


@pytest.fixture
def prometheus(prometheus_server: str, tmp_path: Path) -> Iterator[tuple[str, Metrics]]:
    """A Prometheus with the project's configuration that scrapes a metrics server, and its address.

    Changed are only what names the containers of compose.yaml, and the pace.
    """
    metrics = Metrics()
    server = Server("127.0.0.1", 0, metrics=metrics, health=Health(), reader=Mock(StateReader))
    server.start()
    configuration = yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))
    configuration["global"] = {"scrape_interval": "200ms", "evaluation_interval": "200ms"}
    configuration["rule_files"] = [
        pattern.replace("/etc/prometheus/rules", str(RULES))
        for pattern in configuration["rule_files"]
    ]
    (job,) = configuration["scrape_configs"]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{server.port}"]}]
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump(configuration))
    address = f"127.0.0.1:{free_port()}"
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [
                prometheus_server,
                f"--config.file={path}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address={address}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://{address}", metrics
    finally:
        process.terminate()
        process.wait(timeout=20)
        server.stop()


def ask(url: str) -> Any:
    """The data of an answer of Prometheus; None while it does not answer."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return json.load(response)["data"]
    except (urllib.error.URLError, ConnectionError):
        return None


def eventually(url: str, wanted: Any) -> Any:
    """The first answer that is as wanted, within half a minute."""
    deadline = time.monotonic() + 30
    while True:
        data = ask(url)
        if data is not None and wanted(data):
            return data
        assert time.monotonic() < deadline, f"{url} says {data}"
        time.sleep(0.05)


def test_a_real_prometheus_scrapes_a_worker_and_evaluates_its_rules(
    prometheus: tuple[str, Metrics],
) -> None:
    url, metrics = prometheus
    metrics.consumer_lag_records.labels("clicks", "0").set(4)
    metrics.consumer_lag_records.labels("clicks", "1").set(3)
    metrics.model_refused.set(1)
    series = f"{url}/api/v1/query?query="

    def has_a_value(data: Any) -> bool:
        return bool(data["result"])

    (events,) = eventually(
        f"{series}freshrec_events_total%7Bevent_type%3D%22click%22%7D", has_a_value
    )["result"]
    assert events["metric"]["job"] == "freshrec"
    (lag,) = eventually(f"{series}freshrec:lag_records:sum", has_a_value)["result"]
    assert (lag["metric"]["topic"], lag["value"][1]) == ("clicks", "7")
    pending = eventually(
        f"{url}/api/v1/alerts",
        lambda data: "FreshrecModelRefused" in {a["labels"]["alertname"] for a in data["alerts"]},
    )
    assert "FreshrecGpuFallback" not in str(pending)
    groups = eventually(
        f"{url}/api/v1/rules",
        lambda data: all(
            rule["health"] == "ok" for group in data["groups"] for rule in group["rules"]
        ),
    )["groups"]
    loaded = {rule["name"] for group in groups for rule in group["rules"]}
    assert loaded == RECORDED | {alert["alert"] for alert in ALERTS}
