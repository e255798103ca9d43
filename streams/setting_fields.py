"""What one setting is: its kind, bounds, help and names, and how its value is read from outside."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

Kind = Literal["text", "integer", "number", "switch", "path", "table"]

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


class SettingsError(ValueError):
    """A setting that cannot be used; the message is one sentence for the person who set it."""


@dataclass(frozen=True, slots=True)
class EventTypeChange:
    """What `[event_types.NAME]` of the TOML file says; None leaves the built-in value.

    A new name starts from the values of `click`. Polarity is 1, 0 (impression) or -1 (dislike).
    """

    name: str
    weight: float | None = None
    half_life_seconds: float | None = None
    polarity: int | None = None


@dataclass(frozen=True, slots=True)
class SettingField:
    """One row of the table of settings. `minimum` and `maximum` are inclusive."""

    name: str
    kind: Kind
    help: str
    default: Any
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    optional: bool  # an empty text means "not set"
    secret: bool
    flag: str | None  # None: no flag (secrets show in process lists; tables do not fit)

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        if self.choices:
            words = ", ".join(self.choices[:-1]) + " or " + self.choices[-1]
        elif self.kind == "switch":
            words = "true or false"
        elif self.kind == "integer":
            words = f"a whole number from {self.minimum:.0f} to {self.maximum:.0f}"
        elif self.kind == "number":
            words = f"a number from {self.minimum:g} to {self.maximum:g}"
        elif self.kind == "path":
            words = "a path"
        elif self.kind == "table":
            words = "a table of tables"
        else:
            words = "text without control characters"
        return words + ", or nothing" if self.optional else words


def setting(
    default: Any,
    words: str,
    minimum: float | None = None,
    maximum: float | None = None,
    *,
    optional: bool = False,
    secret: bool = False,
    flag: str | None = None,
) -> Any:
    """A dataclass field that carries what the table of settings needs to know."""
    facts = {
        "help": words,
        "minimum": minimum,
        "maximum": maximum,
        "optional": optional,
        "secret": secret,
        "flag": flag,
    }
    return dataclasses.field(default=default, metadata=facts)


def fields_of(settings_type: type[Any]) -> tuple[SettingField, ...]:
    """The table of settings that a dataclass made with `setting` defines."""
    hints = get_type_hints(settings_type)
    return tuple(_field_of(f, hints[f.name]) for f in dataclasses.fields(settings_type))


def parse(field: SettingField, given: object, source: str) -> Any:
    """The value of a setting given as text (flag, environment) or as a TOML value.

    Raises `SettingsError` naming the setting, the source and what is allowed.
    """
    try:
        return _READERS[field.kind](field, given)
    except SettingsError as error:  # of one entry of a table
        raise SettingsError(f"{str(error)[:-1]} ({source}).") from None
    except (ValueError, TypeError):
        shown = "***" if field.secret else repr(given)
        hint = ""
        if isinstance(given, str) and given.startswith("tcp://"):
            hint = " (Kubernetes sets such variables: use enableServiceLinks: false)"
        raise SettingsError(
            f"{field.name} is {shown} ({source}); allowed: {field.allowed}{hint}."
        ) from None


def _field_of(f: dataclasses.Field[Any], hint: Any) -> SettingField:
    parts = get_args(hint) if type(None) in get_args(hint) else (hint,)
    inner = next(part for part in parts if part is not type(None))
    choices = get_args(inner) if get_origin(inner) is Literal else ()
    kinds: dict[Any, Kind] = {
        bool: "switch", int: "integer", float: "number", str: "text", Path: "path",
    }  # fmt: skip
    kind = "text" if choices else kinds.get(inner, "table")
    facts = f.metadata
    hidden = facts["secret"] or kind == "table"
    return SettingField(
        name=f.name,
        kind=kind,
        help=facts["help"],
        default=f.default,
        minimum=facts["minimum"],
        maximum=facts["maximum"],
        choices=choices,
        optional=facts["optional"] or len(parts) > 1,
        secret=facts["secret"],
        flag=None if hidden else facts["flag"] or "--" + f.name.replace("_", "-"),
    )


def _switch(_field: SettingField, given: object) -> bool:
    if isinstance(given, bool):
        return given
    word = given.strip().lower() if isinstance(given, str) else ""
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError


def _integer(field: SettingField, given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int | str):
        raise TypeError
    return int(_bounded(field, int(given)))


def _number(field: SettingField, given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise TypeError
    return float(_bounded(field, float(given)))


def _bounded(field: SettingField, value: float) -> float:
    low = -math.inf if field.minimum is None else field.minimum
    high = math.inf if field.maximum is None else field.maximum
    if not low <= value <= high:  # NaN included
        raise ValueError
    return value


def _text(field: SettingField, given: object) -> str | None:
    if not isinstance(given, str):
        raise TypeError
    if field.choices:
        word = given.strip().lower()
        if word in field.choices:
            return word
        if word == "" and field.optional:
            return None
        raise ValueError
    if given == "" and field.optional:
        return field.default if isinstance(field.default, str) else None
    if not given.strip() or not given.isprintable():
        raise ValueError
    return given


def _path(field: SettingField, given: object) -> Path | None:
    if isinstance(given, Path):
        return given
    text = _text(field, given)
    return None if text is None else Path(text)


def _event_types(field: SettingField, given: object) -> tuple[EventTypeChange, ...]:
    if not isinstance(given, Mapping):
        raise TypeError
    changes = []
    for name, table in given.items():
        if not isinstance(table, Mapping):
            raise SettingsError(
                f"{field.name}.{name} is {table!r}; allowed: a table [{field.name}.{name}]."
            )
        for key, value in table.items():
            _check_event_type(f"{field.name}.{name}.{key}", key, value)
        changes.append(EventTypeChange(name, **table))
    return tuple(changes)


_EVENT_TYPE_BOUNDS = {"weight": (0, 1e3), "half_life_seconds": (1, 1e9), "polarity": (-1, 1)}


def _check_event_type(name: str, key: str, value: object) -> None:
    if key not in _EVENT_TYPE_BOUNDS:
        known = ", ".join(_EVENT_TYPE_BOUNDS)
        raise SettingsError(f"{name} is unknown; an event type has {known}.")
    low, high = _EVENT_TYPE_BOUNDS[key]
    whole = key == "polarity"
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:  # type: ignore[operator]
        kind = "a whole number" if whole else "a number"
        raise SettingsError(f"{name} is {value!r}; allowed: {kind} from {low:g} to {high:g}.")


_READERS: dict[Kind, Callable[[SettingField, object], Any]] = {
    "switch": _switch,
    "integer": _integer,
    "number": _number,
    "text": _text,
    "path": _path,
    "table": _event_types,
}
