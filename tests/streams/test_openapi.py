"""The OpenAPI document describes the server that there is."""

from email.message import Message
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from streams.health import Health
from streams.metrics import Metrics
from streams.openapi import document
from streams.serving import Answers

DOCUMENT = document()
PATHS = DOCUMENT["paths"]
UNDESCRIBED = {"/", "/metrics"}  # a page for people, and a format of its own


class _Reader:
    """Look-ups that find everything, and remember the id and the parameters."""

    def __init__(self) -> None:
        self.names: tuple[Any, ...] = ()
        self.given: dict[str, Any] = {}

    def _find(self, *names: Any, **values: Any) -> dict[str, Any]:
        self.names = names
        self.given = values
        return {}

    item_json = ego_json = recommendations_json = evolution_json = trending_json = status = _find

    def graphml(self) -> bytes:
        return b""


def _status(
    path: str,
    client: str,
    token: str | None = None,
    query: str = "",
    reader: _Reader | None = None,
) -> int:
    headers = Message()
    headers["Host"] = "localhost"
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    answers = Answers(Metrics(), Health(), reader or _Reader(), "t0ken")
    target = path.replace("{user}", "u").replace("{item}", "i") + query
    return answers.answer(target, headers, client).status


def test_every_endpoint_is_described_and_no_other() -> None:
    served = set(Answers(Metrics(), Health(), _Reader(), None).paths) - UNDESCRIBED
    described = {path.partition("{")[0] for path in PATHS}
    assert described == served


@pytest.mark.parametrize("path", PATHS)
def test_who_may_ask_is_as_described(path: str) -> None:
    security = PATHS[path]["get"]["security"]
    open_to_all = security == []
    open_here = open_to_all or {} in security
    assert (_status(path, "192.0.2.7") == 200) == open_to_all
    assert (_status(path, "127.0.0.1") == 200) == open_here
    assert _status(path, "192.0.2.7", "t0ken") == 200


def _described(path: str) -> dict[str, Any]:
    """The parameters of the query and their defaults."""
    parameters = PATHS[path]["get"].get("parameters", [])
    return {p["name"]: p["schema"]["default"] for p in parameters if p["in"] == "query"}


EVERYWHERE = {name: default for path in PATHS for name, default in _described(path).items()}
GUARDED = [path for path in PATHS if PATHS[path]["get"]["security"]]


@pytest.mark.parametrize("path", GUARDED)
def test_parameters_are_those_that_are_described_and_no_others(path: str) -> None:
    described = _described(path)
    assert set(EVERYWHERE) == {"limit", "gap_seconds", "format"}
    for name, default in {**EVERYWHERE, "other": 1}.items():
        status = _status(path, "192.0.2.7", "t0ken", f"?{name}={default}")
        assert status == (200 if name in described else 400), name
    assert "400" in PATHS[path]["get"]["responses"]


@pytest.mark.parametrize("path", [path for path in GUARDED if path != "/graph/export"])
def test_defaults_are_those_that_are_described(path: str) -> None:
    reader = _Reader()
    assert _status(path, "192.0.2.7", "t0ken", reader=reader) == 200
    assert reader.given == _described(path)


@pytest.mark.parametrize("path", [path for path in PATHS if "{" in path])
def test_ids_that_clients_take_out_of_paths_are_asked_for_as_described(path: str) -> None:
    (words,) = [p["description"] for p in PATHS[path]["get"]["parameters"] if p["in"] == "path"]
    for dots in (".", ".."):
        assert f"`?id={dots}`" in words
        reader = _Reader()
        target = f"{path.partition('{')[0]}?id={dots}"
        assert _status(target, "192.0.2.7", "t0ken", reader=reader) == 200
        assert reader.names == (dots,)


@pytest.mark.parametrize("path", sorted(set(PATHS) - set(GUARDED)))
def test_what_is_open_to_all_overlooks_a_query(path: str) -> None:
    assert _status(path, "192.0.2.7", query="?other=1") == 200
    assert "400" not in PATHS[path]["get"]["responses"]
    assert _described(path) == {}


def test_the_examples_are_what_the_schemas_say() -> None:
    shown = 0
    for path in PATHS.values():
        for response in path["get"]["responses"].values():
            for media in response["content"].values():
                schema = media["schema"] | {"components": DOCUMENT["components"]}
                Draft202012Validator.check_schema(schema)
                if "example" in media:
                    Draft202012Validator(schema).validate(media["example"])
                    shown += 1
    assert shown > len(PATHS)


def test_operations_have_names_of_their_own() -> None:
    names = [path["get"]["operationId"] for path in PATHS.values()]
    assert len(set(names)) == len(names)
