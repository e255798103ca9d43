"""Which rights a client lacks on a Kafka with access control lists: asked before it can fail."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from streams.access import Right, Role, rights
from streams.access_faults import NotPermittedError
from streams.settings import Settings

_log = logging.getLogger("librdkafka")
_TIMEOUT_SECONDS = 15.0
_DENIED = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED)
_SHOWN = 4

Answers = dict[tuple[str, str], frozenset[str] | None]
"""By resource and name, the operations allowed; None: the brokers do not say."""


def missing_rights(settings: Settings, role: Role) -> list[Right]:
    """What of the role's rights the brokers do not give this client; empty without credentials.

    A topic that does not exist yet lacks nothing, if the client may know that. Raises
    `KafkaException` where no broker answers.
    """
    if settings.security_protocol == "plaintext":
        return []
    wanted = rights(role, settings)
    return lacking(wanted, answers(settings, wanted))


def answers(settings: Settings, wanted: list[Right]) -> Answers:
    """What the brokers say that this client may do on the topics and groups of these rights.

    Raises `KafkaException` where no broker answers that.
    """
    admin = AdminClient(settings.librdkafka(), logger=_log)
    return {**_topics(admin, wanted), **_groups(admin, wanted)}


def lacking(wanted: list[Right], told: Answers) -> list[Right]:
    """The rights that were asked about and not given, with just the operations that are missing."""
    return list(_lacking(wanted, told))


def ensure_access(settings: Settings, role: Role) -> None:
    """For tools: raises `AccessError` where brokers that answer would not let this role work.

    Brokers that do not answer are no matter here: what follows waits for them and says so.
    """
    if settings.security_protocol == "plaintext":
        return
    from streams.connection import ensure_admitted

    ensure_admitted(settings)
    with contextlib.suppress(KafkaException):
        ensure_permitted(settings, role)


def ensure_permitted(settings: Settings, role: Role) -> None:
    """Raises `NotPermittedError` where `missing_rights` finds any."""
    lacking = missing_rights(settings, role)
    if lacking:
        raise NotPermittedError(sentence(settings, role, lacking))


def sentence(settings: Settings, role: Role, lacking: list[Right]) -> str:
    """Which rights are missing and what to do, in one sentence."""
    who = f"the user {settings.sasl_username}" if settings.sasl_username else "this client"
    named = [
        f"{' and '.join(right.operations).upper()} on the {right.resource} {right.name}"
        for right in lacking[:_SHOWN]
    ]
    more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
    return (
        f"{who} may not {', '.join(named)}{more}: grant that with kafka-acls, as the table of a"
        f" {role} in docs/security.md says"
    )


def _lacking(wanted: list[Right], allowed: Answers) -> Iterator[Right]:
    for right in wanted:
        given = allowed.get((right.resource, right.name))
        if given is None:
            continue
        operations = tuple(name for name in right.operations if name not in given)
        if operations:
            yield Right(right.resource, right.name, operations, right.why)


def _topics(admin: Any, wanted: list[Right]) -> Answers:
    names = [right.name for right in wanted if right.resource == "topic"]
    asked = admin.describe_topics(
        TopicCollection(names),
        include_authorized_operations=True,
        request_timeout=_TIMEOUT_SECONDS,
    )
    return {("topic", name): _answer(future) for name, future in asked.items()}


def _groups(admin: Any, wanted: list[Right]) -> Answers:
    names = [right.name for right in wanted if right.resource == "group"]
    if not names:
        return {}
    asked = admin.describe_consumer_groups(
        names, include_authorized_operations=True, request_timeout=_TIMEOUT_SECONDS
    )
    return {("group", name): _answer(future) for name, future in asked.items()}


def _answer(future: Any) -> frozenset[str] | None:
    """The operations allowed; None: the brokers do not say, or there is no such thing yet."""
    try:
        described = future.result(_TIMEOUT_SECONDS + 5)
    except KafkaException as error:
        fault = error.args[0]
        if fault.code() in _DENIED:
            return frozenset()
        if fault.retriable() or fault.code() < 0:
            raise
        return None
    operations = described.authorized_operations
    return None if operations is None else frozenset(op.name.lower() for op in operations)
