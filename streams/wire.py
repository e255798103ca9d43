"""Wire formats: what clients send and read all the time, by plans that are made once.

aiokafka interprets its schemas anew for every message, with several calls for each number in it. In
a worker that keeps up, and so sends and fetches a few records at a time, that was one twenty-fifth
of what the event loop did, and a fifth of what the consumer did.

`Schema.encode`, `Array.decode` and the schemas' fields are not public: another version of aiokafka
needs another look.
"""

from collections.abc import Callable
from functools import cache
from io import BytesIO
from struct import Struct
from typing import Any

from aiokafka.protocol.api import RequestHeader_v1
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.types import Array, Bytes, Int8, Int16, Int32, Int64, Schema, String

Encode = Callable[[Any], bytes]
Decode = Callable[[BytesIO], Any]

_CODES = {Int8: "b", Int16: "h", Int32: "i", Int64: "q"}
_INT16 = Struct(">h")
_INT32 = Struct(">i")
_REQUESTS = (ProduceRequest, FetchRequest)


@cache
def plan_wire_formats() -> None:
    """Have aiokafka's clients in this process use plans for produce and fetch requests; saying it
    twice does no harm.
    """
    RequestHeader_v1.SCHEMA.encode = encoder(RequestHeader_v1.SCHEMA)
    for request in _REQUESTS:
        for version in request._CLASSES:
            version.SCHEMA.encode = encoder(version.SCHEMA)
            for field in version.RESPONSE_TYPE.SCHEMA.fields:
                if isinstance(field, Array):
                    field.decode = decoder(field)


def encoder(field: Any) -> Encode:
    """The plan by which values of a field are written, as `field.encode` writes them."""
    if field in _CODES:
        return Struct(">" + _CODES[field]).pack
    if field is Bytes:
        return _encode_bytes
    if type(field) is String and field.encoding == "utf-8":
        return _encode_string
    if type(field) is Array:
        return _array_encoder(encoder(field.array_of))
    if type(field) is Schema:
        return _schema_encoder(field)
    encode: Encode = field.encode
    return encode


def decoder(field: Any) -> Decode:
    """The plan by which values of a field are read, as `field.decode` reads them."""
    if field in _CODES:
        numbers = _numbers_decoder([field])
        return lambda data: numbers(data)[0]
    if type(field) is Array:
        return _array_decoder(decoder(field.array_of))
    if type(field) is Schema:
        return _schema_decoder(field)
    decode: Decode = field.decode
    return decode


def _encode_string(text: Any) -> bytes:
    if text is None:
        return _INT16.pack(-1)
    encoded = str(text).encode()
    return _INT16.pack(len(encoded)) + encoded


def _encode_bytes(content: Any) -> bytes:
    if content is None:
        return _INT32.pack(-1)
    return b"".join((_INT32.pack(len(content)), content))


def _array_encoder(encode: Encode) -> Encode:
    def encode_array(items: Any) -> bytes:
        if items is None:
            return _INT32.pack(-1)
        return b"".join([_INT32.pack(len(items)), *map(encode, items)])

    return encode_array


def _schema_encoder(schema: Any) -> Encode:
    if all(field in _CODES for field in schema.fields):
        pack = Struct(">" + "".join(_CODES[field] for field in schema.fields)).pack
        return lambda values: pack(*values)
    encoders = [encoder(field) for field in schema.fields]

    def encode_schema(values: Any) -> bytes:
        return b"".join([encode(value) for encode, value in zip(encoders, values, strict=True)])

    return encode_schema


def _numbers_decoder(fields: list[Any]) -> Decode:
    numbers = Struct(">" + "".join(_CODES[field] for field in fields))
    unpack, size = numbers.unpack, numbers.size
    return lambda data: unpack(data.read(size))


def _array_decoder(decode: Decode) -> Decode:
    def decode_array(data: BytesIO) -> Any:
        (length,) = _INT32.unpack(data.read(4))
        return None if length == -1 else [decode(data) for _ in range(length)]

    return decode_array


def _schema_decoder(schema: Any) -> Decode:
    """Numbers that stand side by side are read at once."""
    parts: list[tuple[Decode, bool]] = []
    numbers: list[Any] = []
    for field in schema.fields:
        if field in _CODES:
            numbers.append(field)
            continue
        if numbers:
            parts.append((_numbers_decoder(numbers), True))
            numbers = []
        parts.append((decoder(field), False))
    if numbers:
        parts.append((_numbers_decoder(numbers), True))

    def decode_schema(data: BytesIO) -> Any:
        values: list[Any] = []
        for decode, is_many in parts:
            if is_many:
                values += decode(data)
            else:
                values.append(decode(data))
        return tuple(values)

    return decode_schema
