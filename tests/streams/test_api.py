"""The HTTP server does what its OpenAPI document says, whatever it is asked."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.openapi import document
from streams.serving import Server
from tests.streams.api_world import ITEMS, TOKEN, USERS, make_world, running_server, worker_of

PATHS = document()["paths"]
NAMES = {"user": USERS, "item": ITEMS}
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
FEW = settings(max_examples=15, deadline=None, database=None, derandomize=True)


def strict_document() -> dict[str, Any]:
    """The document, with no fields but those that it names."""
    strict = document()
    for schema in strict["components"]["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    return strict


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server(worker_of(make_world())) as running:
        yield running


@pytest.fixture(scope="module")
def schema() -> Any:
    return schemathesis.openapi.from_dict(strict_document())


def requests_of(schema: Any, path: str, mode: Any) -> st.SearchStrategy[Any]:
    """Requests that the document allows (or does not), of names that are known and unknown."""
    operation = schema[path]["GET"]
    name = path.partition("{")[2].rstrip("}")
    known = [
        operation.as_strategy(mode, path_parameters={name: known}) for known in NAMES.get(name, ())
    ]
    return st.one_of(operation.as_strategy(mode), *known)


@pytest.mark.parametrize("path", PATHS)
def test_what_the_document_allows_is_answered_as_it_says(
    path: str, schema: Any, server: Server
) -> None:
    seen = set()

    @FEW
    @given(case=requests_of(schema, path, schemathesis.GenerationMode.POSITIVE))
    def ask(case: Any) -> None:
        response = case.call_and_validate(base_url=server.url, headers=HEADERS)
        seen.add(response.status_code)

    ask()
    assert 200 in seen
    assert seen <= {200, 404}


@pytest.mark.parametrize("path", [p for p, of in PATHS.items() if "parameters" in of["get"]])
def test_what_the_document_does_not_allow_is_refused_as_it_says(
    path: str, schema: Any, server: Server
) -> None:
    @FEW
    @given(case=requests_of(schema, path, schemathesis.GenerationMode.NEGATIVE))
    def ask(case: Any) -> None:
        case.call_and_validate(base_url=server.url, headers=HEADERS)

    ask()


@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_the_answer_is_documented_too(
    path: str, schema: Any, server: Server
) -> None:
    case = schema[path]["GET"].Case(path_parameters={"user": "u", "item": "lamp"})
    response = case.call(base_url=server.url)
    case.validate_response(response, excluded_checks=[schemathesis.checks.ignored_auth])
    needed = {} not in PATHS[path]["get"]["security"] and PATHS[path]["get"]["security"]
    assert (response.status_code == 401) == bool(needed)
