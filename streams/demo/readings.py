"""Readings: what the demo's worker says of itself, taken as any operator takes it.

Both of its pages are read: the counters of `/metrics` and the state of `/status`. A worker that has
ended is reported with the end of its log.
"""

import json
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

from streams.demo.plan import DemoError
from streams.worker_process import WorkerProcess

_READY_SECONDS = 60.0
_PROCESSED = ("freshrec_events_total", "freshrec_rejects_total", "freshrec_duplicates_total")


class Readings:
    """Counters and status of one worker, as they were when last taken."""

    def __init__(self, url: str, worker: WorkerProcess) -> None:
        self.url = url
        self._worker = worker
        self._counts: Mapping[str, float] = {}
        self.status: Mapping[str, Any] = {}

    def take(self) -> None:
        """Read both pages. Raises `DemoError` when the worker has ended."""
        self._check_alive()
        self._counts = _metrics(self.url)
        self.status = _get_json(self.url + "/status")

    def wait_ready(self, catalogue_items: int) -> None:
        """Wait until the worker is ready and knows that many items; `DemoError` if it does not."""
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            self._check_alive()
            try:
                status = _get_json(self.url + "/status")
            except OSError:
                status = {}
            if status.get("ready") and status.get("catalogue_items", 0) >= catalogue_items:
                return
            time.sleep(0.1)
        raise DemoError(f"the worker was not ready in time:\n{self._worker.log_tail()}")

    @property
    def processed(self) -> int:
        """Clicks that were applied, rejected or recognised as duplicates."""
        return int(sum(self._sum(name) for name in _PROCESSED))

    @property
    def rejects(self) -> int:
        """Clicks that were rejected."""
        return int(self._sum("freshrec_rejects_total"))

    def _sum(self, name: str) -> float:
        return sum(value for series, value in self._counts.items() if series.split("{")[0] == name)

    def _check_alive(self) -> None:
        if not self._worker.alive():
            raise DemoError(f"the worker ended:\n{self._worker.log_tail()}")


def _get_json(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310  (our own loopback URL)
        document: dict[str, Any] = json.loads(response.read())
        return document


def _metrics(url: str) -> dict[str, float]:
    with urllib.request.urlopen(url + "/metrics", timeout=10) as response:  # noqa: S310
        lines = response.read().decode().splitlines()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")
    }
