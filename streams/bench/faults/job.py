"""Job: what a fault run needs to know of the system that it tests.

The same harness runs freshrec's own worker and, for comparison, the same job written for another
stream processor.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from streams.bench.faults.crew import Member


class Outcome(msgspec.Struct):
    """What a comparison with the replay of the clicks found."""

    clicks: int
    """Records in the clicks topic."""
    users: int
    items: int
    lost: int
    """Effects of clicks on windows, transitions and popularity that are not there."""
    double: int
    """Effects that are there once too often."""
    state_equal: bool
    """Windows, graph and popularity, byte for byte."""
    missing_lists: int
    """Users whose newest list is older than their newest click."""
    dead_letters_expected: int
    dead_letters: int
    dead_letters_equal: bool


class Job(Protocol):
    """A stream job under test."""

    group: str
    """Its consumer group."""
    clicks_topic: str
    partitions: int

    @property
    def topics(self) -> Mapping[str, str]:
        """Names of the topics that it writes to, by the names of the schedule."""

    def prepare(self) -> None:
        """Create its topics."""

    def member(self, number: int, bootstrap: str, directory: Path) -> Member:
        """One of its workers, not yet started, whose files go into the directory."""

    def is_ready(self, number: int) -> bool:
        """Whether that worker serves."""

    def is_caught_up(self) -> bool:
        """Whether all that is in its source topics has been worked off and committed."""

    def outcome(self) -> Outcome:
        """Compare what it left with a replay of the clicks; its workers have stopped."""


def shortfalls(wanted: Iterable[object], found: Iterable[object]) -> tuple[int, int]:
    """How many of the wanted are not found, and how many are found that are not wanted."""
    counts = Counter(wanted)
    counts.subtract(found)
    return (
        sum(count for count in counts.values() if count > 0),
        -sum(count for count in counts.values() if count < 0),
    )
