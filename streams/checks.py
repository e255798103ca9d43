"""What `freshrec check` looks at: each check says what it found and, for a fault, what to do."""

from __future__ import annotations

import shlex
import stat
import sysconfig
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams import clock_checks, machine_checks, replica_checks, right_checks, topic_checks
from streams.access import Role
from streams.access_faults import NotAdmittedError
from streams.findings import Finding, listed
from streams.kernels import COMPILED
from streams.setting_secrets import FILE_SUFFIX, SECRETS_OF_FILES
from streams.settings import Settings
from streams.topics import TABLES, changelog_topic

__all__ = ["Finding", "run_checks"]

_IN_MEMORY = "mockCluster"
"""How librdkafka's mock cluster, the broker in memory, begins its id."""


def run_checks(
    settings: Settings, role: Role = "worker", *, broker_timeout_seconds: float = 5.0
) -> Iterator[Finding]:
    """All findings, in the order in which a first start would meet them.

    State, model and engine are a worker's alone; of other roles there is what they reach.
    """
    refusal = _admission(settings)
    cluster = refusal or _cluster(settings, broker_timeout_seconds)
    changelog_bytes = None
    partitions = settings.partitions
    offsets_ms = clicks_ms = None
    if isinstance(cluster, Finding):
        yield cluster
    else:
        admin, metadata = cluster
        counts = {name: len(topic.partitions) for name, topic in metadata.topics.items()}
        in_memory = str(metadata.cluster_id).startswith(_IN_MEMORY)
        words = f"{settings.bootstrap} answers"
        yield Finding("brokers", "ok", f"{words}, a development broker" if in_memory else words)
        yield from topic_checks.topic_findings(settings, role, counts)
        partitions = counts.get(settings.clicks, partitions)
        if not in_memory:  # it has no answers for more
            yield from _of_cluster(settings, role, admin, metadata, broker_timeout_seconds)
            if role == "worker":
                changelog_bytes = _changelog_bytes(settings, counts, broker_timeout_seconds)
        ours = {topic.name for topic in topic_checks.topics_of(settings, role)}
        asked = {n: c for n, c in counts.items() if n in ours | {clock_checks.OFFSETS_TOPIC}}
        offsets_ms, clicks_ms = clock_checks.kafka_times(
            settings, admin, asked, broker_timeout_seconds
        )
    yield from clock_checks.clock_findings(
        clock_checks.kernel_clock(), time.time_ns() // 1_000_000, offsets_ms, clicks_ms
    )
    yield from _secret_files(settings)
    if role != "worker":
        return
    yield from _machine(settings, partitions, changelog_bytes)
    yield _one_onnxruntime()
    yield from _model(settings)
    yield _engine(settings)


def _admission(settings: Settings) -> Finding | None:
    """Brokers that answer and do not take the certificate or the credentials; None: they do."""
    from streams.connection import ensure_admitted

    try:
        ensure_admitted(settings)
    except NotAdmittedError as error:
        fault, _, advice = str(error).partition(": ")
        return Finding("brokers", "fault", fault, advice)
    return None


def _cluster(settings: Settings, timeout_seconds: float) -> tuple[Any, Any] | Finding:
    """An admin client and the cluster's metadata."""
    try:
        admin = AdminClient(settings.librdkafka(), logger=_silent())
        return admin, admin.list_topics(timeout=timeout_seconds)
    except KafkaException as error:
        return Finding(
            "brokers",
            "fault",
            f"no broker answers at {settings.bootstrap}: {error.args[0].str()}",
            "start one (freshrec broker), correct --bootstrap, or check the security settings",
        )


def _of_cluster(
    settings: Settings, role: Role, admin: Any, metadata: Any, timeout_seconds: float
) -> Iterator[Finding]:
    """What a cluster tells beside its topics: how they are kept, and what this client may do."""
    names = [topic.name for topic in topic_checks.topics_of(settings, role)]
    there = [name for name in names if name in metadata.topics]
    try:
        told, hidden = topic_checks.describe(admin, there, timeout_seconds)
    except KafkaException as error:
        told, hidden = {}, []
        words = f"the brokers do not tell how topics are kept: {error.args[0].str()}"
        yield Finding("configuration", "note", words, "compare them with docs/messages.md")
    if hidden:
        words = f"this client may not see how {listed(hidden)} are kept"
        topics = [("topic", name) for name in hidden]
        allowed = right_checks.grant(settings, ["DescribeConfigs"], *topics)
        yield Finding("configuration", "note", words, f"to have that checked: {allowed}")
    yield from topic_checks.configuration_findings(settings, role, there, told)
    yield from replica_checks.replica_findings(
        settings, role, replica_checks.spread_of(metadata), len(metadata.brokers), told
    )
    if settings.security_protocol != "plaintext":
        yield from right_checks.right_findings(settings, role, frozenset(there))
        if role == "worker":
            missing = [name for name in names if name not in there]
            creation = right_checks.creation_finding(settings, admin, missing)
            if creation is not None:
                yield creation


def _changelog_bytes(
    settings: Settings, counts: dict[str, int], timeout_seconds: float
) -> int | None:
    from streams.log_sizes import topic_bytes

    names = [changelog_topic(settings, table) for table in TABLES]
    there = {name: counts[name] for name in names if name in counts}
    return topic_bytes(settings, there, timeout_seconds) if there else None


def _secret_files(settings: Settings) -> Iterator[Finding]:
    """Files of secrets that others than their owner and group can read."""
    for name in SECRETS_OF_FILES:
        given = getattr(settings, name + FILE_SUFFIX)
        if given is None:
            continue
        try:
            path = given.resolve(strict=True)
            others_read = path.stat().st_mode & stat.S_IROTH
        except (OSError, RuntimeError) as error:
            why = getattr(error, "strerror", None) or "its links lead in a circle"
            yield Finding(
                "secrets", "fault", f"{name}{FILE_SUFFIX} {given} cannot be looked at: {why}",
                "let this user reach it, or correct the setting",
            )  # fmt: skip
            continue
        if others_read:
            yield Finding(
                "secrets", "note", f"{path} can be read by every user of this machine",
                f"chmod o= {shlex.quote(str(path))}",
            )  # fmt: skip


def _machine(settings: Settings, partitions: int, changelog_bytes: int | None) -> Iterator[Finding]:
    on_disk = settings.store == "rocksdb"
    known_bytes = changelog_bytes or 0
    if on_disk:
        disk = machine_checks.look_at_disk(settings)
        if isinstance(disk, Finding):
            yield disk
        else:
            yield from machine_checks.disk_findings(disk, changelog_bytes)
            known_bytes = max(known_bytes, disk.state_bytes)
    else:
        words = "state is kept in memory and recovered from the changelogs"
        yield Finding("state", "note", words)
    yield machine_checks.kernels_finding(compiled=COMPILED)
    yield machine_checks.interpreter_finding(sysconfig.get_config_vars())
    yield machine_checks.memory_finding(machine_checks.memory_limit_bytes())
    yield machine_checks.open_files_finding(
        machine_checks.open_file_limit(), partitions, known_bytes, on_disk=on_disk
    )


def _one_onnxruntime(installed: Callable[[str], str] = version) -> Finding:
    """`onnxruntime` and `onnxruntime-gpu` share an import name; together they break each other."""
    found = []
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            found.append(f"{name} {installed(name)}")
        except PackageNotFoundError:
            continue
    if len(found) == 1:
        return Finding("onnxruntime", "ok", found[0])
    words = "none is installed" if not found else f"{' and '.join(found)} are both installed"
    advice = "pip uninstall -y onnxruntime onnxruntime-gpu, then install freshrec again"
    return Finding("onnxruntime", "fault", words, advice)


def _model(settings: Settings) -> Iterator[Finding]:
    if not settings.encoder:
        yield Finding("model", "note", "the encoder is switched off: lists come from the graph")
        return
    if settings.model_dir is None:
        yield Finding(
            "model", "note", "no model is given: lists come from the graph",
            "train one (freshrec train) and say --model DIR",
        )  # fmt: skip
        return
    from model.artifact import ArtifactError
    from model.scorer import EncoderScorer

    try:
        scorer = EncoderScorer.load(settings.model_dir, engine="cpu")
    except ArtifactError as error:
        yield Finding(
            "model", "fault", str(error), "export or train it again, or say another --model"
        )
        return
    except OSError as error:
        yield Finding(
            "model", "fault", f"cannot read {settings.model_dir}: {error.strerror}",
            "give this user the right to read it, or say another --model",
        )  # fmt: skip
        return
    words = f"{scorer.name} {scorer.version}, {len(scorer.items)} items, smoke inference matches"
    yield Finding("model", "ok", words)


def _engine(settings: Settings) -> Finding:
    import onnxruntime

    from model.scorer import EngineError, choose_providers, cuda_devices

    devices = cuda_devices()
    try:
        providers = choose_providers(
            settings.engine, devices, onnxruntime.get_available_providers()
        )
    except EngineError as error:
        advice = "pip install 'freshrec[gpu]' and an NVIDIA driver, or say --engine cpu"
        return Finding("engine", "fault", str(error), advice)
    return Finding("engine", "ok", f"{settings.engine}: {providers[0]}, {devices} CUDA devices")


def _silent() -> object:
    """A logger for a client whose failure is reported in one sentence by the caller."""
    import logging

    silent = logging.getLogger("freshrec.check.client")
    silent.propagate = False
    silent.addHandler(logging.NullHandler())
    return silent
