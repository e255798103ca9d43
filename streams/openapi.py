"""The OpenAPI document of the worker's HTTP server, generated from the structs of its answers."""

from __future__ import annotations

from inspect import cleandoc
from typing import Any

import msgspec

import streams
from streams import api, api_examples
from streams.query import EXPORT_FORMAT, SESSION_GAP, TRENDING_LIMIT, Parameter

FILE = "openapi.json"
Document = dict[str, Any]

_TOKEN: list[Document] = [{"lookupToken": []}]
_TOKEN_OR_HERE: list[Document] = [{"lookupToken": []}, {}]
_OPEN: list[Document] = []
_BAD_REQUEST = "A parameter that is unknown, given twice or out of its range."

_GRAPHML: Document = {
    "description": "GraphML.",
    "content": {"application/graphml+xml": {"schema": {"type": "string"}}},
}


def document() -> Document:
    """OpenAPI 3.1 of every endpoint that answers in JSON, and of the GraphML export."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "freshrec worker",
            "version": streams.__version__,
            "summary": "Health, live figures and look-ups of one worker.",
            "description": (
                "Read-only: GET and HEAD. A worker knows the users of its own partitions and all"
                " items. At most sixteen requests are answered at a time; one more gets 503"
                " without a body and `Retry-After: 1`. `/metrics` is Prometheus text and not"
                " described here."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {
                "lookupToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The worker's FRESHREC_LOOKUP_TOKEN; look-ups are off without.",
                }
            },
            "schemas": _components(),
        },
    }


def _paths() -> Document:
    examples = api_examples
    return {
        "/openapi.json": _get(
            "document", "This document", _OPEN, {"200": _body("This document.", {"type": "object"})}
        ),
        "/livez": _get(
            "alive",
            "Whether the process is alive",
            _OPEN,
            {
                "200": _of("The event loop is alive.", examples.ALIVE),
                "503": _of("The event loop has been silent for a minute.", examples.STALLED),
            },
        ),
        "/readyz": _get(
            "ready",
            "Whether the worker is ready",
            _OPEN,
            {
                "200": _of("It serves.", examples.READY),
                "503": _of("It does not serve yet, or no longer.", examples.NOT_READY),
            },
        ),
        "/status": _get(
            "status",
            "Partitions, model and why one was refused, counts",
            _TOKEN_OR_HERE,
            _guarded("What an operator looks at first.", examples.STATUS),
        ),
        "/live": _get(
            "live",
            "Live figures, to be asked for every second",
            _TOKEN_OR_HERE,
            _guarded("Totals and sizes; no user and no item is named.", examples.LIVE),
        ),
        "/trending": _get(
            "trending",
            "Items that exceed their usual rate",
            _TOKEN,
            _guarded("The furthest first; empty while nothing exceeds it.", examples.TRENDING),
            _query(TRENDING_LIMIT),
        ),
        "/recommendations/{user}": _get(
            "recommendations",
            "The last list of a user",
            _TOKEN,
            _guarded("What was last published, best first.", examples.LAST_PUBLISHED, lookup=True),
            _name("user", "Id of a user whose partition this worker has."),
        ),
        "/evolution/{user}": _get(
            "evolution",
            "How a user's behaviour evolved",
            _TOKEN,
            _guarded("Sessions, drift and interest.", examples.EVOLUTION, lookup=True),
            _name("user", "Id of a user whose partition this worker has."),
            _query(SESSION_GAP),
        ),
        "/graph/item/{item}": _get(
            "item",
            "The neighbours of an item",
            _TOKEN,
            _guarded("The item and its edges.", examples.ITEM, lookup=True),
            _name("item", "Id of an item."),
        ),
        "/graph/ego/{user}": _get(
            "ego",
            "A user's window and the graph around it",
            _TOKEN,
            _guarded("The window and a node-link graph.", examples.EGO, lookup=True),
            _name("user", "Id of a user whose partition this worker has."),
        ),
        "/graph/export": _get(
            "export",
            "The whole graph",
            _TOKEN,
            {"200": _GRAPHML, **_refusals()},
            _query(EXPORT_FORMAT),
        ),
    }


def _get(
    name: str,
    summary: str,
    security: list[Document],
    responses: Document,
    *parameters: Document,
) -> Document:
    operation: Document = {"operationId": name, "summary": summary}
    if security == _TOKEN_OR_HERE:
        operation["description"] = "Needs no token on the worker's own machine."
    if parameters:
        operation["parameters"] = list(parameters)
    return {"get": operation | {"security": security, "responses": responses}}


def _guarded(words: str, example: msgspec.Struct, *, lookup: bool = False) -> Document:
    """Responses of an endpoint that asks for the token, and checks its parameters."""
    responses = {"200": _of(words, example), **_refusals()}
    if lookup:
        responses["404"] = _of("This worker knows nothing of it.", api_examples.UNKNOWN)
    return dict(sorted(responses.items()))


def _refusals() -> Document:
    """What an endpoint that asks for the token may say instead of its answer."""
    return {
        "400": _of(_BAD_REQUEST, api_examples.BAD_REQUEST),
        "401": _of("The look-up token is missing or wrong, or none is set.", api_examples.REFUSED),
        "500": _of("The look-up failed; the worker's log says why.", api_examples.FAILED),
    }


def _of(words: str, example: msgspec.Struct) -> Document:
    reference = {"$ref": f"#/components/schemas/{type(example).__name__}"}
    return _body(words, reference, msgspec.to_builtins(example))


def _body(words: str, schema: Document, example: object = None) -> Document:
    media = {"schema": schema} if example is None else {"schema": schema, "example": example}
    return {"description": words, "content": {"application/json": media}}


def _name(name: str, words: str) -> Document:
    dots = "For `.` and `..`, which clients take out of paths, say `?id=.` and `?id=..` instead."
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": f"{words} Percent-encoded UTF-8. {dots}",
        "schema": {"type": "string", "minLength": 1},
    }


def _query(parameter: Parameter) -> Document:
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.words,
        "schema": parameter.schema(),
    }


def _components() -> Document:
    """The schema of every struct in `streams.api`, by its name."""
    structs = [
        kind
        for kind in vars(api).values()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    ]
    _, components = msgspec.json.schema_components(
        structs, ref_template="#/components/schemas/{name}"
    )
    for schema in components.values():
        schema["description"] = cleandoc(schema["description"])
    return dict(sorted(components.items()))
