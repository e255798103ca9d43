"""The examples for other teams, run as they stand on a real Kafka with a worker."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiokafka.partitioner import murmur2

from streams.bench.oracle import read_topic
from streams.broker_jars import find_java, kafka_jars
from streams.settings import Settings
from tests.conftest import missing, npm, program
from tests.integration.running import (
    PARTITIONS,
    Outgoing,
    click,
    flags_for,
    running,
    send,
    wait_until,
)

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

EXAMPLES = Path(__file__).parents[2] / "examples"
DEADLINE_SECONDS = 60.0


def python(name: str, _directory: Path) -> list[str]:
    return [sys.executable, str(EXAMPLES / "python" / name)]


def node(name: str, directory: Path) -> list[str]:
    """With the packages of the lock, installed beside a copy, as npm does it for a reader."""
    program("node", "nodejs")
    copy = directory / "node"
    shutil.copytree(EXAMPLES / "node", copy, ignore=shutil.ignore_patterns("node_modules"))
    npm("ci", "--prefer-offline", "--no-audit", "--no-fund", directory=copy)
    return ["node", str(copy / name)]


def java(name: str, _directory: Path) -> list[str]:
    """From its source, with the jars of the broker; a runtime without a compiler cannot."""
    runtime = find_java()
    if not runtime.resolve().with_name("javac").exists():
        missing("the Java of the broker has no compiler: install a JDK (default-jdk-headless)")
    path = os.pathsep.join(str(jar) for jar in kafka_jars())
    return [str(runtime), "-XX:TieredStopAtLevel=1", "-cp", path, str(EXAMPLES / "java" / name)]


PROGRAMS = [
    (python, "with_aiokafka.py"),
    (python, "with_confluent_kafka.py"),
    (java, "src/main/java/Example.java"),
    (node, "example.js"),
]


def lists(settings: Settings, user: str) -> list[tuple[int, dict[str, Any]]]:
    """Every list of a user on the topic, with its partition."""
    return [
        (number, json.loads(record.value))
        for number, records in enumerate(read_topic(settings, settings.recommendations))
        for record in records
        if record.key == user.encode() and record.value is not None
    ]


@pytest.fixture(scope="module")
def settings(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A worker under the default names, two users who went on from the lamp, and a list twice."""
    directory = tmp_path_factory.mktemp("examples")
    flags = flags_for(kafka, directory, topic_prefix=None)
    settings = Settings(**flags)
    with running(flags, directory / "worker.log") as worker:
        for item in ("lamp", "desk", "chair"):
            send(settings, [Outgoing(user.encode(), click(user, item)) for user in ("eve", "fay")])
        for user in ("eve", "fay"):
            wait_until(
                lambda user=user: [
                    m for _, m in lists(settings, user) if m["window"]["events"] == 3
                ],
                f"the last list of {user}",
                worker,
            )
        newest = json.dumps(lists(settings, "eve")[-1][1]).encode()
        send(settings, [Outgoing(b"eve", newest)], settings.recommendations)
        send(settings, [Outgoing(b"fay", None)], settings.recommendations)
        yield settings


def partition_of(user: str) -> int:
    """Where Java's producer puts the user."""
    return int(murmur2(user.encode()) & 0x7FFFFFFF) % PARTITIONS


@pytest.mark.parametrize(("language", "name"), PROGRAMS, ids=[name for _, name in PROGRAMS])
def test_an_example_publishes_a_click_and_takes_every_list_once(
    language: Any, name: str, settings: Settings, tmp_path: Path
) -> None:
    # In the partition of eve, so that what she has there was read when the reader's own list comes.
    readers = (f"{Path(name).name}-{number}" for number in count())
    user = next(reader for reader in readers if partition_of(reader) == partition_of("eve"))
    command = language(name, tmp_path)
    done = subprocess.run(
        [*command, user, "lamp"],
        env=os.environ | {"KAFKA_BROKERS": settings.bootstrap},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    printed = done.stdout.splitlines()
    assert printed[-1].startswith(f"{user}: ")
    assert {"desk", "chair"} <= set(printed[-1].removeprefix(f"{user}: ").split(", "))
    ((partition, made),) = lists(settings, user)
    assert partition == partition_of(user)
    assert (made["trigger"]["topic"], made["trigger"]["partition"]) == ("clicks", partition)
    of_eve = [json.dumps(made["trigger"]) for _, made in lists(settings, "eve")]
    assert len(of_eve) == len(set(of_eve)) + 1
    assert len([line for line in printed if line.startswith("eve: ")]) == len(set(of_eve))
