"""What a check found: in words, how bad it is, and what to do about it."""

from __future__ import annotations

from typing import Literal

import msgspec

from streams.settings import Settings

Level = Literal["ok", "note", "fault"]

_SHOWN = 3


class Finding(msgspec.Struct, frozen=True):
    """The result of one check. A `note` is worth knowing and stops nothing."""

    check: str
    level: Level
    words: str
    advice: str = ""


def kafka_command(settings: Settings, tool: str, words: str) -> str:
    """A call of one of Kafka's own tools on these brokers, for somebody who may change them."""
    secured = "" if settings.security_protocol == "plaintext" else " --command-config ADMIN"
    return f"{tool} --bootstrap-server {settings.bootstrap}{secured} {words}"


def alter_topic(settings: Settings, topics: list[str], change: str) -> str:
    """The command that changes the configuration of the first of these topics."""
    command = kafka_command(
        settings,
        "kafka-configs",
        f"--alter --entity-type topics --entity-name {topics[0]} --add-config {change}",
    )
    return f"{command}; so for the others" if len(topics) > 1 else command


def listed(names: list[str]) -> str:
    """Some names, for a sentence: the first few, and how many more there are."""
    more = len(names) - _SHOWN
    if more <= 1:  # naming one more is as short as counting it
        return ", ".join(names)
    return f"{', '.join(names[:_SHOWN])} and {more} more"


def size(size_bytes: float) -> str:
    """A size for a sentence."""
    small = size_bytes < 1 << 30
    return f"{size_bytes / (1 << 20):.1f} MiB" if small else f"{size_bytes / (1 << 30):.1f} GiB"
