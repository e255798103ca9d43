"""Secrets among the settings: which there are, and how one is read from its file."""

from pathlib import Path

from streams.setting_fields import SettingsError

FILE_SUFFIX = "_file"
SECRETS_OF_FILES = (
    "sasl_password",
    "sasl_token",
    "ssl_key_password",
    "lookup_token",
    "pseudonym_key",
)
"""Every secret can also be the content of a file that the setting `NAME_file` names."""
MAX_SECRET_CHARACTERS = 65_536


def read_secret(name: str, path: Path) -> str:
    """The one line of a secret's file, which the setting `name` names.

    Raises `SettingsError`, which never shows a secret.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"Cannot read {name} {path}: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise SettingsError(f"{name} {path} is not UTF-8 text.") from None
    if not text or len(text) > MAX_SECRET_CHARACTERS or not text.isprintable():
        raise SettingsError(
            f"{name} {path} must hold one line of 1 to {MAX_SECRET_CHARACTERS} characters."
        )
    return text
