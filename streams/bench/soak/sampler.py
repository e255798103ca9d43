"""Sampler: what worker and brokers say once a second, asked for beside the load."""

from __future__ import annotations

import urllib.request
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import NamedTuple, Self

from prometheus_client.parser import text_string_to_metric_families

from streams.bench.progress import Progress
from streams.worker_process import WorkerProcess

_LOOP_LAG = "freshrec_event_loop_lag_seconds_bucket"
_UNREAD = "freshrec_consumer_lag_records"
_TIMEOUT_SECONDS = 5.0


class Reading(NamedTuple):
    """Of one moment."""

    committed: int
    unread: int
    rss_bytes: int
    loop_lag_counts: dict[float, float]
    """Wake-ups of the event loop so far, by upper edge of their bucket, not cumulated."""


def read_metrics(text: str, clicks_topic: str) -> tuple[int, dict[float, float]]:
    """Unread clicks and the loop's wake-ups, of a worker's /metrics."""
    unread = 0.0
    cumulated: dict[float, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == _UNREAD and sample.labels["topic"] == clicks_topic:
                unread += sample.value
            elif sample.name == _LOOP_LAG:
                cumulated[float(sample.labels["le"])] = sample.value
    counts: dict[float, float] = {}
    before = 0.0
    for edge in sorted(cumulated):
        counts[edge] = cumulated[edge] - before
        before = cumulated[edge]
    return round(unread), counts


def latest_lag(before: dict[float, float], after: dict[float, float]) -> float:
    """Upper edge of the highest bucket that has more wake-ups than before; 0 where none has."""
    return max((edge for edge, n in after.items() if n > before.get(edge, 0.0)), default=0.0)


class Sampler:
    """One reading at a time, in a thread: a busy worker must not hold the load up."""

    def __init__(
        self, worker: WorkerProcess, port: int, progress: Progress, clicks_topic: str
    ) -> None:
        self._worker = worker
        self._port = port
        self._progress = progress
        self._clicks_topic = clicks_topic
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sampler")
        self._pending: Future[Reading] | None = None

    def ask(self) -> None:
        """Begin a reading, unless one is under way."""
        if self._pending is None:
            self._pending = self._thread.submit(self._read)

    def answer(self) -> Reading | None:
        """The reading, once it is there. Raises RuntimeError when the worker has died."""
        if self._pending is None or not self._pending.done():
            return None
        pending, self._pending = self._pending, None
        if not self._worker.alive():
            raise RuntimeError(f"the worker died:\n{self._worker.log_tail()}")
        try:
            return pending.result()
        except OSError:
            return None  # it was too busy to answer in time; the next second is asked for

    def _read(self) -> Reading:
        committed = self._progress.committed()
        url = f"http://127.0.0.1:{self._port}/metrics"
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:
            unread, counts = read_metrics(answer.read().decode(), self._clicks_topic)
        return Reading(committed, unread, self._worker.rss_bytes(), counts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
