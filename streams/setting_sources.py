"""Where settings come from: the flags of a command, the environment and a TOML file."""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streams.setting_fields import SettingsError, parse
from streams.setting_secrets import SECRETS_OF_FILES
from streams.settings import ENVIRONMENT_PREFIX, FIELDS, Settings

_BY_NAME = {f.name: f for f in FIELDS}


def load_settings(
    flags: Mapping[str, object], environ: Mapping[str, str], toml_path: Path | None = None
) -> Settings:
    """The settings that flags, environment and TOML file give together: the first that says wins.

    `flags` maps field names to values; None means not given. Environment names are the field names
    in capitals after `FRESHREC_`; other names with this prefix are left alone, because Kubernetes
    sets such variables for a service called freshrec. Unknown flags and TOML keys are errors.
    Raises `SettingsError`.
    """
    document = _read_toml(toml_path) if toml_path is not None else {}
    for name in document:
        if name not in _BY_NAME:
            raise SettingsError(f"{toml_path} has the unknown key {name!r}{_did_you_mean(name)}.")
    for name in flags:
        if name not in _BY_NAME:
            raise SettingsError(f"There is no setting called {name!r}{_did_you_mean(name)}.")

    values: dict[str, Any] = {}
    for field in FIELDS:
        variable = ENVIRONMENT_PREFIX + field.name.upper()
        if flags.get(field.name) is not None:
            values[field.name] = parse(field, flags[field.name], field.flag or field.name)
        elif variable in environ and field.kind != "table":
            values[field.name] = parse(field, environ[variable], f"environment {variable}")
        elif field.name in document:
            source = f"key {field.name} of {toml_path}"
            values[field.name] = parse(field, document[field.name], source)
    settings = Settings(**values)
    for name in SECRETS_OF_FILES:
        settings.secret(name)  # a file that cannot be read is said now, not at the first use
    settings.pseudonyms()
    return settings


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"Cannot read the settings file {path}: {error.strerror}.") from error
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise SettingsError(f"{path} is not a TOML file: {error}.") from error


def _did_you_mean(name: str) -> str:
    near = difflib.get_close_matches(name, _BY_NAME, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
