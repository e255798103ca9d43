"""Effects: what a batch of clicks asks the shell to do, as values, and what is read for them."""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec

from streams.click import Click
from streams.reject import Reject
from streams.trace_context import Trace
from streams.transitions import TransitionBatch
from streams.window import Window

Headers = Sequence[tuple[str, bytes]]


class Record(Protocol):
    """What a pipeline reads of a Kafka record (an aiokafka ConsumerRecord fits)."""

    @property
    def offset(self) -> int:
        """Offset in the source partition."""

    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch: the pipeline's "now"."""

    @property
    def key(self) -> bytes | None:
        """User id, or anything else."""

    @property
    def value(self) -> bytes | None:
        """Click JSON; None asks for the erasure of the user in `key`."""

    @property
    def headers(self) -> Headers:
        """Names and values."""


State = TypeVar("State")


class Table(Protocol[State]):
    """What a pipeline needs of a table partition."""

    def get(self, key: str) -> State | None:
        """State of a key, or None."""

    def put(self, key: str, state: State) -> None:
        """Set the state of a key."""

    def delete(self, key: str) -> None:
        """Remove a key."""


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """A record that cannot be used, as it came, and why."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    reject: Reject


class Change(msgspec.Struct, gc=False):
    """A user whose list is to be made anew, and the newest click that asks for it."""

    window: Window
    event_id: str | None
    offset: int
    event_time_ms: int
    record_time_ms: int
    trace: Trace = ()
    """Of that click."""


class Rekeyed(msgspec.Struct, frozen=True, gc=False):
    """A click to forward to where its user's state lives."""

    user_key: bytes
    """Decides the partition: what keyed producers of the clicks topic would put."""
    key: bytes
    value: bytes | None
    headers: Headers
    record: Record
    """As it was read."""


class Links(msgspec.Struct, gc=False):
    """What clicks of one source link, in the order of their offsets: as many of each.

    predecessors: of each click the items before it, nearest first; None, like a click that is None,
    links nothing.
    """

    offsets: list[int]
    clicks: list[Click | None]
    predecessors: list[list[str | None] | None]

    @property
    def any(self) -> bool:
        """Whether there is anything to tell."""
        return self.predecessors.count(None) < len(self.predecessors)

    def add(self, later: "Links") -> None:
        """Go on with those of later clicks."""
        self.offsets += later.offsets
        self.clicks += later.clicks
        self.predecessors += later.predecessors


class ClickEffects(msgspec.Struct):
    """What a batch of clicks asks the shell to do, and what is to be counted."""

    links: Links
    """Told to the graph by whoever folds a batch (`ClickPipeline.tell`)."""
    transitions: dict[int, TransitionBatch]
    """By graph partition, where they were told."""
    changed: dict[str, Change]
    """By user, the latest change only."""
    erased: dict[str, int]
    """User -> offset of the erasure request."""
    dead_letters: list[DeadLetter]
    rekeyed: list[Rekeyed]
    """Clicks whose key is not their user."""
    trials: list[tuple[str, str]]
    """User and item of every click of interest folded for the first time, to be judged against
    the list that the user had."""
    events: Counter[str]
    duplicates: int = 0
    screened: int = 0
    """Clicks of interest that were kept from the graph, since their user has too many."""
    replayed: int = 0
    late: int = 0
