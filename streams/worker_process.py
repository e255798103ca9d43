"""A worker as a child process: for the demo, benchmarks and tests.

It ends with its owner, however the owner ends: one reaper a process sees to it.
"""

import atexit
import functools
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.broker_reaper import Reaper

_POLL_SECONDS = 0.05
WORKER = "from streams.cli import main; main()"
"""The Python of `freshrec worker`."""


def code_to_run(module: str, name: str) -> str:
    """The Python of a process that runs another type of worker. Whoever starts it loads no worker:
    Faust reads the arguments of whatever command imports it.
    """
    return f"from streams.bench.worker_main import run; from {module} import {name}; run({name})"


def is_ready(port: int, timeout_seconds: float = 2.0) -> bool:
    """Whether the worker that answers on that port says so at /readyz."""
    url = f"http://127.0.0.1:{port}/readyz"
    try:
        with urllib.request.urlopen(url, timeout=timeout_seconds) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:
        return False


def wait_until_ready(
    worker: "WorkerProcess",
    port: int,
    timeout_seconds: float,
    waiting: Callable[[float], None] = lambda _: None,
) -> None:
    """Wait for /readyz; `waiting` is told the seconds so far. RuntimeError if it does not come."""
    started = time.monotonic()
    while not is_ready(port):
        seconds = time.monotonic() - started
        if not worker.alive() or seconds > timeout_seconds:
            raise RuntimeError(f"the worker did not become ready:\n{worker.log_tail()}")
        waiting(seconds)
        time.sleep(_POLL_SECONDS)


@functools.cache
def _reaper() -> Reaper:
    reaper = Reaper()
    atexit.register(reaper.close)
    return reaper


class WorkerProcess:
    """`freshrec worker` as a child, with its log in a file."""

    def __init__(self, flags: Mapping[str, object], log: Path, *, code: str = WORKER) -> None:
        """`flags`: setting names and values, handed over through the environment. `code`: the
        Python that the process runs.
        """
        self.code = code
        self._environment = {
            f"FRESHREC_{name.upper()}": _text(value) for name, value in flags.items()
        }
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._is_reported = True  # its end, to the reaper

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
                [sys.executable, "-c", self.code, "worker"],
                env={**os.environ, **self._environment},
                stdout=log,
                stderr=log,
            )
        _reaper().started(self._process.pid)
        self._is_reported = False

    @property
    def pid(self) -> int:
        """Process id."""
        return self._running().pid

    def alive(self) -> bool:
        """Whether it runs."""
        if self._process is None:
            return False
        return self._ended(self._process.poll()) is None

    def kill(self) -> None:
        """Kill -9."""
        process = self._running()
        process.kill()
        self._ended(process.wait())

    def stop(self, timeout_seconds: float = 40.0) -> int:
        """SIGTERM, and wait; killed if it has not ended in time. Returns the exit code."""
        process = self._running()
        if self.alive():
            process.terminate()
        try:
            code = process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL
        self._ended(code)
        return code

    def _ended(self, code: int | None) -> int | None:
        """Have the reaper forget a process that was waited for: its number may be another's."""
        if code is not None and not self._is_reported:
            self._is_reported = True
            _reaper().reaped(self._running().pid)
        return code

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        return _processor_seconds(Path(f"/proc/{self.pid}/stat"))

    def event_loop_seconds(self) -> float:
        """Of that, the event loop's, which runs in the first thread."""
        return _processor_seconds(Path(f"/proc/{self.pid}/task/{self.pid}/stat"))

    def peak_rss_bytes(self) -> int:
        """Most memory it had."""
        return self._memory_bytes("VmHWM")

    def rss_bytes(self) -> int:
        """Memory it has now."""
        return self._memory_bytes("VmRSS")

    def _memory_bytes(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
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


def _processor_seconds(stat: Path) -> float:
    fields = stat.read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
