"""A worker on a real Kafka as the integration tests run it: settings, records in, figures out."""

import asyncio
import json
import os
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic
from prometheus_client.parser import text_string_to_metric_families

from streams.bench.progress import Progress
from streams.bench.workload import Tally, Workload, publish
from streams.instant import iso_utc
from streams.ports import free_port
from streams.settings import Settings
from streams.topics import make_topics
from streams.worker_process import WorkerProcess

PARTITIONS = 4
LOOKUP_TOKEN = "look-up-token"
_POLL_SECONDS = 0.05


class Outgoing(NamedTuple):
    """A record to send; the key decides the partition as Java's producers would."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


def flags_for(kafka: str, directory: Path, **more: Any) -> dict[str, Any]:
    """Settings of a worker with topics and a group of its own; None takes a setting out."""
    name = uuid.uuid4().hex[:8]
    flags = {
        "bootstrap": kafka,
        "group": f"test-{name}",
        "topic_prefix": f"test-{name}-",
        "partitions": PARTITIONS,
        "state_dir": directory / "state",
        "metrics_port": free_port(),
        "encoder": False,
        "lookup_token": LOOKUP_TOKEN,
        "instance_id": "worker-0",
        "session_timeout_seconds": 6.0,
        "heartbeat_seconds": 1.0,
        **more,
    }
    return {name: value for name, value in flags.items() if value is not None}


def environment(flags: dict[str, Any]) -> dict[str, str]:
    """The process environment of a command with these settings and no others."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("FRESHREC_")}
    said = {
        f"FRESHREC_{name.upper()}": str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in flags.items()
    }
    return kept | said


def create_topic(kafka: str, name: str, partitions: int = PARTITIONS, **config: str) -> None:
    """Create one topic with a configuration of its own (underscores stand for dots)."""
    topic = NewTopic(
        name, partitions, 1, config={key.replace("_", "."): text for key, text in config.items()}
    )
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([topic])[name].result()


def set_largest_record(kafka: str, topic: str, size_bytes: int) -> None:
    """Change what an existing topic accepts, and wait until its broker says so."""
    name = "max.message.bytes"
    admin = AdminClient({"bootstrap.servers": kafka})
    entry = ConfigEntry(name, str(size_bytes), incremental_operation=AlterConfigOpType.SET)
    changed = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([changed])[changed].result()
    asked = ConfigResource(ResourceType.TOPIC, topic)
    deadline = time.monotonic() + 30
    while admin.describe_configs([asked])[asked].result()[name].value != str(size_bytes):
        assert time.monotonic() < deadline, "the broker does not take the new limit"
        time.sleep(0.05)


@contextmanager
def publishing(settings: Settings, workload: Workload) -> Iterator[list[Tally]]:
    """Publish in the background; the tally is there at the end."""
    tallies: list[Tally] = []
    now_ms = time.time_ns() // 1_000_000
    thread = threading.Thread(target=lambda: tallies.append(publish(settings, workload, now_ms)))
    thread.start()
    try:
        yield tallies
    finally:
        thread.join()


@contextmanager
def publishing_steadily(settings: Settings, slice_: Workload) -> Iterator[list[Tally]]:
    """Publish slices of clicks, each with a seed of its own, until the end of the block."""
    tallies: list[Tally] = []
    over = threading.Event()

    def work() -> None:
        now_ms = time.time_ns() // 1_000_000
        while not over.wait(0.3):
            seed = slice_.seed + len(tallies)
            tallies.append(publish(settings, msgspec.structs.replace(slice_, seed=seed), now_ms))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield tallies
    finally:
        over.set()
        thread.join()


def click(user: str, item: str, **more: Any) -> bytes:
    """A good click of now."""
    now_ms = time.time_ns() // 1_000_000
    return json.dumps(
        {"user_id": user, "item_id": item, "timestamp": iso_utc(now_ms), **more}
    ).encode()


def send(settings: Settings, records: Iterable[Outgoing], topic: str | None = None) -> int:
    """Send records to the clicks topic, or another; returns how many the broker has."""
    producer = Producer(
        settings.librdkafka(
            **{
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "enable.idempotence": True,
                "message.max.bytes": 8_000_000,
            }
        )
    )
    failed: list[str] = []
    sent = 0
    for record in records:
        producer.produce(
            topic or settings.clicks,
            record.value,
            record.key,
            headers=list(record.headers) or None,
            on_delivery=lambda error, _: failed.append(str(error)) if error else None,
        )
        sent += 1
        producer.poll(0)
    assert producer.flush(30) == 0
    assert not failed, failed[0]
    return sent


def wait_until(
    condition: Callable[[], object],
    what: str,
    worker: WorkerProcess | None = None,
    seconds: float = 30.0,
) -> None:
    """Poll until the condition holds; fails with the worker's log when it dies or time is up."""
    deadline = time.monotonic() + seconds
    while not condition():
        log = worker.log_tail() if worker is not None else ""
        assert worker is None or worker.alive(), f"the worker died before {what}:\n{log}"
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}\n{log}"
        time.sleep(_POLL_SECONDS)


def get(flags: dict[str, Any], path: str) -> tuple[int, bytes]:
    """Status and body of a look-up; status 0 while nobody answers."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{flags['metrics_port']}{path}",
        headers={"Authorization": f"Bearer {LOOKUP_TOKEN}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as r:
            return r.status, r.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def figures(flags: dict[str, Any]) -> dict[str, float]:
    """Every metric of the running worker, by `name` or `name{label value,label value}`."""
    status, body = get(flags, "/metrics")
    assert status == 200, f"/metrics says {status}"
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            labels = ",".join(sample.labels.values())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def wait_ready(flags: dict[str, Any], worker: WorkerProcess, seconds: float = 40.0) -> None:
    """Wait until /readyz says 200."""
    wait_until(lambda: get(flags, "/readyz")[0] == 200, "the worker is ready", worker, seconds)


def wait_for_all(settings: Settings, worker: WorkerProcess, seconds: float = 60.0) -> None:
    """Wait until everything that now lies in the worker's source topics, in order, is committed."""
    for topic in (settings.clicks, settings.rekeyed_topic, settings.transitions_topic):
        with Progress(settings, topic) as progress:
            progress.wait(_end(progress, seconds), worker, seconds)


def _end(progress: Progress, seconds: float) -> int:
    """Records in a topic; asked again while its leader moves."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return progress.end()
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)


@contextmanager
def running(flags: dict[str, Any], log: Path) -> Iterator[WorkerProcess]:
    """A worker whose topics exist and that is ready; stopped at the end, if not before."""
    assert asyncio.run(make_topics(Settings(**flags))) > 0
    with WorkerProcess(flags, log) as worker:
        wait_ready(flags, worker)
        yield worker
