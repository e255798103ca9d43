"""How clients reach the brokers, and why brokers that answer do not let them in.

Clients of Kafka retry what can never succeed: a wrong password looks to them like a broker that is
away. So a connection of our own is tried first, and what the broker says against it is said once,
in a sentence.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import AIOKafkaConnection, collect_hosts
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from streams.access_faults import NotAdmittedError, NotPermittedError
from streams.client_options import aiokafka_options
from streams.settings import Settings

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
_PROBE_SECONDS = 10.0
_CLOSE_SECONDS = 2.0


class BrokerUnavailableError(RuntimeError):
    """No broker answered before the deadline, with what to do about it."""


async def connect_admin(settings: Settings) -> AIOKafkaAdminClient:
    """An admin client; retries with a visible message until `broker_deadline_seconds`.

    Raises `BrokerUnavailableError`, and `NotAdmittedError` at once.
    """
    deadline = time.monotonic() + settings.broker_deadline_seconds
    while True:
        await probe(settings)
        admin = AIOKafkaAdminClient(**aiokafka_options(settings), request_timeout_ms=10_000)
        try:
            await admin.start()
        except (KafkaError, OSError) as error:
            await admin.close()
            left = deadline - time.monotonic()
            if left <= 0:
                raise BrokerUnavailableError(
                    f"no Kafka broker answered at {settings.bootstrap} within "
                    f"{settings.broker_deadline_seconds:g} s; start one (`freshrec broker`) or "
                    f"correct --bootstrap{other_protocol(settings)}"
                ) from error
            log.warning(
                "no Kafka broker at %s yet, trying again for %.0f s", settings.bootstrap, left
            )
            await asyncio.sleep(min(_RETRY_SECONDS, left))
        else:
            return admin


def ensure_admitted(settings: Settings) -> None:
    """`probe` for tools without an event loop."""
    if settings.security_protocol != "plaintext":
        asyncio.run(probe(settings))


async def probe(settings: Settings) -> None:
    """Connect once, with TLS and SASL, and leave; brokers that do not answer are no matter here.

    Does nothing where neither is asked for. Raises `NotAdmittedError`.
    """
    if settings.security_protocol == "plaintext":
        return
    options = aiokafka_options(settings)
    hosts = collect_hosts(options.pop("bootstrap_servers"))
    options |= {"request_timeout_ms": int(_PROBE_SECONDS * 1000), "client_id": "freshrec-probe"}
    for host, port, _ in hosts:
        connection = AIOKafkaConnection(host, port, **options)
        try:
            await connection.connect()
            if await _token_refused(settings, connection):
                raise NotAdmittedError(f"{host}:{port} {_wrong(settings)}")
            return
        except (KafkaError, OSError, TimeoutError, EOFError) as error:
            words = _refusal(settings, error)
            if words is not None:
                raise NotAdmittedError(f"{host}:{port} {words}") from error
        finally:
            await _close(connection)


async def _close(connection: Any) -> None:
    """Close, and wait for the transport: a loop that ends first would leave the socket open."""
    closed = connection.close()
    if connection._protocol is not None:
        await asyncio.wait([closed], timeout=_CLOSE_SECONDS)


async def _token_refused(settings: Settings, connection: Any) -> bool:
    """Whether a connection that seems to be made is none.

    A refused token is told in a challenge, which aiokafka takes for a welcome. The next request
    then gets an answer that names no broker, or an end of the connection.
    """
    if settings.sasl_mechanism != "oauthbearer":
        return False
    try:
        metadata = await connection.send(MetadataRequest([]))
    except KafkaError:
        return True
    return not metadata.brokers


def _refusal(settings: Settings, error: BaseException) -> str | None:
    """What a broker that answered has against this client; None: it did not answer."""
    for fault in _causes(error):
        if isinstance(fault, ssl.SSLCertVerificationError):
            return (
                f"shows a certificate that is not trusted here ({fault.verify_message}): say"
                " --ssl-ca-file with the authority that signed it, and the host name it was made"
                " for in --bootstrap"
            )
        if isinstance(fault, ssl.SSLError):
            return (
                f"ends the TLS connection ({fault.reason or fault}): correct --security-protocol"
                " or the port, and give --ssl-certificate-file and --ssl-key-file where it asks"
                " for a client certificate"
            )
        if isinstance(fault, UnsupportedSaslMechanismError):
            return (
                f"does not take SASL {settings.sasl_mechanism.upper()}: correct --sasl-mechanism"
                f" ({fault.args[0] if fault.args else 'it does not say what it takes'})"
            )
        if isinstance(fault, SaslAuthenticationFailed):
            return _wrong(settings)
    return None


def _wrong(settings: Settings) -> str:
    if settings.sasl_mechanism == "oauthbearer":
        return (
            "refuses the token: correct FRESHREC_SASL_TOKEN or --sasl-token-file; it may have"
            " ended, or be of an issuer or for an audience that the brokers do not expect"
        )
    return (
        f"refuses the user {settings.sasl_username}: correct --sasl-username, the password"
        " (FRESHREC_SASL_PASSWORD or --sasl-password-file) or --sasl-mechanism"
    )


def raise_if_denied(error: BaseException, deed: str) -> None:
    """Raises `NotPermittedError` where an error says that a right is missing: no retry helps."""
    if isinstance(error, TopicAuthorizationFailedError | GroupAuthorizationFailedError):
        raise NotPermittedError(
            f"the brokers do not permit {deed} ({type(error).__name__}): grant what the table of a"
            " worker in docs/security.md says, with kafka-acls"
        ) from error


def other_protocol(settings: Settings) -> str:
    """What else may be the matter where no broker answers: words to add to a message."""
    if settings.security_protocol == "plaintext":
        return ""
    return f", or --security-protocol: that port may not speak {settings.security_protocol}"


def _causes(error: BaseException | None) -> Any:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
