"""What settings must satisfy together: each by itself is checked where it is read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from streams.setting_fields import SettingsError
from streams.setting_secrets import FILE_SUFFIX, SECRETS_OF_FILES

if TYPE_CHECKING:
    from streams.settings import Settings

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,200}")


def check_together(settings: Settings) -> None:
    """Raises `SettingsError` where two settings contradict each other or one lacks another."""
    for name in ("clicks_topic", "items_topic", "recommendations_topic"):
        _check_topic(name, settings.topic_prefix + getattr(settings, name))
    topics = [settings.clicks, settings.items, settings.recommendations]
    if len(set(topics)) < len(topics):
        raise SettingsError(
            "clicks_topic, items_topic and recommendations_topic must be three different names,"
            f" not {', '.join(topics)}."
        )
    if settings.heartbeat_seconds * 3 > settings.session_timeout_seconds:
        raise SettingsError(
            f"heartbeat_seconds {settings.heartbeat_seconds:g} must be at most a third of"
            f" session_timeout_seconds {settings.session_timeout_seconds:g}."
        )
    if settings.trending_half_life_seconds >= settings.popularity_half_life_seconds:
        raise SettingsError(
            "trending_half_life_seconds must be shorter than popularity_half_life_seconds:"
            " trending is the ratio of a short to a long half-life."
        )
    for name in SECRETS_OF_FILES:
        if getattr(settings, name) and getattr(settings, name + FILE_SUFFIX):
            raise SettingsError(f"Give {name} or {name}{FILE_SUFFIX}, not both.")
    if settings.security_protocol.startswith("sasl"):
        _check_sasl(settings)
    if (settings.ssl_certificate_file is None) != (settings.ssl_key_file is None):
        raise SettingsError("ssl_certificate_file and ssl_key_file need each other.")


def _check_sasl(settings: Settings) -> None:
    said = f"security_protocol {settings.security_protocol} with sasl_mechanism"
    if settings.sasl_mechanism == "oauthbearer":
        if not (settings.sasl_token or settings.sasl_token_file):
            raise SettingsError(
                f"{said} oauthbearer needs sasl_token_file, or sasl_token in the environment."
            )
    elif not settings.sasl_username or not (settings.sasl_password or settings.sasl_password_file):
        raise SettingsError(
            f"{said} {settings.sasl_mechanism} needs sasl_username, and sasl_password_file or"
            " sasl_password in the environment."
        )


def _check_topic(name: str, topic: str) -> None:
    if not _TOPIC.fullmatch(topic):
        raise SettingsError(
            f"{name} gives the topic {topic!r}; allowed: 1 to 200 characters of"
            " A-Z a-z 0-9 . _ and -."
        )
