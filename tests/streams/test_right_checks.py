"""Missing rights as commands that grant them."""

import base64
import json
import shlex
from types import SimpleNamespace
from typing import Any

import click
import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.access import ROLES, Right, rights
from streams.cli.check import check
from streams.right_checks import _lack, creation_finding, principal, right_findings
from streams.settings import Settings

SCRAM = Settings(
    bootstrap="kafka-1:9093", security_protocol="sasl_ssl", sasl_mechanism="scram-sha-512",
    sasl_username="ann", sasl_password="secret",
)  # fmt: skip


def test_a_missing_right_comes_with_the_command_that_grants_it() -> None:
    right = Right("topic", "clicks.dead-letter", ("read", "describe_configs"), "bad clicks")
    finding = _lack(SCRAM, "worker", right)
    assert finding.level == "fault"
    assert "User:ann may not READ and DESCRIBE_CONFIGS on the topic clicks.dead-letter" in (
        finding.words
    )
    assert finding.advice == (
        "kafka-acls --bootstrap-server kafka-1:9093 --command-config ADMIN --add"
        " --allow-principal User:ann --operation Read --operation DescribeConfigs"
        " --topic clicks.dead-letter"
    )


def test_a_group_is_named_as_a_group() -> None:
    finding = _lack(SCRAM, "worker", Right("group", "freshrec", ("read",), "partitions"))
    assert finding.advice.endswith("--operation Read --group freshrec")


def test_names_that_a_shell_would_read_otherwise_are_quoted() -> None:
    settings = SCRAM.replace(sasl_username="o'neil")
    advice = _lack(settings, "worker", Right("group", "my group", ("read",), "partitions")).advice
    said = shlex.split(advice)
    assert said[said.index("--allow-principal") + 1] == "User:o'neil"
    assert said[said.index("--group") + 1] == "my group"


def test_a_bearer_of_a_token_is_called_as_the_token_says() -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"sub": "svc", "exp": 5}).encode()).decode()
    token = SCRAM.replace(sasl_mechanism="oauthbearer", sasl_token=f"e30.{claims.rstrip('=')}.x")
    assert principal(token) == "User:svc"
    assert principal(token.replace(sasl_token="opaque")) == "User:NAME"
    assert principal(Settings()) == "User:ANONYMOUS"


def found_for(
    monkeypatch: pytest.MonkeyPatch, told: dict[tuple[str, str], frozenset[str] | None]
) -> list[tuple[str, str]]:
    """A subscriber's findings where the brokers answer so, and its topic is there."""
    monkeypatch.setattr("streams.right_checks.answers", lambda *_: told)
    existing = frozenset({SCRAM.recommendations})
    return [(f.level, f.words) for f in right_findings(SCRAM, "subscriber", existing)]


def test_rights_are_well_only_where_the_brokers_told_them_and_a_refused_read_is_a_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (right,) = rights("subscriber", SCRAM)
    key = (right.resource, right.name)
    ((level, _),) = found_for(monkeypatch, {key: frozenset({"read", "describe"})})
    assert level == "ok"
    monkeypatch.setattr("streams.right_checks.unreadable", lambda *_: set())
    ((level, words),) = found_for(monkeypatch, {key: None})
    assert level == "note"
    assert words == "the brokers do not say what this client may do with the topic recommendations"
    monkeypatch.setattr("streams.right_checks.unreadable", lambda *_: {SCRAM.recommendations})
    ((level, words),) = found_for(monkeypatch, {key: None})
    assert level == "fault"
    assert "on the topic recommendations (subscriber: lists)" in words


@pytest.mark.parametrize(
    ("existing", "asked"),
    [({SCRAM.clicks}, []), ({SCRAM.clicks, SCRAM.receipts_topic}, [SCRAM.receipts_topic])],
)
def test_a_read_is_tried_of_topics_that_are_there_and_to_be_read(
    monkeypatch: pytest.MonkeyPatch, existing: set[str], asked: list[str]
) -> None:
    tried: list[str] = []

    def unreadable(_: Settings, topics: list[str]) -> set[str]:
        tried.extend(topics)
        return set()

    monkeypatch.setattr("streams.right_checks.answers", lambda *_: {})
    monkeypatch.setattr("streams.right_checks.unreadable", unreadable)
    list(right_findings(SCRAM, "eraser", frozenset(existing)))
    assert tried == asked


def test_every_role_can_be_asked_for() -> None:
    (kind,) = [option.type for option in check.params if option.name == "role"]
    assert isinstance(kind, click.Choice)
    assert tuple(kind.choices) == ROLES


def test_brokers_that_go_away_while_a_read_is_tried_are_a_note(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: object) -> set[str]:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    monkeypatch.setattr("streams.right_checks.unreadable", away)
    found = found_for(monkeypatch, {})
    assert {level for level, _ in found} == {"note"}
    assert "whether reading is allowed cannot be tried" in found[0][1]


def cluster_that_allows(operations: list[str] | None) -> Any:
    ops = None if operations is None else [SimpleNamespace(name=name) for name in operations]
    answer = SimpleNamespace(result=lambda _: SimpleNamespace(authorized_operations=ops))
    return SimpleNamespace(describe_cluster=lambda **_: answer)


def test_who_may_create_topics_is_told_nothing_and_else_what_is_not_known() -> None:
    assert creation_finding(SCRAM, cluster_that_allows(["CREATE"]), ["clicks"]) is None
    assert creation_finding(SCRAM, cluster_that_allows([]), []) is None
    denied = creation_finding(SCRAM, cluster_that_allows([]), ["clicks"])
    silent = creation_finding(SCRAM, cluster_that_allows(None), ["clicks"])
    assert denied is not None
    assert silent is not None
    assert "may not create every topic" in denied.words
    assert "do not say whether this client may create topics" in silent.words
    assert "--operation Create --topic clicks" in denied.advice
