"""Worker job: freshrec's own worker as the job of a fault run."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from streams.bench.faults.crew import Member
from streams.bench.faults.job import Outcome, shortfalls
from streams.bench.faults.schedule import EXTRA, SESSION_SECONDS
from streams.bench.oracle import Findings, compare, gather
from streams.bench.progress import Progress
from streams.graph import decode_item_state
from streams.ports import free_port
from streams.settings import Settings
from streams.topics import changelog_topic, make_topics
from streams.window import decode_window
from streams.worker_process import WorkerProcess, is_ready

log = logging.getLogger(__name__)

_ANSWER_SECONDS = 2.0
_MOST_TOLD = 20


class WorkerJob:
    """`freshrec worker`, with graph lists and without an encoder."""

    def __init__(self, bootstrap: str, store: str, *, replication_factor: int = 3) -> None:
        """`bootstrap`: a way to the brokers without faults."""
        self._flags: dict[str, Any] = {
            "topic_prefix": "faults-",
            "group": "faults",
            "partitions": 4,
            "replication_factor": replication_factor,
            "store": store,
            "encoder": False,
            "session_timeout_seconds": SESSION_SECONDS,
            "heartbeat_seconds": 1.0,
        }
        self._settings = Settings(bootstrap=bootstrap, **self._flags)
        self._ports: dict[int, int] = {}
        self._progress: list[Progress] = []
        self.group = self._settings.group
        self.clicks_topic = self._settings.clicks
        self.partitions = self._settings.partitions

    @property
    def settings(self) -> Settings:
        """Of a client without faults."""
        return self._settings

    @property
    def topics(self) -> Mapping[str, str]:
        """What a worker writes to."""
        settings = self._settings
        return {
            "windows": changelog_topic(settings, "windows"),
            "graph": changelog_topic(settings, "graph"),
            "lists": changelog_topic(settings, "lists"),
            "transitions": settings.transitions_topic,
            "recommendations": settings.recommendations,
            "dead letters": settings.dead_letter_topic,
        }

    def prepare(self) -> None:
        """Create the topics, as a worker would."""
        asyncio.run(make_topics(self._settings))

    def member(self, number: int, bootstrap: str, directory: Path) -> Member:
        """A worker; the one that joins and leaves has no name that survives it."""
        state_dir = directory / f"state-{number}"
        log = directory / f"worker-{number}.log"
        self._ports[number] = free_port()
        flags = {
            **self._flags,
            "bootstrap": bootstrap,
            "state_dir": state_dir,
            "metrics_port": self._ports[number],
        }
        if number != EXTRA:
            flags["instance_id"] = f"worker-{number}"
        return Member(WorkerProcess(flags, log), log, state_dir)

    def port(self, number: int) -> int:
        """Where a worker answers."""
        return self._ports[number]

    def is_ready(self, number: int) -> bool:
        """Whether /readyz says so."""
        return is_ready(self._ports[number], _ANSWER_SECONDS)

    def is_caught_up(self) -> bool:
        """Whether every click and every transition is committed."""
        if not self._progress:
            settings = self._settings
            topics = (settings.clicks, settings.rekeyed_topic, settings.transitions_topic)
            self._progress = [Progress(settings, topic) for topic in topics]
        return all(progress.committed() >= progress.end() for progress in self._progress)

    def outcome(self) -> Outcome:
        """The oracle's verdict, and the differences in numbers."""
        for progress in self._progress:
            progress.close()
        findings = gather(self._settings, self.partitions)
        verdict = compare(findings, lists=self._settings.lists)
        lost, double = miscounts(findings)
        for repeated in verdict.dead_letters_repeated[:_MOST_TOLD]:
            log.warning("a dead letter twice, of clicks %s", repeated)
        return Outcome(
            clicks=verdict.clicks,
            users=verdict.users,
            items=verdict.items,
            lost=lost,
            double=double,
            state_equal=not (verdict.windows_differ or verdict.items_differ),
            missing_lists=len(verdict.missing_lists),
            dead_letters_expected=verdict.dead_letters_expected,
            dead_letters=verdict.dead_letters,
            dead_letters_equal=not verdict.dead_letters_differ,
        )


def miscounts(findings: Findings) -> tuple[int, int]:
    """Effects lost and doubled, over windows and graph; only where the bytes differ."""
    lost = double = 0
    for wanted, found, effects in (
        (findings.windows_wanted, findings.windows, _window_effects),
        (findings.items_wanted, findings.items, _item_effects),
    ):
        for key in wanted.keys() | found.keys():
            if wanted.get(key) != found.get(key):
                missing, surplus = shortfalls(effects(wanted.get(key)), effects(found.get(key)))
                lost += missing
                double += surplus
    return lost, double


def _window_effects(blob: bytes | None) -> Iterator[object]:
    if blob is not None:
        window = decode_window(blob)
        yield from zip(window.items, window.offsets(), strict=True)


def _item_effects(blob: bytes | None) -> Iterator[object]:
    """An entry for every count."""
    if blob is None:
        return
    state = decode_item_state(blob)
    yield from ["popularity"] * state.popularity.count
    for event_type, edges in state.edges.items():
        for destination, edge in edges.items():
            yield from [(event_type, destination)] * edge.count
