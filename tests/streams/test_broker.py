"""The development brokers: what clients see of them, and that nothing of them is left behind."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from streams.broker import EmbeddedBroker, KafkaCluster, run
from streams.broker_jars import class_archive, find_java, kafka_jars

DEADLINE_SECONDS = 30.0


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and waits for its parent's notice does not."""
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return bool(state) and not state.startswith("Z")


def partitions(bootstrap: str) -> dict[str, int]:
    topics = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=10).topics
    return {name: len(topic.partitions) for name, topic in topics.items()}


def create(bootstrap: str, *topics: NewTopic) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics([*topics]).values():
        future.result(10)


def produce(bootstrap: str, topic: str, value: bytes) -> None:
    outcomes: list[object] = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    producer.produce(topic, value, partition=0, on_delivery=lambda error, _: outcomes.append(error))
    assert producer.flush(20) == 0
    assert outcomes == [None]


def consume_one(bootstrap: str, topic: str) -> bytes:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": uuid4().hex})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        message = consumer.poll(20)
        assert message is not None
        assert message.error() is None
        value = message.value()
        assert value is not None
        return value
    finally:
        consumer.close()


def accepts_connections(address: str) -> bool:
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
    except OSError:
        return False
    return True


def start_owner(code: str, scratch: Path) -> "subprocess.Popen[str]":
    """A Python process that owns brokers; its temporary files go to `scratch`."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(scratch)},
    )


FOREGROUND = "import sys; from streams.broker import run; sys.exit(run({kind!r}))"
KINDS = ["embedded", pytest.param("kafka", marks=pytest.mark.kafka)]


# --- embedded -----------------------------------------------------------------------------------


@pytest.fixture
def embedded() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


def test_embedded_broker_creates_topics_with_exactly_the_partitions_asked_for() -> None:
    with EmbeddedBroker(topics={"clicks": 7}) as broker:
        assert broker.create_topic("items", 1)
        assert partitions(broker.bootstrap) == {"clicks": 7, "items": 1}


def test_embedded_broker_leaves_a_topic_that_exists_as_it_is(embedded: EmbeddedBroker) -> None:
    assert embedded.create_topic("clicks", 3)
    assert not embedded.create_topic("clicks", 5)
    assert partitions(embedded.bootstrap) == {"clicks": 3}


def test_embedded_broker_refuses_a_topic_without_partitions(embedded: EmbeddedBroker) -> None:
    with pytest.raises(ValueError, match="at least one partition, not 0"):
        embedded.create_topic("clicks", 0)


def test_embedded_broker_carries_a_record_from_producer_to_consumer(
    embedded: EmbeddedBroker,
) -> None:
    embedded.create_topic("clicks", 1)
    produce(embedded.bootstrap, "clicks", b"one")
    assert consume_one(embedded.bootstrap, "clicks") == b"one"


def test_embedded_broker_that_is_down_refuses_connections_until_it_is_up_again() -> None:
    with EmbeddedBroker(brokers=2) as broker:
        first, second = broker.bootstrap.split(",")
        broker.set_broker_down(1)
        assert eventually(lambda: not accepts_connections(second))
        assert accepts_connections(first)
        broker.set_broker_up(1)
        assert eventually(lambda: accepts_connections(second))


def test_embedded_broker_answers_later_with_a_round_trip_time(embedded: EmbeddedBroker) -> None:
    admin = AdminClient({"bootstrap.servers": embedded.bootstrap})
    admin.list_topics(timeout=10)
    embedded.set_round_trip(0, 300)
    started = time.monotonic()
    admin.list_topics(timeout=10)
    assert time.monotonic() - started >= 0.25


def test_embedded_broker_ends_its_child_at_stop_and_stop_may_be_repeated() -> None:
    broker = EmbeddedBroker()
    broker.start()
    (pid,) = broker.pids
    broker.stop()
    broker.stop()
    assert not is_alive(pid)
    assert broker.pids == []
    with pytest.raises(RuntimeError, match="not running"):
        broker.create_topic("clicks", 1)


def test_embedded_broker_dies_with_an_owner_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from streams.broker import EmbeddedBroker\n"
        "broker = EmbeddedBroker(); broker.start()\n"
        "print(broker.pids[0], flush=True); sys.stdin.read()"
    )
    with start_owner(code, tmp_path) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        owner.kill()
    assert eventually(lambda: not is_alive(pid))


# --- in the foreground --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_foreground_broker_prints_one_json_line_and_leaves_nothing_after_a_signal(
    kind: str, signum: signal.Signals, tmp_path: Path
) -> None:
    with start_owner(FOREGROUND.format(kind=kind), tmp_path) as owner:
        assert owner.stdout is not None
        ready = json.loads(owner.stdout.readline())
        assert set(ready) == {"bootstrap", "kind", "pids"}
        assert ready["kind"] == kind
        assert accepts_connections(ready["bootstrap"])
        owner.send_signal(signum)
        assert owner.stdout.read() == ""
        assert owner.wait(DEADLINE_SECONDS) == 0
    assert not any(map(is_alive, ready["pids"]))
    assert list(tmp_path.iterdir()) == []


def test_foreground_broker_says_so_when_its_broker_ends_by_itself(
    tmp_path: Path,
) -> None:
    with start_owner(FOREGROUND.format(kind="embedded"), tmp_path) as owner:
        assert owner.stdout is not None
        (pid,) = json.loads(owner.stdout.readline())["pids"]
        os.kill(pid, signal.SIGKILL)
        assert owner.wait(DEADLINE_SECONDS) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"kind": "rabbit"}, "unknown kind 'rabbit'; there are embedded and kafka."),
        ({"kind": "embedded", "brokers": 0}, "at least one broker is needed, not 0."),
        ({"kind": "embedded", "port": 9092}, "with --kind kafka only."),
    ],
)
def test_foreground_broker_refuses_wrong_use_with_a_sentence_and_code_2(
    arguments: dict[str, object], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(**arguments) == 2  # type: ignore[arg-type]
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.out == ""


# --- Apache Kafka -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster(kafka_installed: None) -> Iterator[KafkaCluster]:
    with KafkaCluster(
        overrides={"message.max.bytes": "1234567"},
        listeners={"INSIDE": "PLAINTEXT", "OUTSIDE": "PLAINTEXT"},
    ) as started:
        yield started


@pytest.mark.kafka
def test_kafka_carries_a_record_from_producer_to_consumer(cluster: KafkaCluster) -> None:
    create(cluster.bootstrap, NewTopic("carried", 3, 1))
    assert partitions(cluster.bootstrap)["carried"] == 3
    produce(cluster.bootstrap, "carried", b"one")
    assert consume_one(cluster.bootstrap, "carried") == b"one"


@pytest.mark.kafka
def test_kafka_serves_every_listener_that_was_asked_for(cluster: KafkaCluster) -> None:
    assert cluster.bootstrap == cluster.bootstrap_of("INSIDE")
    assert cluster.bootstrap != cluster.bootstrap_of("OUTSIDE")
    create(cluster.bootstrap, NewTopic("heard", 1, 1))
    produce(cluster.bootstrap, "heard", b"one")
    assert consume_one(cluster.bootstrap_of("OUTSIDE"), "heard") == b"one"


@pytest.mark.kafka
def test_kafka_takes_overrides_and_creates_no_topics_by_itself(cluster: KafkaCluster) -> None:
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    resource = ConfigResource("broker", "0")
    settings = admin.describe_configs([resource])[resource].result(10)
    assert settings["message.max.bytes"].value == "1234567"
    assert settings["auto.create.topics.enable"].value == "false"


@pytest.mark.kafka
def test_kafka_keeps_its_data_in_a_directory_that_was_given(tmp_path: Path) -> None:
    with KafkaCluster(data_dir=tmp_path) as first:
        create(first.bootstrap, NewTopic("kept", 2, 1))
        produce(first.bootstrap, "kept", b"one")
    with KafkaCluster(data_dir=tmp_path) as second:
        assert consume_one(second.bootstrap, "kept") == b"one"


@pytest.mark.kafka
@pytest.mark.slow
def test_three_brokers_lose_nothing_acknowledged_when_one_is_killed_and_restarted() -> None:
    with KafkaCluster(3) as three:
        pids = three.pids
        assert len(set(pids)) == 3
        create(three.bootstrap, NewTopic("safe", 1, 3))
        produce(three.bootstrap, "safe", b"one")
        metadata = AdminClient({"bootstrap.servers": three.bootstrap}).list_topics(timeout=10)
        leader = metadata.topics["safe"].partitions[0].leader
        three.kill_broker(leader)
        assert not three.is_running(leader)
        assert not is_alive(pids[leader])
        produce(three.bootstrap, "safe", b"two")
        assert consume_one(three.bootstrap, "safe") == b"one"
        three.restart_broker(leader)
        assert three.is_running(leader)
        assert len(three.pids) == 3


@pytest.mark.kafka
def test_kafka_and_its_data_are_gone_after_its_owner_is_killed(tmp_path: Path) -> None:
    with start_owner(FOREGROUND.format(kind="kafka"), tmp_path) as owner:
        assert owner.stdout is not None
        (pid,) = json.loads(owner.stdout.readline())["pids"]
        assert list(tmp_path.iterdir()) != []
        owner.kill()
    assert eventually(lambda: not is_alive(pid))
    assert eventually(lambda: list(tmp_path.iterdir()) == [])


@pytest.mark.kafka
def test_kafka_that_does_not_come_up_says_why_and_leaves_no_process() -> None:
    cluster = KafkaCluster(overrides={"log.segment.bytes": "not a number"})
    with pytest.raises(RuntimeError, match="log.segment.bytes"):
        cluster.start()
    assert cluster.pids == []


@pytest.fixture
def jars_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kafka_installed: None) -> Path:
    """A cache of its own that holds the jars and no class archive; the directory of both."""
    cached = kafka_jars()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    directory = tmp_path / "freshrec" / cached[0].parent.name
    directory.mkdir(parents=True)
    for jar in cached:
        shutil.copy2(jar, directory)
    return directory


def command_line(pid: int) -> str:
    return subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.kafka
def test_the_first_kafka_of_a_machine_records_its_classes_and_the_next_starts_from_them(
    jars_only: Path,
) -> None:
    archive = class_archive(find_java())

    with KafkaCluster() as first:
        assert "-XX:SharedArchiveFile" not in command_line(first.pids[0])
    assert [p.name for p in jars_only.iterdir() if p.suffix == ".jsa"] == [archive.name]
    with KafkaCluster() as second:
        assert f"-XX:SharedArchiveFile={archive}" in command_line(second.pids[0])


@pytest.mark.kafka
def test_a_recording_that_was_cut_short_is_not_kept(jars_only: Path) -> None:
    with KafkaCluster() as cluster:
        cluster.kill_broker(0)
    assert [p.name for p in jars_only.iterdir() if p.suffix == ".jsa"] == []
