"""Development brokers: `freshrec broker`, and the classes that tests, demo and benchmarks use.

Two kinds. `embedded` installs with pip and lives in memory (`EmbeddedBroker`); `kafka` is real
Apache Kafka on the machine's Java (`KafkaCluster`). Neither is meant for production, and both
listen on loopback only.
"""

import json
import signal
import sys
import threading
from pathlib import Path

from streams.broker_embedded import EmbeddedBroker
from streams.broker_jars import KafkaUnavailable
from streams.broker_kafka import KafkaCluster

__all__ = ["KINDS", "EmbeddedBroker", "KafkaCluster", "KafkaUnavailable", "run"]

KINDS = ("embedded", "kafka")


def run(
    kind: str = "embedded",
    brokers: int = 1,
    *,
    port: int | None = None,
    data_dir: Path | None = None,
) -> int:
    """Run a broker in the foreground until SIGTERM or SIGINT; the exit code of `freshrec broker`.

    Once clients can connect, exactly one JSON line goes to standard output: `bootstrap`, `kind` and
    `pids`. Everything else goes to standard error. `port` and `data_dir` are for kind `kafka`; the
    embedded broker takes a free port and keeps its data in memory.
    """
    if kind not in KINDS:
        return _wrong_use(f"unknown kind {kind!r}; there are {' and '.join(KINDS)}.")
    if brokers < 1:
        return _wrong_use(f"at least one broker is needed, not {brokers}.")
    if kind == "embedded" and (port is not None or data_dir is not None):
        return _wrong_use("a port and a data directory can be chosen with --kind kafka only.")

    stop = threading.Event()
    previous = {
        signum: signal.signal(signum, lambda *_: stop.set())
        for signum in (signal.SIGTERM, signal.SIGINT)
    }
    cluster = (
        EmbeddedBroker(brokers)
        if kind == "embedded"
        else KafkaCluster(brokers, data_dir=data_dir, port=port)
    )
    try:
        with cluster:
            ready = {"bootstrap": cluster.bootstrap, "kind": kind, "pids": cluster.pids}
            sys.stdout.write(json.dumps(ready) + "\n")
            sys.stdout.flush()
            while not stop.wait(1.0):
                if len(cluster.pids) < len(ready["pids"]):
                    sys.stderr.write("freshrec broker: a broker process ended by itself.\n")
                    return 1
    except (KafkaUnavailable, RuntimeError) as error:
        sys.stderr.write(f"freshrec broker: {error}\n")
        return 1
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
    return 0


def _wrong_use(sentence: str) -> int:
    sys.stderr.write(f"freshrec broker: {sentence}\n")
    return 2
