"""Plans write and read what aiokafka's schemas write and read, to the byte."""

from io import BytesIO
from typing import Any

import pytest
from aiokafka.protocol.api import RequestHeader_v1
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.types import Array, Bytes, Int8, Int16, Int32, Int64, Schema, String
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.wire import decoder, encoder, plan_wire_formats

BITS = {Int8: 8, Int16: 16, Int32: 32, Int64: 64}
VERSIONS = [*ProduceRequest._CLASSES, *FetchRequest._CLASSES]
SCHEMAS = [
    RequestHeader_v1.SCHEMA,
    *(version.SCHEMA for version in VERSIONS),
    *(version.RESPONSE_TYPE.SCHEMA for version in VERSIONS),
]


def values_of(field: Any) -> st.SearchStrategy[Any]:
    if field in BITS:
        most = 1 << (BITS[field] - 1)
        return st.integers(-most, most - 1)
    if isinstance(field, String):
        return st.none() | st.text(max_size=20)
    if field is Bytes:
        return st.none() | st.binary(max_size=20)
    if isinstance(field, Array):
        return st.none() | st.lists(values_of(field.array_of), max_size=3)
    assert isinstance(field, Schema)
    return st.tuples(*(values_of(part) for part in field.fields))


def schema_and_values() -> st.SearchStrategy[tuple[Any, Any]]:
    return st.sampled_from(SCHEMAS).flatmap(
        lambda schema: st.tuples(st.just(schema), values_of(schema))
    )


@given(schema_and_values())
@settings(max_examples=300, deadline=None)
def test_plans_write_what_schemas_write_and_read_it_back(case: tuple[Any, Any]) -> None:
    schema, values = case
    written = Schema.encode(schema, values)
    assert encoder(schema)(values) == written
    data = BytesIO(written)
    assert decoder(schema)(data) == values
    assert data.read() == b""


def test_requests_and_their_answers_go_by_plans() -> None:
    plan_wire_formats()
    request = ProduceRequest(None, -1, 1_000, [("lists", [(3, b"batch")])])
    struct = request.prepare({ProduceRequest.API_KEY: (0, 7)})
    assert vars(type(struct).SCHEMA)["encode"].__module__ == "streams.wire"
    assert struct.encode() == Schema.encode(struct.SCHEMA, [None, -1, 1_000, request._topics])
    answer = struct.RESPONSE_TYPE
    written = Schema.encode(answer.SCHEMA, [[("lists", [(3, 0, 41, -1, 0)])], 0])
    assert vars(answer.SCHEMA.fields[0])["decode"].__module__ == "streams.wire"
    assert answer.decode(written).topics == [("lists", [(3, 0, 41, -1, 0)])]


@pytest.mark.parametrize("too_many", [[1, 2, 3], [1]])
def test_values_that_do_not_fit_the_schema_are_an_error(too_many: list[Any]) -> None:
    with pytest.raises(ValueError, match="zip"):
        encoder(Schema(("number", Int32), ("text", String())))(too_many)
