"""The frame around every stored blob: one format byte, a CRC-32, the payload.

The format byte changes whenever the meaning of a payload changes, so that new logic never
misreads old state. The checksum turns a damaged disk or changelog record into one clear error
instead of a wrong recommendation.
"""

from struct import Struct
from zlib import crc32

_HEADER = Struct(">BI")
_pack_header = _HEADER.pack
HEADER_BYTES = _HEADER.size


class CodecError(ValueError):
    """A stored blob that cannot be read; the message says which, why, and what to do."""


def frame(format_byte: int, payload: bytes) -> bytes:
    """Bytes to store: format byte, CRC-32 of the payload (big endian), payload."""
    return _pack_header(format_byte, crc32(payload)) + payload


def unframe(blob: bytes, format_byte: int, what: str) -> memoryview:
    """The payload of a framed blob, without copying it. Raises CodecError if it is not intact.

    what: noun used in the error message ("window", "item state").
    """
    if len(blob) < HEADER_BYTES:
        raise CodecError(
            f"stored {what} is {len(blob)} bytes, shorter than its {HEADER_BYTES}-byte header: "
            "rebuild this state from the changelog"
        )
    if blob[0] != format_byte:
        raise CodecError(
            f"stored {what} has format {blob[0]}, this version reads format {format_byte}: "
            "run the version that wrote it, or rebuild the state from the topics"
        )
    payload = memoryview(blob)[HEADER_BYTES:]
    if crc32(payload) != int.from_bytes(blob[1:HEADER_BYTES], "big"):
        raise CodecError(f"stored {what} fails its checksum: rebuild this state from the changelog")
    return payload
