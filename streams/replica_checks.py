"""Replicas of topics: what is lost, or stands still, when a broker fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from streams.access import Role
from streams.findings import Finding, alter_topic, listed
from streams.settings import Settings
from streams.topic_checks import Configurations, topics_of

_THIRD = "add a third replica (kafka-reassign-partitions), and let 2 of 3 be in sync"


class Replicas(msgspec.Struct, frozen=True):
    """How one topic is spread: of its partitions, the one that is worst off."""

    partitions: int
    replicas: int
    in_sync: int
    leaderless: int = 0
    """Partitions without a leader."""


def replica_findings(
    settings: Settings,
    role: Role,
    spread: Mapping[str, Replicas],
    brokers: int,
    configurations: Configurations,
) -> Iterator[Finding]:
    """`brokers` is how many there are. All is well only where nothing else is found."""
    topics = topics_of(settings, role)
    ours = {topic.name: spread[topic.name] for topic in topics if topic.name in spread}
    if role == "worker" and settings.replication_factor > brokers and len(ours) < len(topics):
        words = f"replication_factor is {settings.replication_factor}, but there"
        words += " is 1 broker" if brokers == 1 else f" are {brokers} brokers"
        yield Finding(
            "replicas", "fault", words + ": topics cannot be created",
            "lower --replication-factor, or start the brokers that are missing",
        )  # fmt: skip
    required = {name: _required(configurations.get(name, {}), each) for name, each in ours.items()}
    found = list(_spread_findings(settings, ours, brokers, required))
    yield from found
    if ours and not found:
        least = min(each.replicas for each in ours.values())
        words = f"every partition has a leader, all replicas in sync, {least} at least"
        yield Finding("replicas", "ok", words)


def _required(has: Mapping[str, str], each: Replicas) -> int | None:
    """How many replicas must be in sync for a write; None: the brokers do not tell.

    Brokers ask for no more replicas than a partition has.
    """
    said = has.get("min.insync.replicas")
    if said is None:
        return 1 if each.replicas <= 1 else None
    return min(int(said), max(1, each.replicas))


def _spread_findings(
    settings: Settings,
    ours: Mapping[str, Replicas],
    brokers: int,
    required: Mapping[str, int | None],
) -> Iterator[Finding]:
    def named(which: Callable[[Replicas, int | None], bool]) -> list[str]:
        return [name for name, each in ours.items() if which(each, required[name])]

    headless = named(lambda each, _: each.leaderless > 0)
    if headless:
        yield Finding(
            "replicas", "fault", f"partitions without a leader: {listed(headless)}",
            "start the brokers that are away: nothing is read or written there meanwhile",
        )  # fmt: skip
    stuck = named(lambda each, least: not each.leaderless and each.in_sync < (least or 1))
    if stuck:
        yield Finding(
            "replicas", "fault",
            f"fewer replicas in sync than min.insync.replicas, so writes are refused:"
            f" {listed(stuck)}",
            "start the brokers that are away, or lower min.insync.replicas",
        )  # fmt: skip
    behind = named(lambda each, least: (least or 1) <= each.in_sync < each.replicas)
    if behind:
        yield Finding(
            "replicas", "note", f"replicas out of sync: {listed(behind)}",
            "see whether a broker is away or slow; the next failure may stop writes",
        )  # fmt: skip
    alone = named(lambda each, _: each.replicas == 1)
    if alone:
        advice = "fine for development; in production delete them and let a worker create them"
        advice += " with --replication-factor 3, or use kafka-reassign-partitions"
        if brokers == 1:
            advice = "fine for development; production wants 3 brokers and --replication-factor 3"
        yield Finding(
            "replicas", "note", f"one replica, lost with its broker: {listed(alone)}", advice
        )
    pairs = {name for name, each in ours.items() if each.replicas == 2}
    more = {name for name, each in ours.items() if each.replicas > 2}
    for names, mends in ((pairs, None), (more, "min.insync.replicas=2")):
        yield from _spare_findings(
            settings, {name: (ours[name].replicas, required[name]) for name in names}, mends
        )
    untold = [name for name, least in required.items() if least is None]
    if untold:
        yield Finding(
            "replicas", "note",
            f"the brokers do not tell min.insync.replicas of {listed(untold)}: whether one broker"
            " can lose what is acknowledged, or stop writes, is not known",
            "2 of 3 replicas is what production wants",
        )  # fmt: skip


def _spare_findings(
    settings: Settings, margins: Mapping[str, tuple[int, int | None]], mends: str | None
) -> Iterator[Finding]:
    """Too few or too many replicas that must be in sync.

    `margins`: replicas of a topic, and how many must be in sync; `mends`: the configuration that is
    right, None where there are two replicas and no number is.
    """
    lax = sorted(name for name, (_, least) in margins.items() if least == 1)
    brittle = sorted(name for name, (replicas, least) in margins.items() if least == replicas)
    for names, words in (
        (lax, "min.insync.replicas is 1, so what is acknowledged can be lost"),
        (brittle, "min.insync.replicas leaves none to spare, so one broker stops all writes"),
    ):
        if names:
            advice = _THIRD if mends is None else alter_topic(settings, names, mends)
            yield Finding("replicas", "note", f"{words}: {listed(names)}", advice)


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
