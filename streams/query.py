"""Query strings of the HTTP server: which parameters there are, and the words for others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec

_WHOLE = re.compile("[0-9]{1,9}", re.ASCII)
_MOST_SHOWN = 40  # characters of what was given


class QueryError(ValueError):
    """A query string that is not understood; the message says what to give instead."""


class Whole(msgspec.Struct, frozen=True):
    """A parameter that is a whole number of a range."""

    name: str
    words: str
    minimum: int
    maximum: int
    default: int

    def read(self, text: str) -> int:
        """The number of a given text. Raises QueryError."""
        if _WHOLE.fullmatch(text) and self.minimum <= int(text) <= self.maximum:
            return int(text)
        raise QueryError(
            f"{self.name} is a whole number from {self.minimum} to {self.maximum},"
            f" not {text[:_MOST_SHOWN]!r}."
        )

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the value."""
        return {
            "type": "integer",
            "minimum": self.minimum,
            "maximum": self.maximum,
            "default": self.default,
        }


class Choice(msgspec.Struct, frozen=True):
    """A parameter that is one of some words, the first unless told otherwise."""

    name: str
    words: str
    choices: tuple[str, ...]

    @property
    def default(self) -> str:
        """What counts where nothing is given."""
        return self.choices[0]

    def read(self, text: str) -> str:
        """The word of a given text. Raises QueryError."""
        if text in self.choices:
            return text
        raise QueryError(
            f"{self.name} is one of {', '.join(self.choices)}, not {text[:_MOST_SHOWN]!r}."
        )

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the value."""
        return {"type": "string", "enum": list(self.choices), "default": self.default}


Parameter = Whole | Choice

TRENDING_LIMIT = Whole("limit", "Most items to answer with.", 1, 100, 20)
SESSION_GAP = Whole(
    "gap_seconds", "A longer pause between two events ends a session.", 60, 7 * 86_400, 30 * 60
)
EXPORT_FORMAT = Choice("format", "How the graph is written.", ("graphml",))


def read_query(query: str, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """The value of every parameter, by name, the default of those that are not given.

    Raises QueryError for what is unknown, given twice or no value of its parameter.
    """
    values: dict[str, Any] = {parameter.name: parameter.default for parameter in parameters}
    known = {parameter.name: parameter for parameter in parameters}
    given: set[str] = set()
    for name, text in _pairs(query):
        if name not in known:
            ours = ", ".join(known) if known else "none"
            raise QueryError(
                f"There is no parameter {name[:_MOST_SHOWN]!r} here; there is: {ours}."
            )
        if name in given:
            raise QueryError(f"{name} is given twice: give it once.")
        given.add(name)
        values[name] = known[name].read(text)
    return values


def _pairs(query: str) -> list[tuple[str, str]]:
    if not query:
        return []
    try:
        return parse_qsl(
            query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=20
        )
    except ValueError as error:  # UnicodeDecodeError too
        raise QueryError(
            "The query is not of the form name=value&name=value, in percent-encoded UTF-8."
        ) from error
