"""The generated parts of the documentation: settings, metrics, rights and others, from the code.

`python -m streams.reference docs` rewrites them, `--check` tells whether they are fresh. A part
stands between `<!-- generated: NAME -->` and `<!-- end of generated -->`; the text around it is
written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from streams import topic_table
from streams.access import ROLES, rights
from streams.event_types import DEFAULT_EVENT_TYPES
from streams.metrics import Metrics
from streams.setting_fields import SettingField
from streams.settings import ENVIRONMENT_PREFIX, FIELDS, Settings

_PART = re.compile(
    r"(<!-- generated: (?P<name>[a-z ]+) -->\n).*?(\n<!-- end of generated -->)", re.DOTALL
)


class UnknownPartError(ValueError):
    """A document that asks for a part that does not exist; the message names both."""


def settings_table() -> str:
    """Every setting: name, flag, default, allowed values, meaning."""
    rows = [
        (
            f"`{field.name}`",
            _flag(field),
            _default(field),
            field.allowed.removesuffix(", or nothing"),
            field.help,
        )
        for field in FIELDS
    ]
    return _table(("setting", "flag", "default", "allowed", "meaning"), rows)


def metrics_table() -> str:
    """Every metric: exported name, type, labels, meaning."""
    rows = []
    for metric in vars(Metrics()).values():
        for family in getattr(metric, "describe", list)():
            suffix = "_total" if family.type == "counter" else ""
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)
            name = f"`{family.name}{suffix}`"
            rows.append((name, family.type, labels or "-", family.documentation))
    return _table(("metric", "type", "labels", "meaning"), rows)


def event_types_table() -> str:
    """The built-in event types."""
    rows = [
        (
            f"`{kind.name}`",
            f"{kind.weight:g}",
            f"{kind.half_life_seconds / 86_400:g} days",
            {1: "interest", 0: "neutral", -1: "aversion"}[kind.polarity],
        )
        for kind in DEFAULT_EVENT_TYPES
    ]
    return _table(("event type", "weight", "half-life", "polarity"), rows)


def rights_table() -> str:
    """Who needs which rights, with the names that the default settings give."""
    rows = [
        (
            role,
            f"{right.resource} `{right.name}`",
            ", ".join(name.upper() for name in right.operations),
            right.why,
        )
        for role in ROLES
        for right in rights(role, Settings())
    ]
    return _table(("role", "on", "operations", "for"), rows)


def topics_table() -> str:
    """Every topic, with the names that the default settings give."""
    return _table(topic_table.NAMES, topic_table.rows(Settings()))


PARTS = {
    "rights": rights_table,
    "topics": topics_table,
    "settings": settings_table,
    "metrics": metrics_table,
    "event types": event_types_table,
}


def fresh(text: str) -> str:
    """A document with its generated parts as the code says them. Raises `UnknownPartError`."""

    def part(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in PARTS:
            raise UnknownPartError(f"There is no part {name!r}; there are {', '.join(PARTS)}.")
        return f"{match[1]}{PARTS[name]()}{match[3]}"

    return _PART.sub(part, text)


def stale(directory: Path) -> list[Path]:
    """The documents whose generated parts differ from what the code says."""
    documents = sorted(directory.glob("*.md"))
    return [path for path in documents if (text := _read(path)) != fresh(text)]


def write(directory: Path) -> list[Path]:
    """Refresh the documents of a directory; the ones that changed."""
    changed = stale(directory)
    for path in changed:
        path.write_text(fresh(_read(path)), encoding="utf-8")
    return changed


def main(arguments: Sequence[str]) -> int:
    """Refresh the documents in a directory, or check them; the exit code."""
    check = "--check" in arguments
    directories = [Path(argument) for argument in arguments if argument != "--check"]
    if len(directories) != 1 or not directories[0].is_dir():
        sys.stderr.write("usage: python -m streams.reference [--check] DIRECTORY\n")
        return 2
    found = stale(directories[0]) if check else write(directories[0])
    for path in found:
        sys.stderr.write(f"{'stale' if check else 'wrote'} {path}\n")
    return 1 if check and found else 0


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _flag(field: SettingField) -> str:
    if field.flag is not None:
        no = f" / `--no-{field.flag[2:]}`" if field.kind == "switch" else ""
        return f"`{field.flag}`{no}"
    if field.kind == "table":
        return "none: TOML file"
    return f"none: `{ENVIRONMENT_PREFIX}{field.name.upper()}`, TOML or its file"


def _default(field: SettingField) -> str:
    if field.default is None or field.default in ("", ()):
        return "-"
    if isinstance(field.default, bool):
        return "on" if field.default else "off"
    if isinstance(field.default, float):
        return f"`{field.default:g}`"
    return f"`{field.default}`"


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
