"""A worker process under measurement, and what the broker knows of its progress."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.settings import Settings

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.05


class WorkerProcess:
    """`freshrec worker` as a child, with its log in a file."""

    def __init__(self, flags: Mapping[str, object], log: Path) -> None:
        """`flags`: setting names and values, handed over through the environment."""
        self._environment = {
            f"FRESHREC_{name.upper()}": _text(value) for name, value in flags.items()
        }
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

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

    def start(self) -> None:
        """Start it; it is not ready yet."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from streams.cli import main; main()", "worker"],
                env={**os.environ, **self._environment},
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._running().pid

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Kill -9."""
        process = self._running()
        process.kill()
        process.wait()

    def stop(self, timeout_seconds: float = 40.0) -> int:
        """SIGTERM, and wait; returns the exit code."""
        process = self._running()
        if process.poll() is None:
            process.terminate()
        return process.wait(timeout_seconds)

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_rss_bytes(self) -> int:
        """Most memory it had."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return 0

    def log_tail(self, lines: int = 30) -> str:
        """The end of its log, for an error message."""
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the worker was not started")
        return self._process


class Progress:
    """Committed and end offsets of a topic, for one group."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._consumer = Consumer(
            settings.librdkafka(**{"group.id": settings.group, "enable.auto.commit": False}),
            logger=log,
        )
        metadata = self._consumer.list_topics(topic, timeout=10).topics[topic]
        self._committed = 0
        self._partitions = [TopicPartition(topic, number) for number in metadata.partitions]

    def end(self) -> int:
        """Records in the topic, as the sum of the end offsets."""
        return sum(
            self._consumer.get_watermark_offsets(tp, timeout=10)[1] for tp in self._partitions
        )

    def committed(self) -> int:
        """Sum of the committed offsets; what was known last while the coordinator moves."""
        try:
            positions = self._consumer.committed(self._partitions, timeout=10)
        except KafkaException as error:
            log.info("committed offsets are not known at the moment: %s", error)
            return self._committed
        self._committed = sum(max(0, tp.offset) for tp in positions)
        return self._committed

    def wait(self, offset: int, worker: WorkerProcess, timeout_seconds: float) -> float:
        """Wait until `offset` is committed; returns the monotonic instant.

        Raises RuntimeError when the worker dies or the time is up.
        """
        deadline = time.monotonic() + timeout_seconds
        while (committed := self.committed()) < offset:
            if not worker.alive():
                raise RuntimeError(f"the worker died:\n{worker.log_tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"only {committed} of {offset} records were committed within "
                    f"{timeout_seconds:.0f} s:\n{worker.log_tail()}"
                )
            time.sleep(_POLL_SECONDS)
        return time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._consumer.close()


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
