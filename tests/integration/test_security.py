"""On real Kafka: TLS, SASL and access control lists, from the first click to its list."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from streams.access import Right, rights
from streams.access_faults import NotAdmittedError, NotPermittedError
from streams.connection import ensure_admitted
from streams.permissions import ensure_permitted, missing_rights
from streams.right_checks import right_findings, unreadable
from streams.settings import Settings
from streams.topics import make_topics
from streams.worker_process import WorkerProcess
from tests.integration.running import (
    Outgoing,
    click,
    environment,
    flags_for,
    get,
    send,
    wait_ready,
    wait_until,
)
from tests.integration.secured import SecuredKafka, secured_kafka

pytestmark = pytest.mark.kafka

PASSWORD = "correct-horse-battery"


@pytest.fixture(scope="module")
def kafka(
    kafka_installed: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecuredKafka]:
    with secured_kafka(tmp_path_factory.mktemp("secured")) as secured:
        for user in ("worker", "publisher", "subscriber", "eraser", "trainer", "nobody"):
            secured.scram_user(user, PASSWORD)
        yield secured


def _as(kafka: SecuredKafka, user: str, **more: Any) -> dict[str, Any]:
    """Settings of a client that comes in with SCRAM over TLS."""
    return {
        "bootstrap": kafka.bootstrap,
        "security_protocol": "sasl_ssl",
        "sasl_mechanism": "scram-sha-512",
        "sasl_username": user,
        "sasl_password": PASSWORD,
        "ssl_ca_file": kafka.authority.certificate,
        "broker_deadline_seconds": 20.0,
        **more,
    }


def _by_certificate(kafka: SecuredKafka, user: str) -> dict[str, Any]:
    certificate, key = kafka.authority.issue(user)
    return {
        "bootstrap": kafka.certificate_bootstrap,
        "security_protocol": "ssl",
        "ssl_ca_file": kafka.authority.certificate,
        "ssl_certificate_file": certificate,
        "ssl_key_file": key,
    }


async def _topics_of(kafka: SecuredKafka, flags: dict[str, Any]) -> None:
    """Made by the operator, as least rights demand."""
    names = ("topic_prefix", "partitions")
    inner = {name: flags[name] for name in names}
    assert await make_topics(Settings(bootstrap=kafka.cluster.bootstrap, **inner)) > 0


def _command(flags: dict[str, Any], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from streams.cli import main; main()", *arguments],
        env=environment(flags),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


async def test_least_rights_are_enough_for_a_worker_and_for_everyone_around_it(
    kafka: SecuredKafka, tmp_path: Path
) -> None:
    flags = flags_for(kafka.bootstrap, tmp_path, **_as(kafka, "worker"))
    await _topics_of(kafka, flags)
    settings = Settings(**flags)
    tools = {name: flags[name] for name in ("topic_prefix", "group")}
    for role in ("worker", "publisher", "subscriber", "eraser", "trainer"):
        kafka.grant(role, rights(role, settings))
    with WorkerProcess(flags, tmp_path / "worker.log") as worker:
        wait_ready(flags, worker, 60)
        publisher = Settings(**_as(kafka, "publisher", **tools))
        records = [Outgoing(b"ann", click("ann", f"i{n}")) for n in range(5)]
        assert send(publisher, [*records, Outgoing(b"ann", b"no json")]) == 6
        wait_until(
            lambda: get(flags, "/recommendations/ann")[0] == 200, "ann has a list", worker, 60
        )
        listed = _command(
            _as(kafka, "subscriber", **tools), "tail", "--from-beginning", "--user", "ann",
            "--max", "1", "--timeout", "30", "--json",
        )  # fmt: skip
        assert listed.returncode == 0, listed.stderr
        assert json.loads(listed.stdout)["user_id"] == "ann"
        log = tmp_path / "log.csv"
        log.write_text("user_id,item_id,timestamp\nbob,i1,2026-01-31T12:00:00Z\n")
        replayed = _command(_as(kafka, "publisher", **tools), "replay", str(log), "--json")
        assert replayed.returncode == 0, replayed.stderr
        simulated = _command(
            _as(kafka, "publisher", **tools),
            *"simulate --clicks 20 --rate 1000 --json".split(),
        )
        assert simulated.returncode == 0, simulated.stderr
        erased = _command(_as(kafka, "eraser", **tools), "erase", "ann", "--json")
        assert erased.returncode == 0, erased.stderr
        assert get(flags, "/recommendations/ann")[0] == 404
        trained = _command(
            _as(kafka, "trainer", **tools), "train", "--from-kafka", "--check", "--json"
        )
        assert '"events"' in trained.stdout, trained.stderr
        checked = _command(flags, "check", "--json")
        levels = {f["check"]: f["level"] for f in json.loads(checked.stdout)["findings"]}
        assert (levels["brokers"], levels["rights"]) == ("ok", "ok")
        assert worker.stop() == 0
        for done in (listed, replayed, simulated, erased, trained, checked):
            assert PASSWORD not in done.stdout + done.stderr
        assert PASSWORD not in (tmp_path / "worker.log").read_text()


async def test_every_right_of_the_table_is_needed(kafka: SecuredKafka, tmp_path: Path) -> None:
    kafka.scram_user("least", PASSWORD)
    flags = flags_for(kafka.bootstrap, tmp_path, **_as(kafka, "least"))
    await _topics_of(kafka, flags)
    settings = Settings(**flags)
    table = rights("worker", settings)
    assert {(r.resource, r.name) for r in missing_rights(settings, "worker")} == {
        (r.resource, r.name) for r in table
    }
    names = [right.name for right in table if right.resource == "topic"]
    found = list(right_findings(settings, "worker", frozenset(names)))
    assert {finding.level for finding in found} == {"fault"}
    assert len(found) == len(table)
    assert all("--allow-principal User:least" in finding.advice for finding in found)
    assert unreadable(settings, [settings.clicks]) == {settings.clicks}
    kafka.grant("least", [Right("topic", settings.clicks, ("describe",), "")])
    assert unreadable(settings, [settings.clicks]) == {settings.clicks}
    kafka.grant("least", table)
    wait_until(lambda: not missing_rights(settings, "worker"), "the rights are known")
    assert unreadable(settings, [settings.clicks]) == set()
    for right in (table[0], table[-1]):
        kafka.revoke("least", Right(right.resource, right.name, right.operations[:1], ""))
        wait_until(lambda: missing_rights(settings, "worker"), "the right is gone")
        with pytest.raises(NotPermittedError) as caught:
            ensure_permitted(settings, "worker")
        words = str(caught.value)
        assert f"{right.operations[0].upper()} on the {right.resource} {right.name}" in words
        assert "the user least may not" in words
        kafka.grant("least", [right])
        wait_until(lambda: not missing_rights(settings, "worker"), "the right is back")


WAYS_IN = ["scram-sha-256", "scram-sha-512", "plain", "token file", "certificate"]


@pytest.mark.parametrize("way", WAYS_IN)
async def test_a_worker_serves_lists_by_every_way_in(
    kafka: SecuredKafka, tmp_path: Path, way: str
) -> None:
    if way == "token file":
        token = tmp_path / "token"
        token.write_text(kafka.tokens.token("by-token", 600) + "\n")
        user = "by-token"
        credentials = _as(
            kafka, "", sasl_mechanism="oauthbearer", sasl_token_file=token,
            sasl_username=None, sasl_password=None,
        )  # fmt: skip
    elif way == "certificate":
        user = "by-certificate"
        credentials = _by_certificate(kafka, user)
    elif way == "plain":
        user, secret = "plain-worker", tmp_path / "password"
        secret.write_text("plain-secret\n")
        credentials = _as(
            kafka, user, sasl_mechanism=way, sasl_password_file=secret, sasl_password=None
        )
    else:
        user = "worker"
        credentials = _as(kafka, user, sasl_mechanism=way)
    flags = flags_for(kafka.bootstrap, tmp_path, **credentials)
    await _topics_of(kafka, flags)
    settings = Settings(**flags)
    kafka.grant(user, [*rights("worker", settings), *rights("publisher", settings)])
    with WorkerProcess(flags, tmp_path / "worker.log") as worker:
        wait_ready(flags, worker, 60)
        send(settings, [Outgoing(b"ann", click("ann", "i1"))])
        wait_until(
            lambda: get(flags, "/recommendations/ann")[0] == 200, "ann has a list", worker, 60
        )
        assert worker.stop() == 0


@contextmanager
def _renewing(path: Path, make: Callable[[], str]) -> Iterator[None]:
    """Put a new token into a file every second, as whoever issues them would."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(1.0):
            path.with_suffix(".new").write_text(make())
            path.with_suffix(".new").replace(path)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


async def test_a_worker_outlives_its_token_when_the_file_is_renewed(
    kafka: SecuredKafka, tmp_path: Path
) -> None:
    """The brokers end every connection with its token; the next one takes what the file says."""
    token, user, seconds = tmp_path / "token", "renewed", 8.0
    token.write_text(kafka.tokens.token(user, seconds))
    flags = flags_for(
        kafka.bootstrap, tmp_path,
        **_as(
            kafka, "", sasl_mechanism="oauthbearer", sasl_token_file=token,
            sasl_username=None, sasl_password=None,
        ),
    )  # fmt: skip
    await _topics_of(kafka, flags)
    settings = Settings(**flags)
    kafka.grant(user, rights("worker", settings))
    inner = Settings(bootstrap=kafka.cluster.bootstrap, topic_prefix=flags["topic_prefix"])
    with (
        _renewing(token, lambda: kafka.tokens.token(user, seconds)),
        WorkerProcess(flags, tmp_path / "worker.log") as worker,
    ):
        wait_ready(flags, worker, 60)
        end = time.monotonic() + 3 * seconds
        number = 0
        while time.monotonic() < end:
            number += 1
            key = f"u{number}"
            send(inner, [Outgoing(key.encode(), click(key, "i1"))])
            wait_until(
                lambda key=key: get(flags, f"/recommendations/{key}")[0] == 200,  # type: ignore[misc]
                f"{key} has a list", worker, 30,
            )  # fmt: skip
            await asyncio.sleep(1.0)  # clicks keep coming while tokens end
        assert worker.stop() == 0


FAULTS = {
    "wrong password": ({"sasl_password": "wr0ng-secret"}, "refuses the user worker"),
    "unknown authority": ({"ssl_ca_file": None}, "shows a certificate that is not trusted here"),
    "no such mechanism": (
        {"sasl_mechanism": "oauthbearer", "sasl_token": "n0-token", "sasl_password": None},
        "refuses the token",
    ),
    "missing right": ({"sasl_username": "nobody"}, "the user nobody may not READ"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_keeps_a_worker_out_is_said_once_and_at_once(
    kafka: SecuredKafka, tmp_path: Path, fault: str
) -> None:
    changes, words = FAULTS[fault]
    credentials = {k: v for k, v in (_as(kafka, "worker") | changes).items() if v is not None}
    flags = flags_for(kafka.bootstrap, tmp_path, **credentials)
    await _topics_of(kafka, flags)
    started = time.monotonic()
    done = _command(flags, "worker")
    assert done.returncode == 1
    assert time.monotonic() - started < credentials["broker_deadline_seconds"]
    lines = [line for line in done.stderr.splitlines() if line]
    (said,) = [line for line in lines if words in line]
    assert lines[-1] == said, done.stderr
    assert "Traceback" not in done.stderr
    for secret in (PASSWORD, "wr0ng-secret", "n0-token"):
        assert secret not in done.stderr + done.stdout


@pytest.mark.parametrize("command", ["tail --max 1", "erase ann", "simulate --clicks 1", "check"])
def test_tools_say_what_keeps_them_out(kafka: SecuredKafka, command: str) -> None:
    wrong = _as(kafka, "worker", sasl_password="wr0ng-secret", log_level="debug")
    done = _command(wrong, *command.split())
    assert done.returncode == 1
    assert "refuses the user worker" in done.stderr + done.stdout
    assert "wr0ng-secret" not in done.stderr + done.stdout
    if command != "check":
        denied = _command(_as(kafka, "nobody"), *command.split())
        assert denied.returncode == 1
        assert "the user nobody may not" in denied.stderr


def test_a_certificate_is_asked_for_where_the_brokers_want_one(kafka: SecuredKafka) -> None:
    without = Settings(
        bootstrap=kafka.certificate_bootstrap, security_protocol="ssl",
        ssl_ca_file=kafka.authority.certificate,
    )  # fmt: skip
    with pytest.raises(NotAdmittedError, match="--ssl-certificate-file"):
        ensure_admitted(without)
    ensure_admitted(Settings(**_by_certificate(kafka, "somebody")))


async def test_a_right_that_is_taken_away_ends_the_worker_with_what_to_grant(
    kafka: SecuredKafka, tmp_path: Path
) -> None:
    kafka.scram_user("demoted", PASSWORD)
    flags = flags_for(kafka.bootstrap, tmp_path, **_as(kafka, "demoted"))
    await _topics_of(kafka, flags)
    settings = Settings(**flags)
    kafka.grant("demoted", rights("worker", settings))
    inner = Settings(bootstrap=kafka.cluster.bootstrap, topic_prefix=flags["topic_prefix"])
    log = tmp_path / "worker.log"
    with WorkerProcess(flags, log) as worker:
        wait_ready(flags, worker, 60)
        kafka.revoke("demoted", Right("topic", settings.recommendations, ("write",), ""))
        number = 0

        def ended() -> bool:
            nonlocal number
            number += 1
            send(inner, [Outgoing(b"ann", click("ann", f"i{number}"))])
            return not worker.alive()

        wait_until(ended, "the worker has ended", None, 60)
        assert worker.stop() == 1
    assert "grant what the table of a worker in docs/security.md says" in log.read_text()
