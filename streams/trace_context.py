"""W3C trace context: what a click's headers say of its trace, for the list that it causes.

https://www.w3.org/TR/trace-context/. It is handed on as it came, under the names that OpenTelemetry
gives to Kafka headers: freshrec makes no spans, so a list belongs to the span that sent the click.
"""

import re
from collections.abc import Sequence

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"

Trace = tuple[tuple[str, bytes], ...]
"""Headers of a list: empty, the parent, or the parent and its state; at most 588 bytes."""

_PARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
).fullmatch
_STATE = re.compile(rb"[ -~]{1,512}").fullmatch


def trace_of(headers: Sequence[tuple[str, bytes | None]]) -> Trace:
    """The trace that a record's headers name; of a repeated header the first counts.

    Empty without a parent of the form of version 00. A state that is longer than 512 bytes, or is
    not printable ASCII, is left out, as the specification allows.
    """
    parent: bytes | None = None
    state: bytes | None = None
    for name, content in headers:
        if name == TRACEPARENT and parent is None:
            parent = content
        elif name == TRACESTATE and state is None:
            state = content
    if parent is None or not _PARENT(parent):
        return ()
    if state is None or not _STATE(state):
        return ((TRACEPARENT, parent),)
    return ((TRACEPARENT, parent), (TRACESTATE, state))
