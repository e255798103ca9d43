"""What clients are told of the brokers: addresses, TLS, SASL; for librdkafka and for aiokafka.

Passwords are taken from their files when a client is made. A bearer token is taken whenever a
connection is made: whoever renews the file (a Kubernetes projected token, a sidecar) thereby renews
the token of every client, without a restart.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from streams.settings import Settings

_OPAQUE_TOKEN_SECONDS = 60.0
"""A token that does not say when it ends is asked for again after this."""


class _Claims(msgspec.Struct):
    exp: float | None = None
    sub: object = None


def librdkafka_options(settings: Settings) -> dict[str, Any]:
    """Options of a confluent-kafka client. Raises `SettingsError` for a secret's file."""
    options: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap,
        "security.protocol": settings.security_protocol,
    }
    if settings.security_protocol.startswith("sasl"):
        options["sasl.mechanism"] = settings.sasl_mechanism.upper()
        if settings.sasl_mechanism == "oauthbearer":
            options["oauth_cb"] = lambda _config: _token_and_end(settings)
        else:
            options["sasl.username"] = settings.sasl_username
            options["sasl.password"] = settings.secret("sasl_password")
    files = {
        "ssl.ca.location": settings.ssl_ca_file,
        "ssl.certificate.location": settings.ssl_certificate_file,
        "ssl.key.location": settings.ssl_key_file,
    }
    options |= {name: str(path) for name, path in files.items() if path is not None}
    key_password = settings.secret("ssl_key_password")
    return options if key_password is None else options | {"ssl.key.password": key_password}


def aiokafka_options(settings: Settings) -> dict[str, Any]:
    """Options of an aiokafka client. Raises `SettingsError` for a file that cannot be used."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap.split(","),
        "security_protocol": settings.security_protocol.upper(),
    }
    if settings.security_protocol.startswith("sasl"):
        options["sasl_mechanism"] = settings.sasl_mechanism.upper()
        if settings.sasl_mechanism == "oauthbearer":
            options["sasl_oauth_token_provider"] = _token_provider(lambda: _token(settings))
        else:
            options["sasl_plain_username"] = settings.sasl_username
            options["sasl_plain_password"] = settings.secret("sasl_password")
    if settings.security_protocol.endswith("ssl"):
        options["ssl_context"] = _ssl_context(settings)
    return options


def token_end_seconds(token: str, now_seconds: float) -> float:
    """When a bearer token ends, Unix time: as a JWT says, else a short while from now.

    The signature is the brokers' to check.
    """
    end = _claims(token).exp
    return now_seconds + _OPAQUE_TOKEN_SECONDS if end is None else end


def token_subject(token: str) -> str | None:
    """Whom a bearer token names: what brokers call its bearer by default; None: unknown."""
    subject = _claims(token).sub
    return subject if isinstance(subject, str) else None


def _claims(token: str) -> _Claims:
    parts = token.split(".")
    if len(parts) == 3:
        try:
            payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
            return msgspec.json.decode(payload, type=_Claims)
        except (binascii.Error, ValueError, msgspec.DecodeError):
            pass
    return _Claims()


def _token(settings: Settings) -> str:
    return settings.secret("sasl_token") or ""


def _token_and_end(settings: Settings) -> tuple[str, float]:
    token = _token(settings)
    return token, token_end_seconds(token, time.time())


def _token_provider(read: Callable[[], str]) -> Any:
    from aiokafka.abc import AbstractTokenProvider

    class TokenOfSettings(AbstractTokenProvider):  # type: ignore[misc]
        """Gives the token as it is when a connection is made."""

        async def token(self) -> str:
            return read()

    return TokenOfSettings()


def _ssl_context(settings: Settings) -> Any:
    import ssl

    from aiokafka.helpers import create_ssl_context

    from streams.setting_fields import SettingsError

    paths = (settings.ssl_ca_file, settings.ssl_certificate_file, settings.ssl_key_file)
    ca_file, certificate_file, key_file = (str(path) if path else None for path in paths)
    try:
        return create_ssl_context(
            cafile=ca_file,
            certfile=certificate_file,
            keyfile=key_file,
            password=settings.secret("ssl_key_password"),
        )
    except (OSError, ssl.SSLError) as error:
        named = ", ".join(str(path) for path in paths if path)
        raise SettingsError(
            f"The certificates of {named} cannot be used ({error}): correct ssl_ca_file,"
            " ssl_certificate_file, ssl_key_file and the key's password."
        ) from error
