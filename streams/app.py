"""Run a worker in the foreground.

`run_worker` blocks until SIGTERM or SIGINT and returns an exit code. After a fault that could
lose a click the process ends at once, without committing; whoever supervises it starts it again,
and the replay loses nothing.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from typing import Any, NoReturn

from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException

from streams.access_faults import AccessError
from streams.connection import BrokerUnavailableError, connect_admin
from streams.event_loop import runner
from streams.gauges import GroupError
from streams.lease import HandoverError
from streams.permissions import ensure_permitted
from streams.sent import PublishError
from streams.serving import ServingError
from streams.settings import Settings, SettingsError
from streams.stores import StoreError
from streams.topics import TopicMismatchError, ensure_topics, record_limit_bytes
from streams.worker import Worker

log = logging.getLogger(__name__)

EXIT_OK = 0
EXIT_FAILED = 1

_STOP_SECONDS = 30.0
_SETTLING_SECONDS = 30.0
_PASSING_FAULTS = (
    "GroupCoordinatorNotAvailable",
    "CoordinatorLoadInProgress",
    "NotLeaderForPartition",
    "LeaderNotAvailable",
)
_EXPLAINED = (
    AccessError,
    BrokerUnavailableError,
    GroupError,
    HandoverError,
    PublishError,
    ServingError,
    SettingsError,
    StoreError,
    TopicMismatchError,
)
"""Faults whose message is a sentence that says what to do."""
_GC_THRESHOLDS = (50_000, 50, 50)
_SWITCH_SECONDS = 0.001


async def _serve(settings: Settings, worker_type: type[Worker]) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    stopping: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
    try:
        building = asyncio.ensure_future(_build(settings, worker_type))
        await _first(building, stopping)
        if not building.done():
            _stopped_early()
        worker, item_partitions = building.result()
        starting = asyncio.ensure_future(worker.start(item_partitions))
        await _first(starting, stopping, worker.failure)
        if starting.done():
            starting.result()
        elif stopping.done():
            _stopped_early()
    except _EXPLAINED as error:
        log.error("%s", error)
        return EXIT_FAILED
    except (KafkaError, KafkaException) as error:
        log.error("the brokers at %s failed while starting: %r", settings.bootstrap, error)
        return EXIT_FAILED
    await _first(stopping, worker.failure)
    if worker.failure.done():
        failure = worker.failure.result()
        known = isinstance(failure, _EXPLAINED)
        log.error("the worker ends: %s", failure, exc_info=None if known else failure)
        _exit_now(EXIT_FAILED)
    log.info("stopping")
    stopped: asyncio.Future[Any] = asyncio.ensure_future(worker.stop())
    await _first(stopped, worker.failure, timeout_seconds=_STOP_SECONDS)
    if not stopped.done() or stopped.exception() is not None:
        log.error("the worker did not stop in order; what was in flight will be replayed")
        _exit_now(EXIT_FAILED)
    log.info("stopped")
    return EXIT_OK


def _stopped_early() -> NoReturn:
    """Brokers that are away or a group that settles can keep a start waiting for long."""
    log.info("stopped before the start was complete")
    _exit_now(EXIT_OK)


async def _first(*futures: asyncio.Future[Any], timeout_seconds: float | None = None) -> None:
    """Wait until one of them is done, or the time is up."""
    await asyncio.wait(futures, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)


async def _build(settings: Settings, worker_type: type[Worker]) -> tuple[Worker, int]:
    admin = await connect_admin(settings)
    try:
        await asyncio.to_thread(ensure_permitted, settings, "worker")
        partitions = await ensure_topics(admin, settings)
        dead_letter_bytes = await record_limit_bytes(admin, settings.dead_letter_topic)
        described = await admin.describe_topics([settings.items])
        item_partitions = len(described[0]["partitions"])
    finally:
        await admin.close()
    return worker_type(settings, partitions, dead_letter_bytes), item_partitions


def _exit_now(code: int) -> NoReturn:
    """Leave without running anything that might commit or wait."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _tune_garbage_collection() -> None:
    """Collect seldom: state is freed by reference counts, and a collection walks all windows."""
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def _share_the_interpreter() -> None:
    """Let threads have the interpreter after a millisecond: the encoder's needs it to begin a call
    and to end it, and waits 5 ms each time else while the event loop is busy.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)


class _Settling(logging.Filter):
    """Drops what the client retries by itself while a fresh cluster chooses its leaders."""

    def __init__(self) -> None:
        super().__init__()
        self._until = time.monotonic() + _SETTLING_SECONDS

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a passing fault of the first seconds."""
        if not record.name.startswith("aiokafka") or time.monotonic() > self._until:
            return True
        message = record.getMessage()
        return not any(fault in message for fault in _PASSING_FAULTS)


def configure_logging(level: str) -> None:
    """One line a message on standard error; client libraries speak only of trouble."""
    logging.basicConfig(
        level=level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for name in ("aiokafka", "faust", "mode"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
    for handler in logging.getLogger().handlers:
        handler.addFilter(_Settling())


def run_worker(settings: Settings, worker_type: type[Worker] = Worker) -> int:
    """Run a worker in the foreground until SIGTERM or SIGINT; returns the exit code.

    `worker_type`: for a worker that does less than all.
    """
    configure_logging(settings.log_level)
    _tune_garbage_collection()
    _share_the_interpreter()
    with runner() as running:
        return running.run(_serve(settings, worker_type))
