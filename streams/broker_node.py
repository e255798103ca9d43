"""One node of a development Kafka cluster: its settings, its formatted storage, its process."""

import base64
import re
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from streams.broker_jars import KafkaUnavailable

_LOGGING = """\
status = error
appender.file.type = File
appender.file.name = file
appender.file.fileName = ${sys:freshrec.log}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{ISO8601} %p %m (%c)%n
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
"""


def node_settings(
    node_id: int,
    data: Path,
    ports: Sequence[Mapping[str, int]],
    listeners: Mapping[str, str],
    overrides: Mapping[str, str],
    advertised: Mapping[str, int] | None = None,
) -> dict[str, str]:
    """`server.properties` of one node.

    Args:
        node_id: this node's number, an index into `ports`.
        data: its log directory.
        ports: for every node of the cluster, listener name to port, `CONTROLLER` among them.
        listeners: client listener name to security protocol; the first is used between brokers.
        overrides: settings that go before the ones chosen here.
        advertised: ports that clients are told instead of this node's own, by listener.
    """
    own = ports[node_id]
    told = {**own, **(advertised or {})}
    copies = str(min(3, len(ports)))
    client = ",".join(f"{name}://127.0.0.1:{own[name]}" for name in listeners)
    protocols = {**listeners, "CONTROLLER": "PLAINTEXT"}
    voters = (f"{i}@127.0.0.1:{p['CONTROLLER']}" for i, p in enumerate(ports))
    return {
        "process.roles": "broker,controller",
        "node.id": str(node_id),
        "controller.quorum.voters": ",".join(voters),
        "controller.listener.names": "CONTROLLER",
        "listeners": f"{client},CONTROLLER://127.0.0.1:{own['CONTROLLER']}",
        "advertised.listeners": ",".join(f"{n}://127.0.0.1:{told[n]}" for n in listeners),
        "listener.security.protocol.map": ",".join(f"{k}:{v}" for k, v in protocols.items()),
        "inter.broker.listener.name": next(iter(listeners)),
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        "default.replication.factor": copies,
        # With three copies an acknowledged record is on two brokers, so one may be lost.
        "min.insync.replicas": "2" if len(ports) >= 3 else "1",
        "num.partitions": "4",
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": "1",
        # A killed broker is missed, and may register again, after this long.
        "broker.session.timeout.ms": "4000",
        "broker.heartbeat.interval.ms": "500",
        "log.retention.check.interval.ms": "30000",
        "log.cleaner.dedupe.buffer.size": str(8 << 20),
        "log.index.size.max.bytes": str(1 << 20),
        **overrides,
    }


def write_configuration(node: Path, settings: Mapping[str, str]) -> None:
    """Write `server.properties` and the logging configuration into a node's directory."""
    (node / "data").mkdir(parents=True, exist_ok=True)
    lines = (f"{name}={value}\n" for name, value in settings.items())
    (node / "server.properties").write_text("".join(lines), encoding="utf-8")
    (node / "log4j2.properties").write_text(_LOGGING, encoding="utf-8")


def format_storage(java: Path, class_path: str, archive: Path, nodes: Sequence[Path]) -> None:
    """Format the storage of configured nodes, with one JVM for all; a formatted node is left alone.

    A formatted directory differs between nodes in two lines of `meta.properties` only, so the first
    is formatted by Kafka's own tool and the others get its files with these lines changed.
    """
    first = nodes[0] / "data"
    if not (first / "meta.properties").exists():
        command = [str(java), *jvm_flags(256, archive), "-cp", class_path]
        command += ["kafka.tools.StorageTool", "format", "--cluster-id", _kafka_uuid()]
        command += ["--config", str(nodes[0] / "server.properties")]
        log = nodes[0] / "format.out"
        with log.open("wb") as output:
            status = start_process(command, output, nodes[0]).wait()
        if status != 0:
            raise KafkaUnavailable(
                f"Apache Kafka could not format its storage: {what_went_wrong(log)}"
            )
    for node_id, node in enumerate(nodes):
        data = node / "data"
        if not (data / "meta.properties").exists():
            shutil.copytree(first, data, dirs_exist_ok=True)
            meta = (first / "meta.properties").read_text(encoding="utf-8")
            meta = re.sub(r"(?m)^node\.id=.*$", f"node.id={node_id}", meta)
            meta = re.sub(r"(?m)^directory\.id=.*$", f"directory.id={_kafka_uuid()}", meta)
            (data / "meta.properties").write_text(meta, encoding="utf-8")


def start_process(
    command: list[str], output: IO[bytes], directory: Path
) -> subprocess.Popen[bytes]:
    """Start a JVM in `directory`, its output going to an open file."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=directory,
        # A terminal's Ctrl-C is for the owner, which then stops its brokers in order.
        start_new_session=True,
    )


def jvm_flags(heap_mb: int, archive: Path) -> list[str]:
    """Flags of a JVM with that heap (MiB) that takes its classes from `archive` if that exists."""
    flags = [
        f"-Xmx{heap_mb}m",
        "-Xshare:auto",
        # Brokers of tests and measurements share few cores with their clients and live for minutes:
        # concurrent collectors and the optimising compiler would take more than they give.
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Djava.awt.headless=true",
    ]
    if archive.exists():
        flags.append(f"-XX:SharedArchiveFile={archive}")
    return flags


def _kafka_uuid() -> str:
    """A random id in Kafka's form: 16 bytes, URL-safe base64 without padding, no leading dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        if not text.startswith("-"):
            return text


def what_went_wrong(*logs: Path) -> str:
    """The first line of the logs that tells of an error, else their last line."""
    lines = [
        line.strip()
        for log in logs
        if log.exists()
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip()
    ]
    telling = (line for line in lines if re.search(r"Exception|\bERROR\b|\bFATAL\b", line))
    return next(telling, lines[-1] if lines else "it wrote no log")
