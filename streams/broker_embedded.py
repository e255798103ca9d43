"""A Kafka-protocol broker that comes with pip: librdkafka's mock cluster in a child process.

It needs no Java and no files, starts in a fraction of a second and keeps everything in memory. It
is for demonstrations and quick tests: librdkafka keeps at most 5 MiB or 100,000 batches of a
partition and drops the oldest beyond that, knows no transactions, and does not wake a waiting fetch
when records arrive (consumers want a short `fetch_max_wait_ms`).

This module is both ends. `EmbeddedBroker` is the owner's end; run as `python -m
streams.broker_embedded`, it is the child, which takes one JSON command a line on standard input,
answers each with one JSON line, and ends when standard input closes: it never outlives its owner.
"""

import contextlib
import ctypes
import json
import subprocess
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

STOP_TIMEOUT_SECONDS = 5.0
CREATE_IS_THERE = 36  # TOPIC_ALREADY_EXISTS of the Kafka protocol


class EmbeddedBroker:
    """An in-memory broker on a free loopback port. A context manager, or `start()` and `stop()`.

    A topic that a client asks for without its having been created appears with 4 partitions.

    Args:
        brokers: number of mock brokers, all in the one child process.
        topics: topics to create at the start, name to number of partitions.
    """

    def __init__(self, brokers: int = 1, topics: Mapping[str, int] | None = None) -> None:
        if brokers < 1:
            raise ValueError(f"a cluster needs at least one broker, not {brokers}")
        self.brokers = brokers
        self.bootstrap = ""
        self._topics = dict(topics or {})
        self._process: subprocess.Popen[str] | None = None

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
    def pids(self) -> list[int]:
        """The child's process id while it runs."""
        process = self._process
        return [process.pid] if process is not None and process.poll() is None else []

    def start(self) -> None:
        """Start the child and wait until its brokers listen."""
        if self._process is not None:
            raise RuntimeError("this broker has been started already")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streams.broker_embedded", str(self.brokers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # A terminal's Ctrl-C is for the owner, which then stops its broker.
            start_new_session=True,
        )
        try:
            self.bootstrap = str(self._answer()["bootstrap"])
            for topic, partitions in self._topics.items():
                self.create_topic(topic, partitions)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the child, and with it all data. Safe to repeat."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def create_topic(self, topic: str, partitions: int) -> bool:
        """Create a topic with exactly that many partitions; False if it is there already.

        Raises:
            ValueError: the broker refuses, with its error.
        """
        if partitions < 1:
            raise ValueError(f"topic {topic!r} needs at least one partition, not {partitions}")
        error = self._command("create", topic=topic, partitions=partitions)
        if error == CREATE_IS_THERE:
            return False
        if error:
            raise ValueError(f"the embedded broker refuses topic {topic!r}: Kafka error {error}")
        return True

    def set_broker_down(self, broker: int) -> None:
        """Close every connection of a mock broker (numbered from 0) and refuse new ones."""
        self._command("down", broker=broker)

    def set_broker_up(self, broker: int) -> None:
        """Let a mock broker that is down accept connections again."""
        self._command("up", broker=broker)

    def set_round_trip(self, broker: int, milliseconds: int) -> None:
        """Delay every answer of a mock broker."""
        self._command("delay", broker=broker, milliseconds=milliseconds)

    def _command(self, name: str, **arguments: object) -> int:
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("this broker is not running")
        with contextlib.suppress(BrokenPipeError):  # told better by the missing answer
            self._process.stdin.write(json.dumps({"command": name, **arguments}) + "\n")
            self._process.stdin.flush()
        return int(self._answer()["error"])

    def _answer(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            raise RuntimeError(f"the embedded broker ended with exit status {status}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class _MockCluster:
    """librdkafka's mock cluster through its C interface, in this process."""

    def __init__(self, brokers: int) -> None:
        from confluent_kafka import cimpl

        # The wheel's extension module is linked to its own librdkafka, under a file name that
        # differs from platform to platform; a symbol looked up through the module is found in it.
        self._library = library = ctypes.CDLL(cimpl.__file__)
        pointer, text, integer = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32
        for name, result, *arguments in (
            ("rd_kafka_conf_new", pointer),
            ("rd_kafka_conf_set", ctypes.c_int, pointer, text, text, text, ctypes.c_size_t),
            ("rd_kafka_new", pointer, ctypes.c_int, pointer, text, ctypes.c_size_t),
            ("rd_kafka_mock_cluster_new", pointer, pointer, ctypes.c_int),
            ("rd_kafka_mock_cluster_bootstraps", text, pointer),
            ("rd_kafka_mock_topic_create", ctypes.c_int, pointer, text, ctypes.c_int, ctypes.c_int),
            ("rd_kafka_mock_broker_set_down", ctypes.c_int, pointer, integer),
            ("rd_kafka_mock_broker_set_up", ctypes.c_int, pointer, integer),
            ("rd_kafka_mock_broker_set_rtt", ctypes.c_int, pointer, integer, ctypes.c_int),
            ("rd_kafka_mock_group_initial_rebalance_delay_ms", None, pointer, integer),
        ):
            function = getattr(library, name)
            function.restype = result
            function.argtypes = arguments
        message = ctypes.create_string_buffer(512)
        producer = 0  # RD_KAFKA_PRODUCER; the kind does not matter, a cluster needs some handle
        settings = library.rd_kafka_conf_new()
        # It would warn that it knows no brokers to connect to; it has none to know.
        library.rd_kafka_conf_set(settings, b"log_level", b"0", message, 512)
        handle = library.rd_kafka_new(producer, settings, message, 512)
        if not handle:
            raise RuntimeError(f"librdkafka does not start: {message.value.decode()}")
        self._cluster = library.rd_kafka_mock_cluster_new(handle, brokers)
        if not self._cluster:
            raise RuntimeError("librdkafka does not start a mock cluster")
        # A group's first join waits this long for more members; the default of 3 s is slow.
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 100)
        self._copies = min(3, brokers)

    def bootstrap(self) -> str:
        return str(self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode())

    def run(self, command: Mapping[str, Any]) -> int:
        """Carry out one command; 0, or the error code of the Kafka protocol."""
        library, cluster = self._library, self._cluster
        if command["command"] == "create":
            name, partitions = command["topic"].encode(), command["partitions"]
            error = library.rd_kafka_mock_topic_create(cluster, name, partitions, self._copies)
        elif command["command"] == "delay":
            broker, delay_ms = command["broker"] + 1, command["milliseconds"]
            error = library.rd_kafka_mock_broker_set_rtt(cluster, broker, delay_ms)
        else:
            down, up = library.rd_kafka_mock_broker_set_down, library.rd_kafka_mock_broker_set_up
            act = down if command["command"] == "down" else up
            error = act(cluster, command["broker"] + 1)  # mock brokers count from 1
        return int(error)


def serve_mock_cluster(brokers: int) -> None:
    """Be the child: announce the cluster, then obey until standard input closes."""
    cluster = _MockCluster(brokers)
    sys.stdout.write(json.dumps({"bootstrap": cluster.bootstrap()}) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps({"error": cluster.run(json.loads(line))}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve_mock_cluster(int(sys.argv[1]))
