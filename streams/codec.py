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


class FormatError(CodecError):
    """A blob of another version's format: not damaged, and not to be guessed at."""


def frame(format_byte: int, payload: bytes) -> bytes:
    """Bytes to store: format byte, CRC-32 of the payload (big endian), payload."""
    return _pack_header(format_byte, crc32(payload)) + payload


def unframe(blob: bytes, format_byte: int, what: str) -> memoryview:
    """The payload of a framed blob, without copying it.

    Raises CodecError if it is not intact, FormatError if another version wrote it.

    what: noun used in the error message ("window", "item state").
    """
    if len(blob) >= HEADER_BYTES and blob[0] == format_byte:
        payload = memoryview(blob)[HEADER_BYTES:]
        if crc32(payload) == int.from_bytes(blob[1:HEADER_BYTES], "big"):
            return payload
        raise CodecError(f"stored {what} fails its checksum: rebuild this state from the changelog")
    if len(blob) >= HEADER_BYTES:
        check_format(blob, format_byte, what)
    raise CodecError(
        f"stored {what} is {len(blob)} bytes, shorter than its {HEADER_BYTES}-byte header: "
        "rebuild this state from the changelog"
    )


def check_format(blob: bytes, format_byte: int, what: str) -> None:
    """Raises FormatError when another version wrote a framed blob."""
    if blob[0] != format_byte:
        raise FormatError(
            f"stored {what} has format {blob[0]}, this version reads format {format_byte}: "
            "run the version that wrote it, or rebuild the state from the topics"
        )


def is_intact(blob: bytes) -> bool:
    """Whether a blob has a header and its checksum is right, whatever its format."""
    header, payload = blob[1:HEADER_BYTES], memoryview(blob)[HEADER_BYTES:]
    return len(blob) >= HEADER_BYTES and crc32(payload) == int.from_bytes(header, "big")
