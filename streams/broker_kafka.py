"""Real Apache Kafka on loopback for development, tests and benchmarks: KRaft, one node or several.

Every node is broker and controller in one JVM. Settings favour a quick start and a small footprint
over anything a production cluster would want; `overrides` changes any of them.
"""

import contextlib
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.broker_jars import KafkaUnavailable, class_archive, find_java, kafka_jars
from streams.broker_node import (
    format_storage,
    jvm_flags,
    node_settings,
    start_process,
    what_went_wrong,
    write_configuration,
)
from streams.broker_reaper import Reaper
from streams.ports import free_ports

START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 15.0
POLL_SECONDS = 0.05


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
        java_options: further options of the brokers' JVMs.
        advertised: a listener's ports, one a broker, that clients are told instead of its own:
            those of a proxy before it.

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
        java_options: Sequence[str] = (),
        advertised: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        if brokers < 1:
            raise ValueError(f"a cluster needs at least one broker, not {brokers}")
        self.brokers = brokers
        self.listeners = dict(listeners or {"PLAINTEXT": "PLAINTEXT"})
        self.overrides = dict(overrides or {})
        self.data_dir = data_dir.resolve() if data_dir is not None else None
        self._keep_data = data_dir is not None
        self._heap_mb = heap_mb
        self._java_options = list(java_options)
        self._advertised = {name: list(told) for name, told in (advertised or {}).items()}
        self._java = Path()
        self._class_path = ""
        self._archive = Path()
        # Where broker 0 writes the archive of its classes when it ends in order; None: it does not.
        self._recording: Path | None = None
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * brokers
        self._reaper: Reaper | None = None
        names = [*self.listeners, "CONTROLLER"]
        free = free_ports(brokers * len(names))
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

    def port(self, broker: int, listener: str) -> int:
        """The port on which a broker itself serves a listener."""
        return self._ports[broker][listener]

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
        self._archive = class_archive(self._java)
        self._reaper = Reaper()
        try:
            if self.data_dir is None:
                self.data_dir = Path(tempfile.mkdtemp(prefix="freshrec-kafka-"))
                self._reaper.made_directory(self.data_dir)
            self._format()
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
        in_order = self._keep_data or self._recording is not None
        for _, process in running:
            # Without anything to keep there is nothing to shut down in order, and a whole cluster
            # that shuts down in order waits for a quorum that is going away.
            if in_order:
                process.terminate()
            else:
                process.kill()
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        for broker, process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                self._discard_recording()
            self._reap(broker)
        if self._recording is not None and self._recording.exists():
            self._recording.replace(self._archive)
        self._recording = None
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
        self._discard_recording()

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
                    + what_went_wrong(self._log(broker), self._output(broker))
                )

    def _launch(self, broker: int) -> None:
        assert self._reaper is not None
        command = [str(self._java), *jvm_flags(self._heap_mb, self._archive), *self._java_options]
        if self.brokers == 1 and not self._archive.exists():
            # The first run on a machine makes the archive that lets later ones start faster.
            self._recording = self._archive.with_name(f"recording-{uuid.uuid4().hex}.jsa")
            command += [f"-XX:ArchiveClassesAtExit={self._recording}"]
        command += [f"-Dfreshrec.log={self._log(broker)}"]
        command += [f"-Dlog4j2.configurationFile={self._node(broker) / 'log4j2.properties'}"]
        command += ["-cp", self._class_path, "kafka.Kafka"]
        command += [str(self._node(broker) / "server.properties")]
        with self._output(broker).open("ab") as output:
            process = start_process(command, output, self._node(broker))
        self._reaper.started(process.pid)
        self._processes[broker] = process

    def _discard_recording(self) -> None:
        if self._recording is not None:
            self._recording.unlink(missing_ok=True)
            self._recording = None

    def _reap(self, broker: int) -> None:
        process = self._processes[broker]
        if process is not None:
            process.wait()
            if self._reaper is not None:
                self._reaper.reaped(process.pid)
            self._processes[broker] = None

    def _format(self) -> None:
        nodes = [self._node(broker) for broker in range(self.brokers)]
        for broker, node in enumerate(nodes):
            settings = node_settings(
                broker,
                node / "data",
                self._ports,
                self.listeners,
                self.overrides,
                {name: told[broker] for name, told in self._advertised.items()},
            )
            write_configuration(node, settings)
        format_storage(self._java, self._class_path, self._archive, nodes)

    def _node(self, broker: int) -> Path:
        assert self.data_dir is not None
        return self.data_dir / f"broker-{broker}"

    def _log(self, broker: int) -> Path:
        return self._node(broker) / "broker.log"

    def _output(self, broker: int) -> Path:
        return self._node(broker) / "broker.out"
