"""Who may look things up: whoever has the token, and for figures alone a person on this machine."""

from __future__ import annotations

import hmac
import ipaddress
from email.message import Message
from urllib.parse import urlsplit


class LookupAccess:
    """The rules of access, by a request's headers and the address of the peer."""

    def __init__(self, token: str | None) -> None:
        """`token`: None where look-ups are off."""
        self._token = token

    def refusal(self, headers: Message) -> str | None:
        """Why this peer may not look anything up; None: it may."""
        if self._token is None:
            return (
                "Look-ups are off: set FRESHREC_LOOKUP_TOKEN for the worker, and for whoever asks."
            )
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return (
                "Look-ups need the worker's look-up token: Authorization: Bearer TOKEN"
                " (freshrec graph takes it from FRESHREC_LOOKUP_TOKEN)."
            )
        if hmac.compare_digest(given.strip().encode(), self._token.encode()):
            return None
        return "The look-up token is wrong."

    @staticmethod
    def is_this_machine(headers: Message, client: str) -> bool:
        """Whether a person on this machine asks, as far as can be told.

        The Host check keeps web pages of other origins out (DNS rebinding); a forwarded request
        comes from a proxy on this machine and says nothing about who asked. A token that is given
        must be right.
        """
        forwarded = "X-Forwarded-For" in headers or "Forwarded" in headers
        local = _is_loopback(client) and _is_local_name(headers.get("Host", ""))
        return local and not forwarded and "Authorization" not in headers


def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def _is_local_name(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or _is_loopback(name)
