"""Plain clicks: what the compiled kernel reads, and Python leaves to `decode_click`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple


class ClickBounds(NamedTuple):
    """What the kernel needs of `streams.reject.ClickLimits`, which says what it means."""

    max_record_bytes: int
    max_id_bytes: int
    max_age_ms: int
    max_future_ms: int
    latest_ms: int
    """No click is later, whatever its record's time."""


def read_plain(
    records: Sequence[Any],  # noqa: ARG001
    begin: int,
    decode: Callable[[bytes], Any],  # noqa: ARG001
    make_click: Callable[..., Any],  # noqa: ARG001
    place_cell: Callable[[float, float], int],  # noqa: ARG001
    event_types: Mapping[str, str],  # noqa: ARG001
    limits: ClickBounds,  # noqa: ARG001
    is_keyed: bool,  # noqa: ARG001
    clicks: list[Any],  # noqa: ARG001
    of_users: dict[str, list[int]],  # noqa: ARG001
) -> int:
    """Read records from `begin` on as long as `streams.click.decode_click` would find nothing to
    refuse or to look at twice.

    decode, make_click: from bytes to the message's fields, and from the click's fields to a click.
    event_types: those configured, each to the one string for it. is_keyed: a record whose key is
    not its user is not read. clicks: one is added a record. of_users: by user, the positions of
    their clicks among the records are added.

    Returns the position of the first record that was not read: the first of all in Python.
    """
    return begin
