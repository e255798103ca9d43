"""Who needs which rights on a Kafka with access control lists: the least, by role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from streams.settings import Settings
from streams.topics import TABLES, changelog_topic

Role = Literal["worker", "publisher", "catalogue", "subscriber", "eraser", "trainer"]
ROLES: tuple[Role, ...] = get_args(Role)

_READ = ("read", "describe")
_WRITE = ("write", "describe")
_BOTH = ("read", "write", "describe")


@dataclass(frozen=True, slots=True)
class Right:
    """Operations on one topic or group, in the words of Kafka's access control lists."""

    resource: Literal["topic", "group"]
    name: str
    operations: tuple[str, ...]
    why: str


def rights(role: Role, settings: Settings) -> list[Right]:
    """The least that a client in that role needs; topics must exist already.

    A worker that is to create its topics needs `create` on them beside.
    """
    clicks = settings.clicks
    if role == "worker":
        inner = "what workers tell each other and recover from"
        return [
            Right("group", settings.group, ("read",), "share the partitions with other workers"),
            Right("topic", clicks, _READ, "clicks"),
            Right("topic", settings.items, _READ, "the catalogue"),
            Right("topic", settings.recommendations, _WRITE, "lists"),
            Right(
                "topic",
                settings.dead_letter_topic,
                (*_BOTH, "describe_configs"),
                "bad clicks; after a restart, which were written; how large they may be",
            ),
            Right("topic", settings.receipts_topic, _WRITE, "receipts of erasures"),
            Right("topic", settings.rekeyed_topic, _BOTH, inner),
            Right("topic", settings.transitions_topic, _BOTH, inner),
            *(Right("topic", changelog_topic(settings, table), _BOTH, inner) for table in TABLES),
        ]
    if role == "publisher":
        return [Right("topic", clicks, _WRITE, "clicks")]
    if role == "catalogue":
        return [Right("topic", settings.items, _WRITE, "items")]
    if role == "subscriber":
        return [Right("topic", settings.recommendations, _READ, "lists")]
    if role == "eraser":
        return [
            Right("topic", clicks, _WRITE, "the request"),
            Right("topic", settings.receipts_topic, _READ, "the receipt"),
        ]
    return [Right("topic", clicks, _READ, "clicks to learn from")]
