"""`freshrec bench users`: the state of many users, its size, and a worker that gets it back.

The windows are folded by the pure core and written to the changelog as a worker would write them,
one record a user. A worker with an empty disk then recovers them, so the sizes and times are those
of a shop that has been running for long, without the hours of clicks that lead there.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import msgspec

from streams.bench.ground import ground
from streams.bench.progress import Progress
from streams.bench.recovery import RECOVERED
from streams.events import Click
from streams.ports import free_port
from streams.sender import KafkaSender
from streams.settings import Settings
from streams.topics import changelog_topic
from streams.window import Window, WindowConfig, encode_window, fold
from streams.worker_process import WorkerProcess, wait_until_ready

_TELL_SECONDS = 5.0
_READY_SECONDS = 900.0
_STEP_MS = 3_600_000
_SPREAD = 7_919


class LargeStateFigures(msgspec.Struct):
    """What the run measured; the JSON object of `--json`."""

    users: int
    events: int
    """In each window."""
    partitions: int
    store: str
    written_seconds: float
    """To fold all windows and write them to the changelog, in `writers` processes."""
    writers: int
    window_bytes: float
    """Of an encoded window, on average."""
    changelog_bytes: int
    """Keys and encoded windows."""
    disk_bytes: int
    """Under the worker's state directory when it is ready; 0 in memory."""
    rss_bytes: int
    """Most memory of the worker until it is ready."""
    records: int
    seconds: float
    """From the assignment of the partitions to the last record applied."""
    records_per_second: float
    ready_seconds: float
    """From the start of the process to /readyz."""


class LargeState(msgspec.Struct, frozen=True):
    """What to write and read. Without `bootstrap` the run starts a Kafka of its own."""

    users: int = 1_000_000
    events: int = 100
    items: int = 100_000
    partitions: int = 4
    store: str = "rocksdb"
    writers: int = 2
    bootstrap: str | None = None


def window_of(user: int, plan: LargeState, newest_ms: int) -> Window:
    """A user's window, folded click by click; the same for the same arguments.

    The clicks are `_STEP_MS` apart or closer, so that all are younger than a window's bound.
    """
    config = WindowConfig(max_events=max(plan.events, 1), max_event_ids=200)
    step_ms = min(_STEP_MS, config.max_age_ms // (2 * plan.events))
    window: Window | None = None
    for number in range(plan.events):
        item = (user * _SPREAD + number * number * 31) % plan.items
        at_ms = newest_ms - (plan.events - number) * step_ms
        click = Click(
            f"user{user:07d}", f"item{item:05d}", "click", at_ms, f"e{user:07d}-{number:03d}"
        )
        window, _, _ = fold(window, click, 0, user * plan.events + number, at_ms, config)
    return window if window is not None else Window()


def changes(plan: LargeState, writer: int, newest_ms: int) -> Iterator[tuple[bytes, bytes]]:
    """Key and blob of every `writers`-th user."""
    for user in range(writer, plan.users, plan.writers):
        yield f"user{user:07d}".encode(), encode_window(window_of(user, plan, newest_ms))


def run(plan: LargeState, tell: Callable[[str], None] = lambda _: None) -> LargeStateFigures:
    """Write, recover, measure; `tell` is given lines of progress.

    Raises RuntimeError when the worker dies or is not ready in time.
    """
    port = free_port()
    with ExitStack() as stack:
        place = stack.enter_context(
            ground(
                plan.bootstrap,
                partitions=plan.partitions,
                store=plan.store,
                encoder=False,
                metrics_port=port,
            )
        )
        settings = place.settings
        topic = changelog_topic(settings, "windows")
        started = time.monotonic()
        with Progress(settings, topic) as progress:
            total = _write_all(
                plan,
                settings.bootstrap,
                topic,
                time.time_ns() // 1_000_000,
                lambda: tell(
                    _line("written", progress.end(), plan.users, time.monotonic() - started)
                ),
            )
            written = time.monotonic() - started
            if progress.end() != plan.users:
                raise RuntimeError(
                    f"the changelog has {progress.end()} records of {plan.users}: is another"
                    " process writing to this Kafka's bench topics?"
                )
        log = place.directory / "worker.log"
        started = time.monotonic()
        worker = stack.enter_context(WorkerProcess(place.flags, log))
        wait_until_ready(worker, port, _READY_SECONDS, _Recovering(worker, tell))
        ready = time.monotonic() - started
        count, seconds = RECOVERED.findall(log.read_text())[-1]
        return LargeStateFigures(
            users=plan.users,
            events=plan.events,
            partitions=plan.partitions,
            store=plan.store,
            written_seconds=round(written, 1),
            writers=plan.writers,
            window_bytes=round(total / plan.users, 1),
            changelog_bytes=total + plan.users * len("user0000000"),
            disk_bytes=sum(
                file.stat().st_size for file in settings.state_dir.rglob("*") if file.is_file()
            ),
            rss_bytes=worker.peak_rss_bytes(),
            records=int(count),
            seconds=float(seconds),
            records_per_second=round(int(count) / max(float(seconds), 1e-3), 1),
            ready_seconds=round(ready, 2),
        )


def _write_all(
    plan: LargeState, bootstrap: str, topic: str, newest_ms: int, tell: Callable[[], None]
) -> int:
    """Every writer in a process of its own; returns the bytes of all windows."""
    jobs = [(plan, writer, bootstrap, topic, newest_ms) for writer in range(plan.writers)]
    if plan.writers == 1:
        return _write(*jobs[0])
    with multiprocessing.get_context("spawn").Pool(plan.writers) as pool:
        written = pool.starmap_async(_write, jobs)
        while not written.ready():
            written.wait(_TELL_SECONDS)
            tell()
        return sum(written.get())


def _line(what: str, users: int, of_users: int, seconds: float) -> str:
    """Progress for people, with the time that is left at this pace."""
    left = (of_users - users) * seconds / users if users else 0.0
    return f"{what}: {users} of {of_users} users in {seconds:.0f} s, about {left:.0f} s left"


def _write(plan: LargeState, writer: int, bootstrap: str, topic: str, newest_ms: int) -> int:
    sender = KafkaSender(Settings(bootstrap=bootstrap), topic)
    total = 0
    for key, blob in changes(plan, writer, newest_ms):
        total += len(blob)
        sender.send(key, blob)
    sender.finish()
    return total


class _Recovering:
    """Tells of a recovery now and then."""

    def __init__(self, worker: WorkerProcess, tell: Callable[[str], None]) -> None:
        self._worker = worker
        self._tell = tell
        self._next_seconds = _TELL_SECONDS

    def __call__(self, seconds: float) -> None:
        if seconds >= self._next_seconds:
            self._next_seconds += _TELL_SECONDS
            memory = self._worker.rss_bytes() / 1e6
            self._tell(f"the worker recovers for {seconds:.0f} s: {memory:.0f} MB")
