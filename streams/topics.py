"""Topics: which ones a worker needs, made where missing, refused where they do not fit."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    KafkaError,
    TopicAlreadyExistsError,
    for_code,
)

from streams.connection import connect_admin
from streams.settings import Settings

log = logging.getLogger(__name__)

TABLES = ("windows", "graph", "lists")

MAX_RECORD_BYTES = 32 * 1024 * 1024
"""Largest record that the worker's own topics accept.

A dead letter carries what the clicks topic accepted, and its headers; a record of transitions
carries those of a whole batch of clicks. Kafka's own default is 1 MiB."""

_DEFAULT_RECORD_BYTES = 1_000_000
"""Taken where a broker does not say what it accepts: a little less than Kafka's default."""

_LARGE = {"max.message.bytes": str(MAX_RECORD_BYTES)}
_COMPACT = {"cleanup.policy": "compact"}
# A changelog keeps every record for an hour before compaction may drop older ones of its key:
# what a worker that was thrown out of the group still wrote late is sorted out at recovery.
_CHANGELOG = {
    "cleanup.policy": "compact",
    "min.compaction.lag.ms": "3600000",
    "segment.ms": "86400000",
    **_LARGE,
}
_WAIT_SECONDS = 30.0
_RETRY_SECONDS = 0.5


class TopicMismatchError(RuntimeError):
    """Topics that cannot work together, with what to do about it."""


@dataclass(frozen=True)
class TopicPlan:
    """One topic of the worker."""

    name: str
    config: dict[str, str] = field(default_factory=dict)
    key: str = "user id"
    """What the record key holds."""
    kept_by: str = ""
    """The setting of how long records stay; empty: there is none."""
    copartitioned: bool = True
    """Needs as many partitions as the clicks topic."""


def changelog_topic(settings: Settings, table: str) -> str:
    """Name of a table's changelog."""
    return f"{settings.topic_prefix}freshrec-{table}-changelog"


def plan(settings: Settings) -> list[TopicPlan]:
    """Every topic that a worker reads or writes, the clicks topic first."""
    clicks = _kept(settings.clicks_retention_seconds)
    lists = _COMPACT
    if settings.recommendations_retention_seconds > 0:
        kept = _kept(settings.recommendations_retention_seconds)
        lists = {**kept, "cleanup.policy": "compact,delete"}
    return [
        TopicPlan(settings.clicks, clicks, kept_by="clicks_retention_seconds"),
        TopicPlan(settings.rekeyed_topic, {**clicks, **_LARGE}, kept_by="clicks_retention_seconds"),
        TopicPlan(
            settings.transitions_topic,
            {**_kept(settings.transitions_retention_seconds), **_LARGE},
            key="none",
            kept_by="transitions_retention_seconds",
        ),
        TopicPlan(
            settings.recommendations,
            {**lists, **_LARGE},
            kept_by="recommendations_retention_seconds",
        ),
        TopicPlan(
            settings.dead_letter_topic,
            {**_kept(settings.dead_letter_retention_seconds), **_LARGE},
            key="as it came",
            kept_by="dead_letter_retention_seconds",
        ),
        *(
            TopicPlan(
                changelog_topic(settings, table),
                _CHANGELOG,
                key="item id" if table == "graph" else "user id",
            )
            for table in TABLES
        ),
        TopicPlan(settings.items, _COMPACT, copartitioned=False, key="item id"),
        TopicPlan(
            settings.receipts_topic,
            _kept(settings.receipts_retention_seconds),
            copartitioned=False,
            kept_by="receipts_retention_seconds",
        ),
    ]


def _kept(seconds: int) -> dict[str, str]:
    """Records go so long after they came; 0: never, -1: as the brokers do it by default.

    A segment goes as a whole, so it must be closed in time: at the latest after a tenth of that.
    """
    if seconds < 0:
        return {}
    if seconds == 0:
        return {"cleanup.policy": "delete", "retention.ms": "-1"}
    segment_seconds = max(60, min(seconds // 10, 604_800))
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(seconds * 1000),
        "segment.ms": str(segment_seconds * 1000),
    }


async def ensure_topics(admin: AIOKafkaAdminClient, settings: Settings) -> int:
    """Create what is missing, check partition counts; returns the partitions of `clicks`.

    Raises `TopicMismatchError` when an existing topic has another partition count than `clicks`, or
    a topic cannot be created.
    """
    topics = plan(settings)
    counts = await _partition_counts(admin, [topic.name for topic in topics])
    partitions = partitions_wanted(settings, counts)
    missing = [topic for topic in topics if topic.name not in counts]
    if missing:
        await _create(admin, missing, partitions, settings)
        counts = await _wait_for(admin, [topic.name for topic in topics])
        partitions = partitions_wanted(settings, counts)
    wrong = mismatched(settings, counts)
    if wrong:
        raise TopicMismatchError("; ".join(mismatch(settings, wrong, partitions)))
    return partitions


def partitions_wanted(settings: Settings, counts: Mapping[str, int]) -> int:
    """How many partitions all must have beside the clicks topic: as many as that has or will have.

    `counts`: the partitions of the topics that are there.
    """
    return counts.get(settings.clicks) or settings.partitions


def mismatched(settings: Settings, counts: Mapping[str, int]) -> dict[str, int]:
    """The topics that are there with another number of partitions than the clicks topic's."""
    wanted = partitions_wanted(settings, counts)
    return {
        topic.name: counts[topic.name]
        for topic in plan(settings)
        if topic.copartitioned and counts.get(topic.name, wanted) != wanted
    }


def mismatch(
    settings: Settings, wrong: Mapping[str, int], partitions: int, *, has: str = "has"
) -> tuple[str, str]:
    """What is wrong with the numbers of partitions that `mismatched` found, and what to do.

    `has`: how the clicks topic comes by its number.
    """
    found = ", ".join(f"topic {name} has {count} partitions" for name, count in wrong.items())
    words = (
        "topics that must have the same number of partitions do not: "
        f"{found} but {settings.clicks} {has} {partitions}"
    )
    others = ", ".join(name for name in wrong if not _is_internal(settings, name))
    advice = (
        "was the clicks topic enlarged? Stop all workers and either start a new group with another"
        f" --topic-prefix, or delete the freshrec-* topics{' and ' if others else ''}{others} and"
        f" let a worker rebuild them from {settings.clicks}"
    )
    return words, advice


def _is_internal(settings: Settings, name: str) -> bool:
    return name.startswith(f"{settings.topic_prefix}freshrec-")


async def make_topics(settings: Settings) -> int:
    """`ensure_topics` over a connection of its own."""
    admin = await connect_admin(settings)
    try:
        return await ensure_topics(admin, settings)
    finally:
        await admin.close()


async def ask_record_limit_bytes(settings: Settings, topic: str) -> int:
    """`record_limit_bytes` over a connection of its own.

    Raises `BrokerUnavailableError` when no broker answers within `broker_deadline_seconds`.
    """
    admin = await connect_admin(settings)
    try:
        return await record_limit_bytes(admin, topic)
    finally:
        await admin.close()


async def record_limit_bytes(admin: AIOKafkaAdminClient, topic: str) -> int:
    """Largest record that a topic accepts, as its brokers say.

    Kafka's default where they will not say; brokers that are busy or away are asked again, for
    half a minute.
    """
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            return await _described_limit_bytes(admin, topic)
        except (KafkaError, ValueError) as error:
            log.info("the largest record that %s accepts is not known: %r", topic, error)
            if not getattr(error, "retriable", False) or time.monotonic() > deadline:
                return _DEFAULT_RECORD_BYTES
        await asyncio.sleep(_RETRY_SECONDS)


async def _described_limit_bytes(admin: AIOKafkaAdminClient, topic: str) -> int:
    name = "max.message.bytes"
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, {name: None})
    (response,) = await admin.describe_configs([resource])
    ((code, _, _, _, entries),) = response.resources
    if code:
        raise for_code(code)(topic)
    (limit,) = [int(entry[1]) for entry in entries if entry[0] == name]
    return min(limit, MAX_RECORD_BYTES)


async def _create(
    admin: AIOKafkaAdminClient, topics: list[TopicPlan], partitions: int, settings: Settings
) -> None:
    new = [
        NewTopic(
            topic.name,
            num_partitions=partitions,
            replication_factor=settings.replication_factor,
            topic_configs=topic.config,
        )
        for topic in topics
    ]
    try:
        response = await admin.create_topics(new, timeout_ms=20_000)
    except IncompatibleBrokerVersion:
        # A development broker without CreateTopics makes a topic when its metadata is asked for.
        return
    for name, code, *rest in response.topic_errors:
        error = for_code(code)
        if code == 0 or error is TopicAlreadyExistsError:
            continue
        detail = rest[0] if rest and rest[0] else error.description
        raise TopicMismatchError(
            f"topic {name} cannot be created: {detail}; create it yourself with "
            f"{partitions} partitions, or allow this worker to"
        )
    log.info("created topics %s with %d partitions", ", ".join(t.name for t in topics), partitions)


async def _partition_counts(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    described = await admin.describe_topics(names)
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in described
        if topic["error_code"] == 0 and topic["partitions"]
    }


async def _wait_for(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    """Metadata follows a creation after a moment."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            counts = await _partition_counts(admin, names)
        except KafkaError:
            counts = {}
        if len(counts) == len(names):
            return counts
        if time.monotonic() > deadline:
            absent = ", ".join(sorted(set(names) - set(counts)))
            raise TopicMismatchError(
                f"topics {absent} did not appear within {_WAIT_SECONDS:.0f} s of being created; "
                "check the brokers' log and that this worker may create topics"
            )
        await asyncio.sleep(0.1)
