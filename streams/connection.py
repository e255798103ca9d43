"""How the shell's aiokafka clients reach the brokers: one place for addresses and credentials."""

import asyncio
import logging
import time
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.helpers import create_ssl_context

from streams.settings import Settings

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0


class BrokerUnavailableError(RuntimeError):
    """No broker answered before the deadline, with what to do about it."""


def client_options(settings: Settings) -> dict[str, Any]:
    """Options shared by every aiokafka client: brokers, protocol, credentials."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap.split(","),
        "security_protocol": settings.security_protocol.upper(),
    }
    if settings.security_protocol.startswith("sasl"):
        options["sasl_mechanism"] = settings.sasl_mechanism.upper()
        options["sasl_plain_username"] = settings.sasl_username
        options["sasl_plain_password"] = settings.sasl_password
    if settings.security_protocol.endswith("ssl"):
        cafile = str(settings.ssl_ca_file) if settings.ssl_ca_file else None
        options["ssl_context"] = create_ssl_context(cafile=cafile)
    return options


async def connect_admin(settings: Settings) -> AIOKafkaAdminClient:
    """An admin client; retries with a visible message until `broker_deadline_seconds`.

    Raises `BrokerUnavailableError`.
    """
    deadline = time.monotonic() + settings.broker_deadline_seconds
    while True:
        admin = AIOKafkaAdminClient(**client_options(settings), request_timeout_ms=10_000)
        try:
            await admin.start()
        except (KafkaError, OSError) as error:
            await admin.close()
            left = deadline - time.monotonic()
            if left <= 0:
                raise BrokerUnavailableError(
                    f"no Kafka broker answered at {settings.bootstrap} within "
                    f"{settings.broker_deadline_seconds:g} s; start one (`freshrec broker`) or "
                    "correct --bootstrap"
                ) from error
            log.warning(
                "no Kafka broker at %s yet, trying again for %.0f s", settings.bootstrap, left
            )
            await asyncio.sleep(min(_RETRY_SECONDS, left))
        else:
            return admin
