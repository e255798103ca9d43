"""On real Kafka: with a pseudonym key, no user id leaves the clicks topic."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from streams.bench.oracle import latest, read_topic
from streams.pseudonym import Pseudonyms
from streams.settings import Settings
from streams.topics import plan
from streams.worker_process import WorkerProcess
from tests.integration.running import (
    Outgoing,
    click,
    environment,
    figures,
    flags_for,
    get,
    running,
    send,
    wait_for_all,
    wait_until,
)

pytestmark = pytest.mark.kafka

KEY = "0123456789abcdef" * 4
USERS = [f"zebediah-{number}" for number in range(6)]


def _tool(flags: dict[str, Any], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from streams.cli import main; main()", *arguments],
        env=environment(flags), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_user_id_stands_in_state_topics_or_logs(kafka: str, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(KEY)
    flags = flags_for(kafka, tmp_path, pseudonym_key_file=key, encoder=None)
    settings = Settings(**flags)
    log = tmp_path / "worker.log"
    with running(flags, log) as worker:
        sent = [
            Outgoing(u.encode(), click(u, f"quilt-{n}", event_id=f"{u}/{n}"))
            for n in range(4) for u in USERS
        ]  # fmt: skip
        # Bad ones, such that name a user in each part, and under foreign keys.
        sent += [
            Outgoing(USERS[0].encode(), b'{"user_id": "zebediah-0"}', [("u", b"zebediah-0")]),
            Outgoing(b"zebediah-1", b"\xffzebediah-1"),
            Outgoing(b"k", click(USERS[2], "quilt-9", properties={"u": USERS[2]})),
            Outgoing(None, click(USERS[3], "quilt-9")),
        ]
        send(settings, sent)
        send(settings, [Outgoing(b"x", b'{"title": 7, "of": "quilt-1"}')], settings.items)
        wait_for_all(settings, worker)
        assert figures(flags)["freshrec_rekeyed_total"] == 2
        for user in USERS:
            wait_until(lambda u=user: get(flags, f"/recommendations/{u}")[0] == 200, "a list")  # type: ignore[misc]
        status, ego = get(flags, f"/graph/ego/{USERS[2]}")
        assert (status, len(json.loads(ego)["window"])) == (200, 5)
        assert b"zebediah" not in ego
        of_one = _tool(
            flags, "tail", "--user", USERS[1], "--from-beginning", "--max", "1", "--json"
        )
        assert json.loads(of_one)["user_id"] == Pseudonyms(KEY).of(USERS[1])
        assert json.loads(_tool(flags, "erase", USERS[1], "--json"))["user_id"] == USERS[1]
        assert get(flags, f"/recommendations/{USERS[1]}")[0] == 404

        for topic in plan(settings):
            if topic.name in (settings.clicks, settings.items):
                continue
            for record in (r for part in read_topic(settings, topic.name) for r in part):
                parts = [record.key, record.value, str(record.headers).encode()]
                assert not any(b"zebediah" in (part or b"") for part in parts), topic.name
        published = latest(read_topic(settings, settings.recommendations))
        assert {k.decode() for k in published} == {
            Pseudonyms(KEY).of(user) for user in USERS if user != USERS[1]
        }
        assert worker.stop() == 0
    text = log.read_text()
    assert "zebediah" not in text
    assert "quilt" not in text
    assert KEY not in text
    for path in (tmp_path / "state").rglob("*"):
        if path.is_file():
            assert b"zebediah" not in path.read_bytes(), path


def test_state_under_another_key_is_refused(kafka: str, tmp_path: Path) -> None:
    flags = flags_for(kafka, tmp_path, pseudonym_key=KEY)
    settings = Settings(**flags)
    with running(flags, tmp_path / "first.log") as worker:
        send(settings, [Outgoing(u.encode(), click(u, "i1")) for u in USERS])
        wait_for_all(settings, worker)
        assert worker.stop() == 0
    log = tmp_path / "second.log"
    with WorkerProcess(flags | {"pseudonym_key": KEY[::-1]}, log) as worker:
        wait_until(lambda: not worker.alive(), "the worker has ended")
        assert worker.stop() == 1
    assert "holds users under another pseudonym key" in log.read_text()


def test_at_the_default_level_logs_name_no_user_and_no_item_without_a_key_too(
    kafka: str, tmp_path: Path
) -> None:
    flags = flags_for(kafka, tmp_path, encoder=None)
    settings = Settings(**flags)
    log = tmp_path / "worker.log"
    with running(flags, log) as worker:
        send(settings, [Outgoing(u.encode(), click(u, "quilt-1")) for u in USERS])
        send(
            settings,
            [
                Outgoing(b"zebediah-0", b'{"user_id": "zebediah-0", "item_id": "quilt-2"}'),
                Outgoing(b"zebediah-0", click("zebediah-0", "quilt-3", timestamp="quilt")),
                Outgoing(b"zebediah-0", click("zebediah-0", "quilt-3", event_type="quilt")),
                Outgoing(b"zebediah-1", None),
            ],
        )
        send(
            settings,
            [
                Outgoing(b"quilt-1", b'{"item_id": "quilt-1", "title": "quilt"}'),
                Outgoing(b"quilt-2", b'{"item_id": "quilt-2", "title": 7}'),
                Outgoing(b"quilt-3", b'{"item_id": "quilt-3", "timestamp": "quilt"}'),
            ],
            settings.items,
        )
        wait_for_all(settings, worker)
        get(flags, "/recommendations/zebediah-0")
        get(flags, "/graph/item/quilt-1")
        wait_until(lambda: "item record" in log.read_text(), "the bad item is told of")
        worker.kill()
        worker.start()
        wait_until(lambda: get(flags, "/readyz")[0] == 200, "it is back", worker)
        assert worker.stop() == 0
    assert "zebediah" not in log.read_text()
    assert "quilt" not in log.read_text()
