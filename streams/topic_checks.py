"""Topics against what a worker needs of them: partitions, what they keep and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import ConfigResource, ResourceType

from streams.access import Role, rights
from streams.findings import Finding, Level, alter_topic, listed
from streams.settings import Settings
from streams.topics import TopicPlan, mismatch, mismatched, partitions_wanted, plan

Configurations = Mapping[str, Mapping[str, str]]
"""Of each topic that is described: the values in force, the brokers' defaults included."""

_DENIED = KafkaError.TOPIC_AUTHORIZATION_FAILED
_DAY_MS = 86_400_000
_JUDGED = ("cleanup.policy", "retention.ms", "max.message.bytes", "min.compaction.lag.ms")


def topics_of(settings: Settings, role: Role) -> list[TopicPlan]:
    """The topics that a role has to do with."""
    names = {right.name for right in rights(role, settings) if right.resource == "topic"}
    return [topic for topic in plan(settings) if topic.name in names]


def topic_findings(
    settings: Settings, role: Role, partitions: Mapping[str, int]
) -> Iterator[Finding]:
    """Missing topics, and for a worker the partition counts that it would refuse."""
    missing = [t.name for t in topics_of(settings, role) if t.name not in partitions]
    if missing:
        # Brokers list only what a client may describe.
        secured = settings.security_protocol != "plaintext"
        absent = "not there yet, or not shown to this client" if secured else "not there yet"
        words = f"{absent}: {', '.join(missing)}"
        advice = f"a worker creates them, with {settings.partitions} partitions and"
        advice += f" {settings.replication_factor} replicas where nothing else says how many"
        yield Finding("topics", "note", words, advice)
    if role == "worker":
        yield from _partition_findings(settings, partitions)


def _partition_findings(settings: Settings, partitions: Mapping[str, int]) -> Iterator[Finding]:
    wanted = partitions_wanted(settings, partitions)
    exists = settings.clicks in partitions
    wrong = mismatched(settings, partitions)
    if wrong:
        has = "has" if exists else "will have"
        words, advice = mismatch(settings, wrong, wanted, has=has)
        if not exists:
            counts = ", ".join(str(count) for count in sorted(set(wrong.values())))
            advice = f"say --partitions {counts}, or: {advice}" if "," not in counts else advice
        yield Finding("partitions", "fault", words, advice)
    elif exists:
        yield Finding("partitions", "ok", f"{wanted} of {settings.clicks} and of all beside it")


def configuration_findings(
    settings: Settings, role: Role, existing: list[str], configurations: Configurations
) -> list[Finding]:
    """What topics keep, for how long and how large, beside what a worker would have said.

    What the brokers do not tell is not judged, and then not all is well either. `existing` names
    the topics that are there.
    """
    found: list[Finding] = []
    told_all = True
    for topic in topics_of(settings, role):
        if topic.name not in existing:
            continue
        has = configurations.get(topic.name)
        if has is None:
            told_all = False  # said once, for all these topics, by who asked for them
            continue
        untold = [name for name in _JUDGED if name not in has and _is_judged(settings, topic, name)]
        if untold:
            words = f"the brokers do not tell {listed(untold)} of {topic.name}"
            found.append(
                Finding("configuration", "note", words, "compare that with docs/messages.md")
            )
        found += _policy(settings, topic, has)
        found += _bounds(settings, topic, has)
    if existing and told_all and not found:
        words = "topics are compacted, kept and bounded as these settings would have them"
        found.append(Finding("configuration", "ok", words))
    return found


def _is_judged(settings: Settings, topic: TopicPlan, name: str) -> bool:
    kept = name == "retention.ms" and topic.name == settings.clicks
    return name == "cleanup.policy" or name in topic.config or kept


def _policy(settings: Settings, topic: TopicPlan, has: Mapping[str, str]) -> Iterator[Finding]:
    shown = has.get("cleanup.policy")
    if shown is None:
        return
    policy = {part.strip() for part in shown.split(",")}
    wanted = topic.config.get("cleanup.policy", "delete")
    level: Level = "fault"
    why = None
    if "compact" in wanted and "compact" not in policy:
        why = "the last value of a key goes when its time is up"
    elif wanted == "compact" and "delete" in policy:
        why = "what nobody changed for long goes"
    elif "compact" not in wanted and "compact" in policy:
        why = "only the last record of a key would be kept"
    elif "delete" in wanted and "delete" not in policy:
        level, why = "note", f"nothing goes by age, though {topic.kept_by or 'it'} says so"
    if why is not None:
        words = f"{topic.name} has cleanup.policy={shown}, not {wanted}: {why}"
        value = f"'[{wanted}]'" if "," in wanted else wanted
        advice = alter_topic(settings, [topic.name], f"cleanup.policy={value}")
        yield Finding("configuration", level, words, advice)


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
            alter_topic(settings, [topic.name], f"{name}={wanted}"),
        )  # fmt: skip
    kept = has.get("retention.ms", "-1")
    unsaid = topic.name == settings.clicks and "retention.ms" not in topic.config
    if unsaid and 0 <= int(kept) < _DAY_MS:
        yield Finding(
            "configuration", "note",
            f"{topic.name} keeps clicks for {int(kept) / 3_600_000:.1f} hours: what a worker"
            " has not read by then is lost",
            alter_topic(settings, [topic.name], f"retention.ms={7 * _DAY_MS}"),
        )  # fmt: skip


def _worse(name: str, value: str, wanted: str) -> bool:
    """Whether a difference matters: more room and a longer memory for late writes do not."""
    if name in ("max.message.bytes", "min.compaction.lag.ms"):
        return int(value) < int(wanted)
    return name == "retention.ms"


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
