"""What clients are told of the brokers, and when a token ends."""

import base64
import json
from pathlib import Path

import pytest

from streams.client_options import aiokafka_options, librdkafka_options, token_end_seconds
from streams.settings import Settings, SettingsError


def test_client_options_carry_credentials_only_where_they_are_used() -> None:
    plain = Settings(bootstrap="a:1,b:2").librdkafka(linger_ms=1)
    assert plain == {
        "bootstrap.servers": "a:1,b:2", "security.protocol": "plaintext", "linger_ms": 1,
    }  # fmt: skip
    secure = Settings(
        security_protocol="sasl_ssl", sasl_mechanism="scram-sha-512", sasl_username="u",
        sasl_password="p", ssl_ca_file=Path("/ca.pem"),
    ).librdkafka()  # fmt: skip
    assert secure["sasl.mechanism"] == "SCRAM-SHA-512"
    assert (secure["sasl.username"], secure["sasl.password"]) == ("u", "p")
    assert secure["ssl.ca.location"] == "/ca.pem"


def _jwt(claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


def test_a_token_ends_when_it_says_and_is_asked_for_again_soon_where_it_does_not() -> None:
    assert token_end_seconds(_jwt({"exp": 1234, "sub": "ann"}), 1000.0) == 1234
    opaque = ["opaque", "a.b", "a.!!.c", _jwt({}), _jwt([]), _jwt({"exp": "soon"}), "é.é.é"]
    assert {token_end_seconds(token, 1000.0) for token in opaque} == {1060.0}


async def test_a_renewed_token_file_reaches_both_clients(tmp_path: Path) -> None:
    path = tmp_path / "token"
    settings = Settings(
        security_protocol="sasl_plaintext", sasl_mechanism="oauthbearer", sasl_token_file=path
    )
    of_librdkafka = librdkafka_options(settings)["oauth_cb"]
    of_aiokafka = aiokafka_options(settings)["sasl_oauth_token_provider"]
    for token, end in ((_jwt({"exp": 11}), 11), (_jwt({"exp": 22}), 22)):
        path.write_text(token + "\n")
        assert of_librdkafka("") == (token, end)
        assert await of_aiokafka.token() == token


def test_certificates_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    nothing = tmp_path / "ca.pem"
    nothing.write_text("no certificate")
    with pytest.raises(SettingsError, match="ca.pem"):
        aiokafka_options(Settings(security_protocol="ssl", ssl_ca_file=nothing))
