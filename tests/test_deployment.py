"""Files under docker/ and deploy/ against the settings and commands that the code really has."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.broker_jars import kafka_version
from streams.setting_sources import load_settings
from streams.settings import FIELDS

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
KUBERNETES = list(yaml.safe_load_all((ROOT / "deploy/kubernetes/worker.yaml").read_text()))
PROMETHEUS = yaml.safe_load((ROOT / "docker/prometheus.yml").read_text())
DOCKERFILE = (ROOT / "docker/Dockerfile").read_text()
LOCKED = (ROOT / "requirements/cpu.txt").read_text()


def kubernetes(kind: str) -> dict[str, Any]:
    (found,) = [resource for resource in KUBERNETES if resource["kind"] == kind]
    return found


POD = kubernetes("StatefulSet")["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
# A value that comes from the pod itself is its name, as for freshrec-worker-0.
POD_ENVIRONMENT = {e["name"]: e.get("value", "freshrec-worker-0") for e in CONTAINER["env"]}
COMPOSE_ENVIRONMENT = COMPOSE["services"]["worker"]["environment"]
IMAGE_ENVIRONMENT = dict(re.findall(r"(FRESHREC_\w+)=(\S+)", DOCKERFILE))


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param(POD_ENVIRONMENT, id="kubernetes"),
        pytest.param(COMPOSE_ENVIRONMENT, id="compose"),
        pytest.param(IMAGE_ENVIRONMENT, id="image"),
    ],
)
def test_every_variable_is_a_setting_and_every_value_is_allowed(
    environment: dict[str, str],
) -> None:
    assert environment.keys() <= {f"FRESHREC_{field.name.upper()}" for field in FIELDS}
    settings = load_settings({}, environment, None)
    # Behind a network namespace of its own, loopback would hide the metrics from everyone.
    assert settings.metrics_host == "0.0.0.0"
    assert settings.state_dir == Path("/var/lib/freshrec")


def test_a_pod_is_a_static_member_under_its_own_name() -> None:
    (variable,) = [e for e in CONTAINER["env"] if e["name"] == "FRESHREC_INSTANCE_ID"]
    assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"


def test_ports_probes_and_scrapes_all_mean_the_metrics_port() -> None:
    port = load_settings({}, POD_ENVIRONMENT, None).metrics_port
    assert CONTAINER["ports"] == [{"name": "metrics", "containerPort": port}]
    assert CONTAINER["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}
    assert CONTAINER["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "metrics"}
    assert kubernetes("Service")["spec"]["ports"][0]["port"] == port
    assert f"EXPOSE {port}\n" in DOCKERFILE
    compose_port = load_settings({}, COMPOSE_ENVIRONMENT, None).metrics_port
    (scrape,) = PROMETHEUS["scrape_configs"]
    assert scrape["static_configs"] == [{"targets": [f"worker:{compose_port}"]}]
    assert COMPOSE["services"]["worker"]["ports"] == [f"127.0.0.1:{compose_port}:{compose_port}"]


def test_state_survives_the_container() -> None:
    mounts = {mount["mountPath"]: mount["name"] for mount in CONTAINER["volumeMounts"]}
    claims = [
        c["metadata"]["name"] for c in kubernetes("StatefulSet")["spec"]["volumeClaimTemplates"]
    ]
    assert mounts[POD_ENVIRONMENT["FRESHREC_STATE_DIR"]] in claims
    assert COMPOSE["services"]["worker"]["volumes"] == [
        f"state:{COMPOSE_ENVIRONMENT['FRESHREC_STATE_DIR']}"
    ]


def test_containers_run_the_worker_command_and_not_as_root() -> None:
    from streams.cli import freshrec

    assert CONTAINER["args"] == COMPOSE["services"]["worker"]["command"] == ["worker"]
    assert 'ENTRYPOINT ["freshrec"]\nCMD ["worker"]' in DOCKERFILE
    assert "worker" in freshrec.commands or "worker" in freshrec.list_commands(None)  # type: ignore[arg-type]
    assert POD["securityContext"]["runAsUser"] == 10001
    assert "--uid 10001" in DOCKERFILE
    assert re.search(r"(?m)^USER freshrec$", DOCKERFILE)


def test_compose_prepares_the_default_topics_on_the_brokers_that_the_worker_uses() -> None:
    settings = load_settings({}, COMPOSE_ENVIRONMENT, None)
    (script,) = COMPOSE["services"]["topics"]["command"]
    created = re.findall(r"--topic (\S+) --partitions (\d+)", script)
    assert created == [
        (settings.clicks, str(settings.partitions)),
        (settings.items, str(settings.partitions)),
    ]
    assert f"--bootstrap-server {settings.bootstrap} " in script
    advertised = COMPOSE["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert f"INSIDE://{settings.bootstrap}" in advertised.split(",")


def test_compose_runs_the_kafka_that_the_tests_run() -> None:
    images = {COMPOSE["services"][name]["image"] for name in ("kafka", "topics")}
    assert images == {f"apache/kafka:{kafka_version()}"}


def test_compose_opens_ports_on_this_machine_only() -> None:
    ports = [p for service in COMPOSE["services"].values() for p in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_cpu_image_installs_no_gpu_runtime() -> None:
    assert "requirements/cpu.txt" in DOCKERFILE
    assert re.search(r"(?m)^onnxruntime==", LOCKED)
    assert "onnxruntime-gpu" not in LOCKED
    assert "nvidia" not in LOCKED


def test_prometheus_accepts_its_configuration() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    outcome = subprocess.run(
        [promtool, "check", "config", str(ROOT / "docker/prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
