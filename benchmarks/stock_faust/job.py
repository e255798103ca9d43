"""The stock-Faust job as the fault harness runs it, and what it should have counted."""

import json
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks.stock_faust import NAME
from streams.bench.faults.crew import Member
from streams.bench.faults.job import Outcome, shortfalls
from streams.bench.faults.schedule import SESSION_SECONDS
from streams.bench.oracle import StoredRecord, latest, read_topic
from streams.bench.progress import Progress
from streams.events import Reject, decode_click
from streams.settings import Settings
from streams.worker_process import WorkerProcess

_CODE = "from benchmarks.stock_faust.app import main; main()"
_STALLED_SECONDS = 30.0
_WINDOW_EVENTS = 200
_PREDECESSORS = 5


class Expected(NamedTuple):
    """What the clicks topic comes to."""

    windows: dict[str, list[list[str]]]
    transitions: Counter[tuple[str, str]]
    popularity: Counter[str]
    newest: dict[str, int]
    dead_letters: set[str]


class StockFaustJob:
    """A `Job` of the fault harness."""

    def __init__(self, bootstrap: str, store: str) -> None:
        """`bootstrap`: a way to the brokers without faults."""
        self._flags: dict[str, Any] = {
            "topic_prefix": "stock-",
            "group": NAME,
            "partitions": 4,
            "replication_factor": 3,
            "store": store,
            "session_timeout_seconds": SESSION_SECONDS,
            "heartbeat_seconds": 1.0,
        }
        self._settings = Settings(bootstrap=bootstrap, **self._flags)
        self._directories: dict[int, Path] = {}
        self._progress: list[Progress] = []
        self._seen = (-1, 0.0)
        self.group = NAME
        self.clicks_topic = self._settings.clicks
        self.partitions = 4

    @property
    def topics(self) -> dict[str, str]:
        """What a worker writes to; there is no table of lists, so popularity stands for it."""
        return {
            "windows": f"{NAME}-windows-changelog",
            "graph": f"{NAME}-graph-changelog",
            "lists": f"{NAME}-popularity-changelog",
            "transitions": self._settings.transitions_topic,
            "recommendations": self._settings.recommendations,
            "dead letters": self._settings.dead_letter_topic,
        }

    def prepare(self) -> None:
        """Create all topics, the changelogs compacted."""
        admin = AdminClient({"bootstrap.servers": self._settings.bootstrap})
        compact = {"cleanup.policy": "compact"}
        new = [NewTopic(self.clicks_topic, 4, 3)] + [
            NewTopic(topic, 4, 3, config=compact if topic.endswith("changelog") else {})
            for topic in self.topics.values()
        ]
        for future in admin.create_topics(new).values():
            future.result(30)

    def member(self, number: int, bootstrap: str, directory: Path) -> Member:
        """A worker with a directory of its own."""
        state_dir = directory / f"stock-{number}"
        log = directory / f"stock-{number}.log"
        self._directories[number] = state_dir
        flags = {**self._flags, "bootstrap": bootstrap, "state_dir": state_dir}
        return Member(WorkerProcess(flags, log, code=_CODE), log, state_dir)

    def is_ready(self, number: int) -> bool:
        """Whether it has said so."""
        return (self._directories[number] / "ready").exists()

    def is_caught_up(self) -> bool:
        """Whether all is committed, or commits have stood still for long."""
        if not self._progress:
            topics = (self.clicks_topic, self._settings.transitions_topic)
            self._progress = [Progress(self._settings, topic) for topic in topics]
        committed = sum(progress.committed() for progress in self._progress)
        if committed >= sum(progress.end() for progress in self._progress):
            return True
        before, since = self._seen
        if committed != before:
            self._seen = (committed, time.monotonic())
            return False
        return time.monotonic() - since > _STALLED_SECONDS

    def outcome(self) -> Outcome:
        """Compare tables, lists and dead letters with a replay of the clicks."""
        for progress in self._progress:
            progress.close()
        settings = self._settings
        clicks = read_topic(settings, self.clicks_topic)
        expected = replay(settings, clicks)
        windows = self._table("windows")
        graph = self._table("graph")
        popularity = self._table("popularity")
        counted = Counter(
            {(item, to): n for item, edges in graph.items() for to, n in edges.items()}
        )
        lost = double = 0
        for user, events in expected.windows.items():
            missing, surplus = shortfalls(map(tuple, events), map(tuple, windows.get(user, [])))
            lost, double = lost + missing, double + surplus
        for wanted, found in (
            (expected.transitions.elements(), counted.elements()),
            (expected.popularity.elements(), Counter(popularity).elements()),
        ):
            missing, surplus = shortfalls(wanted, found)
            lost, double = lost + missing, double + surplus
        lists = latest(read_topic(settings, settings.recommendations))
        missing_lists = 0
        for user, offset in expected.newest.items():
            body = lists.get(json.dumps(user).encode()) or lists.get(user.encode())
            missing_lists += body is None or json.loads(body)["offset"] < offset
        letters = [
            dict(record.headers)["source"].decode()
            for part in read_topic(settings, settings.dead_letter_topic)
            for record in part
        ]
        return Outcome(
            clicks=sum(map(len, clicks)),
            users=len(expected.windows),
            items=len(expected.popularity),
            lost=lost,
            double=double,
            state_equal=(windows, counted, Counter(popularity))
            == (expected.windows, expected.transitions, expected.popularity),
            missing_lists=missing_lists,
            dead_letters_expected=len(expected.dead_letters),
            dead_letters=len(letters),
            dead_letters_equal=sorted(letters) == sorted(expected.dead_letters),
        )

    def _table(self, name: str) -> dict[str, Any]:
        rows = latest(read_topic(self._settings, f"{NAME}-{name}-changelog"))
        return {json.loads(key): json.loads(value) for key, value in rows.items()}


def replay(settings: Settings, clicks: list[list[StoredRecord]]) -> Expected:
    """What the app counts when nothing goes wrong."""
    limits = settings.click_limits()
    positive = settings.event_type_registry().positive_names
    windows: dict[str, list[list[str]]] = defaultdict(list)
    expected = Expected(windows, Counter(), Counter(), {}, set())
    for partition, records in enumerate(clicks):
        for record in records:
            click = None
            if record.value is not None:
                click = decode_click(record.value, [], record.timestamp, limits)
            if click is None or isinstance(click, Reject):
                expected.dead_letters.add(f"{partition}/{record.offset}")
                continue
            if click.event_type not in positive:
                continue
            window = windows[click.user_id]
            if any(event_id == click.event_id for _, event_id in window):
                continue
            for item, _ in window[-_PREDECESSORS:]:
                expected.transitions[item, click.item_id] += 1
            expected.popularity[click.item_id] += 1
            window.append([click.item_id, click.event_id or ""])
            windows[click.user_id] = window[-_WINDOW_EVENTS:]
            expected.newest[click.user_id] = record.offset
    return expected
