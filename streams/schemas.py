"""JSON Schemas of the messages and the OpenAPI document, generated from the structs that are read
and written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from streams.click_message import ClickMessage, Id
from streams.events import Recommendation
from streams.openapi import FILE, document
from streams.receipt import Receipt

DIRECTORY = Path("deploy/schemas")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class ItemMessage(msgspec.Struct, omit_defaults=True, kw_only=True):
    """An item of the catalogue: the value of a record on the items topic; null: withdrawn."""

    item_id: Annotated[Id | None, Meta(description="The item; the record key stands in.")] = None
    title: Annotated[str, Meta(description="Shown with recommendations.")] = ""
    categories: Annotated[list[str], Meta(description="For caps and variety.")] = []
    available: Annotated[bool, Meta(description="False: never recommended.")] = True
    price: float | None = None
    timestamp: Annotated[
        str | int | None, Meta(description="ISO-8601 with zone, or epoch milliseconds.")
    ] = None
    properties: Annotated[dict[str, Any], Meta(description="Not stored; for your own use.")] = {}


def schemas() -> dict[str, dict[str, Any]]:
    """File name to schema, for the click, the item, the recommendation and the receipt."""
    click = _schema(ClickMessage, "click")
    # One of the two names the user; no struct can say so.
    click["anyOf"] = [{"required": ["user_id"]}, {"required": ["session_id"]}]
    return {
        "click.schema.json": click,
        "item.schema.json": _schema(ItemMessage, "item"),
        "receipt.schema.json": _schema(Receipt, "receipt"),
        "recommendation.schema.json": _schema(Recommendation, "recommendation"),
    }


def documents() -> dict[str, dict[str, Any]]:
    """File name to content, of all that is committed: the schemas and the OpenAPI document."""
    return schemas() | {FILE: document()}


def text(schema: dict[str, Any]) -> str:
    """A schema as it stands in its file: stable, indented, with a last newline."""
    encoded = msgspec.json.encode(schema, order="deterministic")
    return msgspec.json.format(encoded, indent=2).decode() + "\n"


def write(directory: Path) -> list[Path]:
    """Write the documents; the files that changed."""
    directory.mkdir(parents=True, exist_ok=True)
    changed = []
    for name, schema in documents().items():
        path = directory / name
        if not path.exists() or path.read_text(encoding="utf-8") != text(schema):
            path.write_text(text(schema), encoding="utf-8")
            changed.append(path)
    return changed


def stale(directory: Path) -> list[Path]:
    """The files that are missing or differ from what the code says."""
    return [
        directory / name
        for name, schema in documents().items()
        if not (directory / name).is_file()
        or (directory / name).read_text(encoding="utf-8") != text(schema)
    ]


def _schema(message: type[Any], name: str) -> dict[str, Any]:
    """One schema with its root in place, so that tools need not follow a reference first."""
    (_root,), definitions = msgspec.json.schema_components([message], ref_template="#/$defs/{name}")
    root = dict(definitions.pop(message.__name__))
    root = {"$schema": _DIALECT, "$id": f"{name}.schema.json"} | root
    root["title"] = name
    return root | ({"$defs": dict(definitions)} if definitions else {})
