"""The table of topics in the documentation: who writes, who reads, what stays for how long."""

from __future__ import annotations

from collections.abc import Iterable

from streams.access import ROLES, rights
from streams.settings import Settings
from streams.topics import TopicPlan, plan

NAMES = ("topic", "written by", "read by", "key", "partitions", "cleanup policy", "kept", "setting")
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def rows(settings: Settings) -> Iterable[tuple[str, ...]]:
    """A row for every topic of a worker, with the names that the settings give."""
    for topic in plan(settings):
        yield (
            f"`{topic.name}`",
            ", ".join(_roles(topic, settings, "write")),
            ", ".join(_roles(topic, settings, "read")),
            topic.key,
            _partitions(topic, settings),
            topic.config.get("cleanup.policy", "as brokers say"),
            _kept(topic.config),
            f"`{topic.kept_by}`" if topic.kept_by else "-",
        )


def _roles(topic: TopicPlan, settings: Settings, operation: str) -> list[str]:
    """Who has a right to that, by `freshrec check` and docs/security.md."""
    found: list[str] = [
        role
        for role in ROLES
        for right in rights(role, settings)
        if right.resource == "topic" and right.name == topic.name and operation in right.operations
    ]
    return found or ["-"]


def _partitions(topic: TopicPlan, settings: Settings) -> str:
    if topic.name == settings.clicks:
        return f"`partitions`, {settings.partitions}"
    return f"as `{settings.clicks}`" if topic.copartitioned else "any number"


def _kept(config: dict[str, str]) -> str:
    """For how long, in words, by the topic's own configuration."""
    policy = config.get("cleanup.policy", "")
    if policy.startswith("compact"):
        words = "the newest of a key"
        least = config.get("min.compaction.lag.ms")
        words += f", all for {duration(int(least) // 1000)}" if least else ""
        most = config.get("retention.ms")
        return f"{words}, for {duration(int(most) // 1000)}" if most else words
    if not policy:
        return "as brokers say"
    retention_ms = int(config["retention.ms"])
    return "without end" if retention_ms < 0 else duration(retention_ms // 1000)


def duration(seconds: int) -> str:
    """Seconds in the largest unit that says them as a whole number."""
    for size, unit in _UNITS:
        if seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    raise AssertionError("every number of seconds is whole in seconds")
