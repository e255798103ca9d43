"""Topics against what a worker needs of them: partitions, replicas, what they keep and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import ConfigResource, ResourceType

from streams.findings import Finding, kafka_command, listed
from streams.settings import Settings
from streams.topics import TopicPlan, plan

Configurations = Mapping[str, Mapping[str, str]]
"""Of each topic that is described: the values in force, the brokers' defaults included."""

_DENIED = KafkaError.TOPIC_AUTHORIZATION_FAILED
_DAY_MS = 86_400_000


class Replicas(msgspec.Struct, frozen=True):
    """How one topic is spread: of its partitions, the one that is worst off."""

    partitions: int
    replicas: int
    in_sync: int
    leaderless: int = 0
    """Partitions without a leader."""


def topic_findings(settings: Settings, partitions: Mapping[str, int]) -> Iterator[Finding]:
    """Missing topics, and partition counts that a worker would refuse."""
    topics = plan(settings)
    missing = [topic.name for topic in topics if topic.name not in partitions]
    if missing:
        # Brokers list only what a client may describe.
        secured = settings.security_protocol != "plaintext"
        absent = "not there yet, or not shown to this client" if secured else "not there yet"
        words = f"{absent}: {', '.join(missing)}"
        advice = f"a worker creates them, with {settings.partitions} partitions and"
        advice += f" {settings.replication_factor} replicas where nothing else says how many"
        yield Finding("topics", "note", words, advice)
    wanted = partitions.get(settings.clicks)
    wrong = [
        f"{topic.name} has {partitions[topic.name]}"
        for topic in topics
        if topic.copartitioned and wanted and partitions.get(topic.name, wanted) != wanted
    ]
    if wrong:
        yield Finding(
            "partitions",
            "fault",
            f"{settings.clicks} has {wanted} partitions, but {', '.join(wrong)}",
            "all need one count: delete the differing topics, or use another --topic-prefix",
        )
    elif wanted:
        yield Finding("partitions", "ok", f"{wanted} of {settings.clicks} and of all beside it")


def replica_findings(
    settings: Settings, spread: Mapping[str, Replicas], brokers: int, configurations: Configurations
) -> Iterator[Finding]:
    """What is lost, or stands still, when a broker fails. `brokers` is how many there are."""
    ours = {topic.name: spread[topic.name] for topic in plan(settings) if topic.name in spread}
    if settings.replication_factor > brokers and len(ours) < len(plan(settings)):
        words = f"replication_factor is {settings.replication_factor}, but there"
        words += " is 1 broker" if brokers == 1 else f" are {brokers} brokers"
        yield Finding(
            "replicas", "fault", words + ": topics cannot be created",
            "lower --replication-factor, or start the brokers that are missing",
        )  # fmt: skip
    required = {
        name: int(configurations.get(name, {}).get("min.insync.replicas", 1)) for name in ours
    }
    found = list(_spread_findings(settings, ours, brokers, required))
    yield from found
    if ours and not any(finding.level == "fault" for finding in found):
        least = min(each.replicas for each in ours.values())
        words = f"every partition has a leader, all replicas in sync, {least} at least"
        yield Finding("replicas", "ok", words)


def _spread_findings(
    settings: Settings, ours: Mapping[str, Replicas], brokers: int, required: Mapping[str, int]
) -> Iterator[Finding]:
    def named(which: Callable[[str, Replicas], bool]) -> list[str]:
        return [name for name, each in ours.items() if which(name, each)]

    headless = named(lambda _, each: each.leaderless > 0)
    if headless:
        yield Finding(
            "replicas", "fault", f"partitions without a leader: {listed(headless)}",
            "start the brokers that are away: nothing is read or written there meanwhile",
        )  # fmt: skip
    stuck = named(lambda name, each: not each.leaderless and each.in_sync < required[name])
    if stuck:
        yield Finding(
            "replicas", "fault",
            f"fewer replicas in sync than min.insync.replicas, so writes are refused:"
            f" {listed(stuck)}",
            "start the brokers that are away, or lower min.insync.replicas",
        )  # fmt: skip
    behind = named(lambda name, each: required[name] <= each.in_sync < each.replicas)
    if behind:
        yield Finding(
            "replicas", "note", f"replicas out of sync: {listed(behind)}",
            "see whether a broker is away or slow; the next failure may stop writes",
        )  # fmt: skip
    alone = named(lambda _, each: each.replicas == 1)
    if alone:
        advice = "fine for development; in production delete them and let a worker create them"
        advice += " with --replication-factor 3, or use kafka-reassign-partitions"
        if brokers == 1:
            advice = "fine for development; production wants 3 brokers and --replication-factor 3"
        yield Finding(
            "replicas", "note", f"one replica, lost with its broker: {listed(alone)}", advice
        )
    lax = named(lambda name, each: each.replicas > 1 and required[name] == 1)
    if lax:
        words = f"min.insync.replicas is 1, so what is acknowledged can be lost: {listed(lax)}"
        yield Finding(
            "replicas", "note", words, _alter(settings, lax[0], "min.insync.replicas=2", lax)
        )
    brittle = named(lambda name, each: 1 < each.replicas <= required[name])
    if brittle:
        yield Finding(
            "replicas", "note",
            f"min.insync.replicas is the number of replicas, so one broker stops all writes:"
            f" {listed(brittle)}",
            _alter(settings, brittle[0], "min.insync.replicas=2", brittle),
        )  # fmt: skip


def configuration_findings(settings: Settings, configurations: Configurations) -> list[Finding]:
    """What topics keep, for how long and how large, beside what a worker would have said."""
    found: list[Finding] = []
    for topic in plan(settings):
        has = configurations.get(topic.name)
        if has is not None:
            found += _policy(settings, topic, has)
            found += _bounds(settings, topic, has)
    if configurations and not any(finding.level == "fault" for finding in found):
        words = "changelogs, lists and catalogue are compacted, nothing else is"
        found.append(Finding("configuration", "ok", words))
    return found


def _policy(settings: Settings, topic: TopicPlan, has: Mapping[str, str]) -> Iterator[Finding]:
    policy = {part.strip() for part in has.get("cleanup.policy", "").split(",")}
    wanted = topic.config.get("cleanup.policy", "delete")
    why = None
    if "compact" in wanted and "compact" not in policy:
        why = "the last value of a key goes when its time is up"
    elif wanted == "compact" and "delete" in policy:
        why = "what nobody changed for long goes"
    elif "compact" not in wanted and "compact" in policy:
        why = "only the last record of a key would be kept"
    if why is not None:
        shown = has.get("cleanup.policy")
        words = f"{topic.name} has cleanup.policy={shown}, not {wanted}: {why}"
        value = f"'[{wanted}]'" if "," in wanted else wanted
        advice = _alter(settings, topic.name, f"cleanup.policy={value}")
        yield Finding("configuration", "fault", words, advice)


def _bounds(settings: Settings, topic: TopicPlan, has: Mapping[str, str]) -> Iterator[Finding]:
    """Retention, age before compaction and size of records, where they are not as a worker says."""
    for name, wanted in topic.config.items():
        value = has.get(name)
        if value is None or value == wanted or not _worse(name, value, wanted):
            continue
        yield Finding(
            "configuration", "note",
            f"{topic.name} has {name}={value}; a topic that freshrec creates with these settings"
            f" has {wanted}",
            _alter(settings, topic.name, f"{name}={wanted}"),
        )  # fmt: skip
    kept = has.get("retention.ms", "-1")
    unsaid = topic.name == settings.clicks and "retention.ms" not in topic.config
    if unsaid and 0 <= int(kept) < _DAY_MS:
        yield Finding(
            "configuration", "note",
            f"{topic.name} keeps clicks for {int(kept) / 3_600_000:.1f} hours: what a worker"
            " has not read by then is lost",
            _alter(settings, topic.name, f"retention.ms={7 * _DAY_MS}"),
        )  # fmt: skip


def _worse(name: str, value: str, wanted: str) -> bool:
    """Whether a difference matters: more room and a longer memory for late writes do not."""
    if name in ("max.message.bytes", "min.compaction.lag.ms"):
        return int(value) < int(wanted)
    return name == "retention.ms"


def _alter(settings: Settings, topic: str, change: str, also: list[str] | None = None) -> str:
    command = kafka_command(
        settings,
        "kafka-configs",
        f"--alter --entity-type topics --entity-name {topic} --add-config {change}",
    )
    return f"{command}; so for the others" if also and len(also) > 1 else command


def spread_of(metadata: Any) -> dict[str, Replicas]:
    """The topics of a cluster's metadata, as librdkafka lists them."""
    return {
        name: Replicas(
            partitions=len(topic.partitions),
            replicas=min((len(p.replicas) for p in topic.partitions.values()), default=0),
            in_sync=min((len(p.isrs) for p in topic.partitions.values()), default=0),
            leaderless=sum(p.leader < 0 for p in topic.partitions.values()),
        )
        for name, topic in metadata.topics.items()
    }


def describe(
    admin: Any, names: list[str], timeout_seconds: float
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Configurations in force, and the topics whose configuration this client may not see.

    Raises `KafkaException` where the brokers do not answer that.
    """
    wanted = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    if not wanted:
        return {}, []
    told: dict[str, dict[str, str]] = {}
    hidden: list[str] = []
    for resource, future in admin.describe_configs(wanted, request_timeout=timeout_seconds).items():
        try:
            entries = future.result(timeout_seconds + 5)
        except KafkaException as error:
            if error.args[0].code() != _DENIED:
                raise
            hidden.append(resource.name)
        else:
            told[resource.name] = {n: e.value for n, e in entries.items() if e.value is not None}
    return told, hidden
