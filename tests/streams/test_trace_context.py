"""The trace of a click goes to its list as it came, or not at all."""

import pytest

from streams.trace_context import TRACEPARENT, TRACESTATE, trace_of

PARENT = (TRACEPARENT, b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
STATE = (TRACESTATE, b"vendor=00f067aa0ba902b7,other=t61rcWkgMzE")


def test_a_parent_and_its_state_are_handed_on_as_they_came() -> None:
    headers = [("ce_id", b"1"), STATE, PARENT, ("other", None)]
    assert trace_of(headers) == (PARENT, STATE)


def test_the_first_of_a_repeated_header_counts() -> None:
    other = (TRACEPARENT, PARENT[1].replace(b"4bf", b"5bf"))
    assert trace_of([PARENT, other, STATE, (TRACESTATE, b"x=y")]) == (PARENT, STATE)


@pytest.mark.parametrize(
    "parent",
    [
        None,
        b"",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        b"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01",
        PARENT[1] + b"\n",
        PARENT[1] * 100,
    ],
)
def test_what_is_no_parent_is_dropped_with_its_state(parent: bytes | None) -> None:
    assert trace_of([(TRACEPARENT, parent), STATE]) == ()


@pytest.mark.parametrize("state", [None, b"", b"a=" + b"x" * 511, b"a=\xff", b"a=1\r\nb: 2"])
def test_a_state_that_is_too_long_or_unprintable_is_dropped_alone(state: bytes | None) -> None:
    assert trace_of([PARENT, (TRACESTATE, state)]) == (PARENT,)


def test_without_headers_there_is_no_trace() -> None:
    assert trace_of(()) == ()
