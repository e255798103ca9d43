"""Cluster: three brokers, each behind a proxy for every worker, and what faults need to know."""

import contextlib
import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from streams.bench.faults.proxy import Link, Observer, Proxy
from streams.broker import KafkaCluster, KafkaUnavailable

log = logging.getLogger(__name__)

_DIRECT = "PLAINTEXT"
_HEAP_MB = 256
_REQUEST_SECONDS = 10.0
_POLL_SECONDS = 0.1
_HEALTHY_SECONDS = 60.0

T = TypeVar("T")


class FaultyCluster:
    """A cluster whose workers' networks can be broken, and whose brokers can be killed."""

    def __init__(self, workers: int, brokers: int, observer: Observer | None = None) -> None:
        """`workers`: how many get a listener of their own."""
        self._listeners = [f"WORKER{number}" for number in range(workers)]
        self._proxy = Proxy(self._listeners, brokers, observer)
        self._brokers = brokers
        self._admin: AdminClient | None = None
        self._overridden: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(self._proxy)
        listeners = dict.fromkeys((_DIRECT, *self._listeners), "PLAINTEXT")
        self._kafka = KafkaCluster(
            self._brokers,
            listeners=listeners,
            heap_mb=_HEAP_MB,
            advertised={name: self._proxy.advertised(name) for name in self._listeners},
        )
        for (listener, broker), link in self._proxy.links.items():
            link.upstream_port = self._kafka.port(broker, listener)
        try:
            self._stack.enter_context(self._kafka)
        except BaseException:
            self._stack.close()
            raise
        self._admin = AdminClient({"bootstrap.servers": self.bootstrap}, logger=log)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def bootstrap(self) -> str:
        """Brokers without a proxy before them."""
        return self._kafka.bootstrap

    def bootstrap_for(self, worker: int) -> str:
        """Brokers as this worker is to reach them."""
        ports = self._proxy.advertised(self._listeners[worker])
        return ",".join(f"127.0.0.1:{port}" for port in ports)

    @property
    def admin(self) -> AdminClient:
        """A client that no fault of the network touches."""
        assert self._admin is not None
        return self._admin

    # -- brokers

    def kill(self, broker: int) -> None:
        """End a broker with SIGKILL."""
        self._kafka.kill_broker(broker)

    def restart(self, broker: int) -> None:
        """Start a killed broker again and wait until it serves."""
        self._kafka.restart_broker(broker)

    def leader_of(self, topic: str, partition: int = 0) -> int:
        """The broker that leads a partition."""

        def leader() -> int:
            found = self.admin.list_topics(topic, timeout=_REQUEST_SECONDS).topics[topic]
            return int(found.partitions[partition].leader)

        return _insist(leader)

    def wait_until_replicated(self) -> None:
        """Wait until every partition has all its copies in sync: then one broker may go.

        Raises `KafkaUnavailable` when that takes too long.
        """
        deadline = time.monotonic() + _HEALTHY_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(KafkaException):
                topics = self.admin.list_topics(timeout=_REQUEST_SECONDS).topics.values()
                if all(
                    len(partition.isrs) == len(partition.replicas) and partition.leader >= 0
                    for topic in topics
                    for partition in topic.partitions.values()
                ):
                    return
            time.sleep(_POLL_SECONDS)
        raise KafkaUnavailable(f"copies were not in sync within {_HEALTHY_SECONDS:.0f} s")

    # -- topics

    def reject_for_now(self, topic: str) -> None:
        """No produce request succeeds: more copies are asked for than there are brokers."""
        self._override(topic, "min.insync.replicas", str(self._brokers + 1))

    def reject_for_good(self, topic: str) -> None:
        """Every produce request is refused in a way that no client tries again."""
        self._override(topic, "max.message.bytes", "1")

    def accept(self, topic: str) -> None:
        """Take back what was overridden."""
        value = self._overridden.pop(topic, None)
        if value is not None:
            name, _, before = value.partition("=")
            self._set(topic, name, before or None)

    def accept_all(self) -> None:
        """Take back what was overridden for every topic."""
        for topic in list(self._overridden):
            self.accept(topic)

    def _override(self, topic: str, name: str, value: str) -> None:
        self.accept(topic)
        resource = ConfigResource(ResourceType.TOPIC, topic)

        def described() -> ConfigEntry:
            future = self.admin.describe_configs([resource])[resource]
            entry: ConfigEntry = future.result(_REQUEST_SECONDS)[name]
            return entry

        entry = _insist(described)
        self._overridden[topic] = f"{name}={'' if entry.is_default else entry.value}"
        self._set(topic, name, value)

    def _set(self, topic: str, name: str, value: str | None) -> None:
        entry = ConfigEntry(
            name,
            value or "",
            incremental_operation=(
                AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET
            ),
        )
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        _insist(
            lambda: self.admin.incremental_alter_configs([resource])[resource].result(
                _REQUEST_SECONDS
            )
        )

    # -- network

    def slow_down(self, topic: str, seconds: float) -> None:
        """Hold every produce request with records for a topic; 0: no longer."""
        for link in self._proxy.links.values():
            slow = {name: held for name, held in link.slow_topics.items() if name != topic}
            link.slow_topics = slow | ({topic: seconds} if seconds else {})

    def links(self, worker: int, broker: int | None = None) -> list[Link]:
        """What lies between a worker and one broker, or all."""
        return self._proxy.of(self._listeners[worker], broker)

    def cut(self, links: list[Link]) -> None:
        """Break these links."""
        self._proxy.cut(links)

    def silence(self, links: list[Link]) -> None:
        """Let nothing through these links, without a word."""
        self._proxy.silence(links)

    def heal(self, links: list[Link] | None = None) -> None:
        """Let these links, or all, pass everything at once again."""
        self._proxy.heal(links)


def _insist(ask: Callable[[], T]) -> T:
    """What a cluster with a broker less answers in the end; -1 is no answer.

    Raises `KafkaUnavailable`.
    """
    deadline = time.monotonic() + _HEALTHY_SECONDS
    while True:
        try:
            answer = ask()
            if answer != -1:
                return answer
            fault: object = "nobody has the part"
        except (KafkaException, TimeoutError) as error:
            fault = error
        if time.monotonic() > deadline:
            raise KafkaUnavailable(f"the cluster did not answer in time: {fault}")
        time.sleep(_POLL_SECONDS)
