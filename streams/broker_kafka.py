"""Real Apache Kafka on loopback for development, tests and benchmarks: KRaft, one node or several.

Every node is broker and controller in one JVM. Settings favour a quick start and a small footprint
over anything a production cluster would want; `overrides` changes any of them.
"""

import base64
import contextlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.broker_jars import KafkaUnavailable, find_java, kafka_jars
from streams.broker_reaper import Reaper

START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 15.0
POLL_SECONDS = 0.05

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


class KafkaCluster:
    """A cluster of `brokers` nodes on free loopback ports, started and stopped as one.

    Use it as a context manager, or call `start()` and `stop()`. Brokers are numbered from 0, and
    the number is also the broker id. Without a `data_dir` the data lives in a temporary directory
    and is gone after `stop()`; with one it stays, and a later cluster on that directory finds it.

    Args:
        brokers: number of nodes, 1 or an odd number above.
        data_dir: where the data stays; None for a temporary directory.
        overrides: broker settings (`server.properties`) over the ones chosen here.
        listeners: client listeners, name to security protocol; each broker opens a port for each.
            The first is the one that `bootstrap` gives and that brokers use among themselves.
        port: port of the first listener of broker 0; None for a free one.
        heap_mb: Java heap of each broker, in MiB.

    Raises:
        KafkaUnavailable: no Java, no Maven, or a broker that does not come up.
    """

    def __init__(
        self,
        brokers: int = 1,
        data_dir: Path | None = None,
        overrides: Mapping[str, str] | None = None,
        *,
        listeners: Mapping[str, str] | None = None,
        port: int | None = None,
        heap_mb: int = 512,
    ) -> None:
        if brokers < 1:
            raise ValueError(f"a cluster needs at least one broker, not {brokers}")
        self.brokers = brokers
        self.listeners = dict(listeners or {"PLAINTEXT": "PLAINTEXT"})
        self.overrides = dict(overrides or {})
        self.data_dir = data_dir
        self._keep_data = data_dir is not None
        self._heap_mb = heap_mb
        self._java = Path()
        self._class_path = ""
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * brokers
        self._reaper: Reaper | None = None
        names = [*self.listeners, "CONTROLLER"]
        free = _free_ports(brokers * len(names))
        self._ports = [
            dict(zip(names, free[i * len(names) : (i + 1) * len(names)], strict=True))
            for i in range(brokers)
        ]
        if port is not None:
            self._ports[0][names[0]] = port

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        """Addresses of the first listener: `host:port,host:port`."""
        return self.bootstrap_of(next(iter(self.listeners)))

    def bootstrap_of(self, listener: str) -> str:
        """Addresses of the client listener with that name."""
        return ",".join(f"127.0.0.1:{ports[listener]}" for ports in self._ports)

    @property
    def pids(self) -> list[int]:
        """Process ids of the brokers that run, in order of their number."""
        return [p.pid for p in self._processes if p is not None and p.poll() is None]

    def is_running(self, broker: int) -> bool:
        """Whether that broker's process is alive."""
        process = self._processes[broker]
        return process is not None and process.poll() is None

    def start(self) -> None:
        """Format the storage, start every broker, and wait until all of them answer."""
        if self._reaper is not None:
            raise RuntimeError("this cluster has been started already")
        self._java = find_java()
        self._class_path = ":".join(map(str, kafka_jars()))
        self._reaper = Reaper()
        try:
            if self.data_dir is None:
                self.data_dir = Path(tempfile.mkdtemp(prefix="freshrec-kafka-"))
                self._reaper.made_directory(self.data_dir)
            self._format(self.data_dir)
            for broker in range(self.brokers):
                self._launch(broker)
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop every broker and remove the data, unless a `data_dir` was given. Safe to repeat."""
        if self._reaper is None:
            return
        running = [(i, p) for i, p in enumerate(self._processes) if p is not None]
        for _, process in running:
            # Without data to keep there is nothing to shut down in order, and a whole cluster that
            # shuts down in order waits for a quorum that is going away.
            if self._keep_data:
                process.terminate()
            else:
                process.kill()
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        for broker, process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
            self._reap(broker)
        self._reaper.close()
        self._reaper = None
        if not self._keep_data:
            self.data_dir = None

    def kill_broker(self, broker: int) -> None:
        """End one broker with SIGKILL, as a crash would."""
        process = self._processes[broker]
        if process is None:
            raise RuntimeError(f"broker {broker} is not running")
        process.kill()
        self._reap(broker)

    def restart_broker(self, broker: int) -> None:
        """Start a killed broker again, on its port and data, and wait until it is back."""
        if self.is_running(broker):
            raise RuntimeError(f"broker {broker} is running; kill it first")
        self._launch(broker)
        self.wait_until_ready()

    def wait_until_ready(self, timeout_seconds: float = START_TIMEOUT_SECONDS) -> None:
        """Return when every running broker serves clients and is part of the cluster.

        Raises:
            KafkaUnavailable: a broker ended, or `timeout_seconds` passed.
        """
        deadline = time.monotonic() + timeout_seconds
        wanted = {i for i in range(self.brokers) if self._processes[i] is not None}
        for broker in sorted(wanted):
            self._wait_for_port(broker, deadline)
        listener, protocol = next(iter(self.listeners.items()))
        if protocol != "PLAINTEXT":
            return  # The secrets of this listener are the caller's; an open port has to do.
        admin = AdminClient({"bootstrap.servers": self.bootstrap_of(listener), "log_level": 0})
        while time.monotonic() < deadline:
            with contextlib.suppress(KafkaException):
                if wanted <= set(admin.list_topics(timeout=1.0).brokers):
                    return
            self._check_alive(wanted)
            time.sleep(POLL_SECONDS)
        raise KafkaUnavailable(
            f"brokers {sorted(wanted)} did not form a cluster within {timeout_seconds:.0f} s; "
            f"their logs are in {self.data_dir}."
        )

    def _wait_for_port(self, broker: int, deadline: float) -> None:
        port = self._ports[broker][next(iter(self.listeners))]
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
                return
            self._check_alive({broker})
            time.sleep(POLL_SECONDS)
        raise KafkaUnavailable(
            f"broker {broker} did not open port {port} in time; its log is in {self.data_dir}."
        )

    def _check_alive(self, brokers: set[int]) -> None:
        for broker in sorted(brokers):
            process = self._processes[broker]
            if process is not None and process.poll() is not None:
                raise KafkaUnavailable(
                    f"broker {broker} ended with exit status {process.returncode}: "
                    + _last_lines(self._log(broker), self._output(broker))
                )

    def _launch(self, broker: int) -> None:
        assert self._reaper is not None
        command = [str(self._java), *_jvm_flags(self._heap_mb)]
        command += [f"-Dfreshrec.log={self._log(broker)}"]
        command += [f"-Dlog4j2.configurationFile={self._node(broker) / 'log4j2.properties'}"]
        command += ["-cp", self._class_path, "kafka.Kafka"]
        command += [str(self._node(broker) / "server.properties")]
        with self._output(broker).open("ab") as output:
            process = _start(command, output, self._node(broker))
        self._reaper.started(process.pid)
        self._processes[broker] = process

    def _reap(self, broker: int) -> None:
        process = self._processes[broker]
        if process is not None:
            process.wait()
            if self._reaper is not None:
                self._reaper.reaped(process.pid)
            self._processes[broker] = None

    def _format(self, data_dir: Path) -> None:
        """Write every node's settings and format its storage, with one JVM for all of them.

        A formatted directory differs between nodes in two lines of `meta.properties` only, so
        broker 0 is formatted by Kafka's own tool and the others get its files with these changed.
        """
        for broker in range(self.brokers):
            node = self._node(broker)
            (node / "data").mkdir(parents=True, exist_ok=True)
            settings = self._settings(broker)
            (node / "server.properties").write_text(
                "".join(f"{k}={v}\n" for k, v in settings.items()), encoding="utf-8"
            )
            (node / "log4j2.properties").write_text(_LOGGING, encoding="utf-8")
        first = self._node(0) / "data"
        if not (first / "meta.properties").exists():
            command = [str(self._java), *_jvm_flags(256), "-cp", self._class_path]
            command += ["kafka.tools.StorageTool", "format", "--cluster-id", _kafka_uuid()]
            command += ["--config", str(self._node(0) / "server.properties")]
            with self._output(0).open("ab") as output:
                status = _start(command, output, data_dir).wait()
            if status != 0:
                raise KafkaUnavailable(
                    "Apache Kafka could not format its storage: " + _last_lines(self._output(0))
                )
        for broker in range(1, self.brokers):
            data = self._node(broker) / "data"
            if not (data / "meta.properties").exists():
                shutil.copytree(first, data, dirs_exist_ok=True)
                meta = (first / "meta.properties").read_text(encoding="utf-8")
                meta = re.sub(r"(?m)^node\.id=.*$", f"node.id={broker}", meta)
                meta = re.sub(r"(?m)^directory\.id=.*$", f"directory.id={_kafka_uuid()}", meta)
                (data / "meta.properties").write_text(meta, encoding="utf-8")

    def _settings(self, broker: int) -> dict[str, str]:
        ports = self._ports[broker]
        copies = str(min(3, self.brokers))
        client = ",".join(f"{name}://127.0.0.1:{ports[name]}" for name in self.listeners)
        protocols = {**self.listeners, "CONTROLLER": "PLAINTEXT"}
        voters = (f"{i}@127.0.0.1:{p['CONTROLLER']}" for i, p in enumerate(self._ports))
        return {
            "process.roles": "broker,controller",
            "node.id": str(broker),
            "controller.quorum.voters": ",".join(voters),
            "controller.listener.names": "CONTROLLER",
            "listeners": f"{client},CONTROLLER://127.0.0.1:{ports['CONTROLLER']}",
            "advertised.listeners": client,
            "listener.security.protocol.map": ",".join(f"{k}:{v}" for k, v in protocols.items()),
            "inter.broker.listener.name": next(iter(self.listeners)),
            "log.dirs": str(self._node(broker) / "data"),
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": "0",
            "default.replication.factor": copies,
            # With three copies an acknowledged record is on two brokers, so one may be lost.
            "min.insync.replicas": "2" if self.brokers >= 3 else "1",
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
            **self.overrides,
        }

    def _node(self, broker: int) -> Path:
        assert self.data_dir is not None
        return self.data_dir / f"broker-{broker}"

    def _log(self, broker: int) -> Path:
        return self._node(broker) / "broker.log"

    def _output(self, broker: int) -> Path:
        return self._node(broker) / "broker.out"


def _start(command: list[str], output: IO[bytes], directory: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=directory,
        # A terminal's Ctrl-C is for the owner, which then stops its brokers in order.
        start_new_session=True,
    )


def _jvm_flags(heap_mb: int) -> list[str]:
    return [
        f"-Xmx{heap_mb}m",
        "-Xshare:auto",
        "-XX:+UseSerialGC" if heap_mb < 512 else "-XX:+UseG1GC",
        "-Djava.awt.headless=true",
    ]


def _kafka_uuid() -> str:
    """A random id in Kafka's form: 16 bytes, URL-safe base64 without padding, no leading dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        if not text.startswith("-"):
            return text


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now; held together while they are chosen, so all differ."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _last_lines(*files: Path, count: int = 3) -> str:
    for file in files:
        if file.exists() and (text := file.read_text(encoding="utf-8", errors="replace").strip()):
            return " ".join(text.splitlines()[-count:])
    return "it wrote no log"
