"""What these credentials may do on the brokers, and the command that grants what is missing."""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Iterable, Iterator
from typing import Any

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from streams.access import Right, Role, rights
from streams.client_options import token_subject
from streams.findings import Finding, kafka_command, listed
from streams.permissions import Answers, answers, lacking
from streams.settings import Settings

_log = logging.getLogger("librdkafka")
_PROBE_SECONDS = 3.0


def right_findings(settings: Settings, role: Role, existing: frozenset[str]) -> Iterator[Finding]:
    """What this client lacks of a role, one finding for each topic or group.

    `existing` names the topics that are there. Where brokers do not say what is allowed, reading
    is tried; writing cannot be tried without writing, and is said to be unknown.
    """
    wanted = rights(role, settings)
    told: Answers = {}
    try:
        told = answers(settings, wanted)
    except KafkaException as error:
        yield Finding("rights", "note", f"the brokers do not say: {error.args[0].str()}")
    missing = lacking(wanted, told)
    unknown = [right for right in wanted if told.get((right.resource, right.name)) is None]
    topics = [right for right in unknown if right.resource == "topic" and right.name in existing]
    try:
        denied = unreadable(settings, [r.name for r in topics if "read" in r.operations])
    except KafkaException as error:
        denied = set()
        words = f"whether reading is allowed cannot be tried: {error.args[0].str()}"
        yield Finding("rights", "note", words, "see whether all brokers can be reached")
    missing += [right for right in topics if right.name in denied]
    yield from (_lack(settings, role, right) for right in missing)
    unclear = [f"the {r.resource} {r.name}" for r in unknown if r not in missing]
    if unclear:
        yield Finding(
            "rights", "note",
            f"the brokers do not say what this client may do with {listed(unclear)}",
            "compare that with docs/security.md",
        )  # fmt: skip
    if not missing and not unknown:
        article = "an" if role[0] in "aeiou" else "a"
        yield Finding("rights", "ok", f"those of {article} {role}, as docs/security.md lists them")


def creation_finding(settings: Settings, admin: Any, missing: list[str]) -> Finding | None:
    """A note where topics are missing and it is not known that this client may create them.

    Kafka does not say who may create a topic that is not there, by its own name.
    """
    if not missing:
        return None
    try:
        told = admin.describe_cluster(
            include_authorized_operations=True, request_timeout=10
        ).result(15)
    except KafkaException:
        return None
    operations = told.authorized_operations
    if any(op.name in ("CREATE", "ALL") for op in operations or ()):
        return None
    may = "the brokers do not say whether this client may create topics"
    if operations is not None:
        may = "this client may not create every topic. Kafka does not tell whether it may create"
        may += " these by their names"
    words = f"not there, or not shown to this client: {listed(missing)}; {may}"
    allowed = grant(settings, ["Create"], *(("topic", name) for name in missing))
    return Finding("rights", "note", words, f"create them, or: {allowed}")


def unreadable(settings: Settings, topics: list[str]) -> set[str]:
    """Those of these topics that refuse a read: one is tried, of nothing, outside of any group."""
    if not topics:
        return set()
    denied: set[str] = set()
    consumer = Consumer(
        settings.librdkafka(
            **{
                "group.id": settings.group,  # never joined, and nothing is committed
                "enable.auto.commit": False,
                "enable.partition.eof": True,  # the end of a topic: it can be read
            }
        ),
        logger=_log,
    )
    try:
        # Who may not even see a topic gets no answer to a read of it.
        for name in topics:
            fault = consumer.list_topics(name, timeout=_PROBE_SECONDS).topics[name].error
            if fault is not None and fault.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                denied.add(name)
        undecided = set(topics) - denied
        consumer.assign([TopicPartition(name, 0, OFFSET_END) for name in undecided])
        end = time.monotonic() + _PROBE_SECONDS
        while undecided and time.monotonic() < end:
            message = consumer.poll(0.1)
            if message is None or (error := message.error()) is None:
                continue
            told = undecided & {message.topic()}
            undecided -= told
            if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                denied |= told
    finally:
        consumer.close()
    return denied


def principal(settings: Settings) -> str:
    """What the brokers call this client, as far as it can be known here."""
    if settings.security_protocol.startswith("sasl"):
        if settings.sasl_mechanism != "oauthbearer":
            return f"User:{settings.sasl_username}"
        subject = token_subject(settings.secret("sasl_token") or "")
        if subject is not None:
            return f"User:{subject}"
    if settings.security_protocol == "plaintext":
        return "User:ANONYMOUS"
    return "User:NAME"


def _lack(settings: Settings, role: Role, right: Right) -> Finding:
    may = " and ".join(name.upper() for name in right.operations)
    words = f"{principal(settings)} may not {may} on the {right.resource} {right.name}"
    operations = ["".join(map(str.capitalize, name.split("_"))) for name in right.operations]
    advice = grant(settings, operations, (right.resource, right.name))
    return Finding("rights", "fault", f"{words} ({role}: {right.why})", advice)


def grant(settings: Settings, operations: Iterable[str], *resources: tuple[str, str]) -> str:
    """The command that allows this client some operations, such as `Read`, on (kind, name)s."""
    words = ["--add", "--allow-principal", principal(settings)]
    words += [word for name in operations for word in ("--operation", name)]
    words += [word for kind, name in resources for word in (f"--{kind}", name)]
    return kafka_command(settings, "kafka-acls", shlex.join(words))
