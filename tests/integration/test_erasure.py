"""On real Kafka: an erased user leaves nothing behind, and stays erased."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.bench.oracle import latest, read_topic
from streams.settings import Settings
from streams.topics import changelog_topic, make_topics
from streams.window import decode_window
from streams.worker_process import WorkerProcess
from tests.integration.running import (
    Outgoing,
    click,
    figures,
    flags_for,
    get,
    running,
    send,
    wait_for_all,
    wait_ready,
)

pytestmark = pytest.mark.kafka

USERS = [f"user{number}" for number in range(12)]
ERASED, BY_COMMAND, BETWEEN = USERS[0], USERS[1], USERS[2]


@pytest.fixture(scope="module")
def erased(
    kafka: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[dict[str, Any], Settings, WorkerProcess]]:
    """A worker that knew twelve users and was told to forget three, one of whom came back."""
    directory = tmp_path_factory.mktemp("erasure")
    flags = flags_for(kafka, directory)
    settings = Settings(**flags)
    with running(flags, directory / "worker.log") as worker:
        send(
            settings,
            [Outgoing(u.encode(), click(u, f"i{n}")) for n in range(5) for u in USERS],
        )
        wait_for_all(settings, worker)
        # In one batch: clicks, the erasure in the middle of them, and a click after it.
        send(
            settings,
            [
                *(Outgoing(ERASED.encode(), click(ERASED, f"late{n}")) for n in range(20)),
                *(Outgoing(BETWEEN.encode(), click(BETWEEN, f"late{n}")) for n in range(20)),
                Outgoing(ERASED.encode(), None),
                Outgoing(BETWEEN.encode(), None),
                Outgoing(BETWEEN.encode(), click(BETWEEN, "anew")),
            ],
        )
        wait_for_all(settings, worker)
        yield flags, settings, worker


def _current(settings: Settings, topic: str) -> dict[str, bytes]:
    return {key.decode(): value for key, value in latest(read_topic(settings, topic)).items()}


Erased = tuple[dict[str, Any], Settings, WorkerProcess]


def test_window_last_list_and_published_list_are_gone(erased: Erased) -> None:
    flags, settings, _ = erased
    others = set(USERS) - {ERASED}
    for topic in (
        changelog_topic(settings, "windows"),
        changelog_topic(settings, "lists"),
        settings.recommendations,
    ):
        assert set(_current(settings, topic)) >= others - {BY_COMMAND}, topic
        assert ERASED not in _current(settings, topic), topic
    assert get(flags, f"/recommendations/{ERASED}")[0] == 404
    assert get(flags, f"/graph/ego/{ERASED}")[0] == 404
    assert get(flags, f"/recommendations/{USERS[5]}")[0] == 200


def test_a_user_who_clicks_after_the_erasure_starts_anew(erased: Erased) -> None:
    _, settings, _ = erased
    window = decode_window(_current(settings, changelog_topic(settings, "windows"))[BETWEEN])
    assert (len(window), window.items) == (1, ["anew"])
    published = json.loads(_current(settings, settings.recommendations)[BETWEEN])
    assert published["window"]["events"] == 1


def test_every_erasure_has_a_receipt_that_names_its_request(erased: Erased) -> None:
    flags, settings, _ = erased
    receipts = [
        json.loads(record.value or b"")
        for part in read_topic(settings, settings.receipts_topic)
        for record in part
    ]
    requests = {
        ((record.key or b"").decode(), record.partition, record.offset)
        for part in read_topic(settings, settings.clicks)
        for record in part
        if record.value is None
    }
    told = {(r["user_id"], r["source_partition"], r["source_offset"]) for r in receipts}
    assert told == requests
    assert {r["source_topic"] for r in receipts} == {settings.clicks}
    assert figures(flags)["freshrec_erasures_total{erased}"] == len(requests)


def test_the_command_erases_and_the_user_stays_erased_after_a_restart(erased: Erased) -> None:
    flags, settings, worker = erased
    environment = {f"FRESHREC_{name.upper()}": str(value) for name, value in flags.items()}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from streams.cli import main; main()",
            "erase",
            BY_COMMAND,
            "--json",
        ],
        env={**os.environ, **environment},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["user_id"] == BY_COMMAND
    assert BY_COMMAND not in _current(settings, changelog_topic(settings, "windows"))
    for disk_is_lost in (False, True):
        worker.kill()
        if disk_is_lost:
            shutil.rmtree(flags["state_dir"])
        worker.start()
        wait_ready(flags, worker)
        for user in (ERASED, BY_COMMAND):
            assert get(flags, f"/graph/ego/{user}")[0] == 404
            assert user not in _current(settings, settings.recommendations)
        assert get(flags, f"/graph/ego/{USERS[5]}")[0] == 200


def test_an_erased_user_is_gone_too_when_all_clicks_are_read_again_by_new_state(
    erased: Erased, tmp_path: Path
) -> None:
    """Another group with state and derived topics of its own, from the first click on."""
    _, old, _ = erased
    flags = flags_for(old.bootstrap, tmp_path)
    settings = Settings(**flags)
    asyncio.run(make_topics(settings))
    for records in read_topic(old, old.clicks):
        send(settings, [Outgoing(record.key, record.value) for record in records])
    with running(flags, tmp_path / "worker.log") as worker:
        wait_for_all(settings, worker)
        windows = _current(settings, changelog_topic(settings, "windows"))
        published = _current(settings, settings.recommendations)
        for state in (windows, published):
            assert not {ERASED, BY_COMMAND} & set(state)
            assert USERS[5] in state
        assert decode_window(windows[BETWEEN]).items == ["anew"]
