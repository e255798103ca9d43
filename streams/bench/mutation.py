"""Mutation: bytes that are nearly right, from bytes that are, the same ones for the same seed."""

from collections.abc import Sequence
from random import Random

_MAX_BYTES = 1 << 17
# What parsers stumble over: brackets, numbers at the edges of types, broken and odd Unicode.
TOKENS = (
    b"null", b"true", b"{}", b"[]", b'""', b"[" * 600, b'{"a":' * 600, b"\\u0000", b"\\ud800",
    b"\\", b"\xcb\x7f\xf0" + b"\x00" * 6,
    b"-0", b"1e999", b"-1e999", b"NaN", b"0.1", b"9223372036854775807", b"9223372036854775808",
    b"-9223372036854775809", b"18446744073709551616", b"1" * 400, b"\x00", b"\xff", b"\xc3(",
    b"\xed\xa0\x80", b"\xf4\x90\x80\x80", "\u202e\U0001f469\u200d".encode(), b"\xef\xbb\xbf",
    b"\xc1", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff", b"\xcf" + b"\xff" * 8, b"\xd3\x80" + b"\x00" * 7,
    b"../", b"%00", b"%ff", b"%2e%2e%2f", b"2026-02-30T25:61:61Z", b"+999999-12-31T00:00:00+99:99",
    b"user_id", b"item_id", b"timestamp", b"event_id", b"place", b"\r\n", b" " * 300,
)  # fmt: skip


def mutate(data: bytes, random: Random, corpus: Sequence[bytes]) -> bytes:
    """A changed copy, by one to a few changes."""
    out = bytearray(data)
    draw = random.random
    changes = 1
    while draw() < 0.5 and changes < 8:
        changes += 1
    for _ in range(changes):
        size = len(out)
        at = int(draw() * (size + 1))
        kind = int(draw() * 8)
        if kind == 0 and at < size:
            out[at] ^= 1 << int(draw() * 8)
        elif kind == 1 and at < size:
            out[at] = int(draw() * 256)
        elif kind == 2:
            del out[at : at + 1 + int(draw() * draw() * size)]
        elif kind == 3:
            out[at:at] = out[at : at + 1 + int(draw() * draw() * size)]
        elif kind == 4:
            out[at:at] = random.randbytes(1 + int(draw() * 8))
        elif kind == 5:
            out[at:at] = TOKENS[int(draw() * len(TOKENS))]
        elif kind == 6:
            token = TOKENS[int(draw() * len(TOKENS))]
            out[at : at + len(token)] = token
        else:
            other = corpus[int(draw() * len(corpus))]
            out[at:] = other[int(draw() * len(other)) :]
        del out[max(_MAX_BYTES, 2 * len(data)) :]
    return bytes(out)
