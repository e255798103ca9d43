"""On real Kafka: clicks under no key or a foreign one reach their user's partition, once."""

import asyncio
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from streams.bench.oracle import latest, read_topic
from streams.bench.progress import Progress
from streams.settings import Settings
from streams.topics import changelog_topic, make_topics
from streams.window import decode_window
from streams.window_state import Window
from streams.worker_process import WorkerProcess
from tests.integration.running import (
    Outgoing,
    click,
    figures,
    flags_for,
    running,
    send,
    wait_for_all,
    wait_ready,
    wait_until,
)

pytestmark = pytest.mark.kafka


def windows_of(settings: Settings) -> dict[str, Window]:
    """Every user's window as the changelog has it; a user in two partitions fails."""
    changelog = read_topic(settings, changelog_topic(settings, "windows"))
    homes = Counter(key for part in changelog for key in {record.key for record in part})
    assert max(homes.values(), default=1) == 1, homes.most_common(3)
    return {key.decode(): decode_window(blob) for key, blob in latest(changelog).items()}


def reached(progress: Progress, count: int) -> bool:
    return progress.end() >= count


def items_of(window: Window) -> Counter[str]:
    return Counter(window.items)


def test_clicks_without_their_users_key_join_the_others_and_make_a_list(
    kafka: str, tmp_path: Path
) -> None:
    flags = flags_for(kafka, tmp_path)
    settings = Settings(**flags)
    users = [f"user{number}" for number in range(40)]
    records = []
    for user in users:
        trace = trace_for(user)
        records += [
            Outgoing(user.encode(), click(user, "a"), (trace,)),
            Outgoing(None, click(user, "b"), (trace,)),
            Outgoing(b"a session", click(user, "c", event_id=f"event of {user}"), (trace,)),
            Outgoing(b"\xff", click(user, "d"), (("ce_id", f"cloud {user}".encode()), trace)),
            Outgoing(b"", click(user, "e"), (("trace", None), ("trace", b"t"), trace)),
        ]
    with running(flags, tmp_path / "worker.log") as worker:
        send(settings, records)
        wait_for_all(settings, worker)
        metrics = figures(flags)
    assert metrics["freshrec_rekeyed_total"] == 4 * len(users)
    assert metrics["freshrec_events_total{click}"] == 5 * len(users)
    assert metrics["freshrec_duplicates_total"] == 0
    windows = windows_of(settings)
    assert {user: items_of(window) for user, window in windows.items()} == {
        user: Counter("abcde") for user in users
    }
    lists = read_topic(settings, settings.recommendations)
    assert {key.decode() for key in latest(lists)} == set(users)
    for record in (record for part in lists for record in part):
        assert record.key is not None
        assert trace_for(record.key.decode()) in record.headers


def trace_for(user: str) -> tuple[str, bytes]:
    return "traceparent", b"00-%032x-00f067aa0ba902b7-01" % (int(user.removeprefix("user")) + 1)


def test_a_kill_while_clicks_are_forwarded_doubles_none(kafka: str, tmp_path: Path) -> None:
    flags = flags_for(kafka, tmp_path, lists=False)
    settings = Settings(**flags)
    assert asyncio.run(make_topics(settings))
    users, each = 300, 40
    records = []
    for number in range(users * each):
        user = f"user{number % users}"
        event_id = {"event_id": f"e{number}"} if number % 3 else {}
        key = (None, b"session", f"s{number}".encode())[number % 7 % 3]
        records.append(Outgoing(key, click(user, f"item{number}", **event_id)))
    send(settings, records)
    with (
        WorkerProcess(flags, tmp_path / "worker.log") as worker,
        Progress(settings, settings.rekeyed_topic) as forwarded,
    ):
        for share in (0.3, 0.7):
            count = int(len(records) * share)
            wait_until(partial(reached, forwarded, count), f"{count} are forwarded", worker)
            worker.kill()
            worker.start()
        wait_ready(flags, worker)
        wait_for_all(settings, worker)
        sent = forwarded.end()
        assert worker.stop() == 0, worker.log_tail()
    assert sent > len(records), (
        "no kill hit a click between forward and commit: this proves nothing"
    )
    windows = windows_of(settings)
    assert len(windows) == users
    for user, window in windows.items():
        wanted = Counter(f"item{number}" for number in range(int(user[4:]), len(records), users))
        assert items_of(window) == wanted, user
