"""Missing rights as commands that grant them."""

import base64
import json

from streams.access import Right
from streams.right_checks import _lack, principal
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
        " --allow-principal 'User:ann' --operation Read --operation DescribeConfigs"
        " --topic clicks.dead-letter"
    )


def test_a_group_is_named_as_a_group() -> None:
    finding = _lack(SCRAM, "worker", Right("group", "freshrec", ("read",), "partitions"))
    assert finding.advice.endswith("--operation Read --group freshrec")


def test_a_bearer_of_a_token_is_called_as_the_token_says() -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"sub": "svc", "exp": 5}).encode()).decode()
    token = SCRAM.replace(sasl_mechanism="oauthbearer", sasl_token=f"e30.{claims.rstrip('=')}.x")
    assert principal(token) == "User:svc"
    assert principal(token.replace(sasl_token="opaque")) == "User:NAME"
    assert principal(Settings()) == "User:ANONYMOUS"
