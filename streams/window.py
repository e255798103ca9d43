"""A user's sliding behaviour window: a pure fold over clicks, and its packed form."""

from enum import IntEnum
from typing import NamedTuple

import msgspec

from streams.click import Click
from streams.event_types import EventTypes


class WindowConfig(msgspec.Struct, frozen=True):
    max_events: int = 200
    max_age_ms: int = 30 * 86_400_000
    predecessors: int = 5
    max_event_ids: int = 200
    event_types: EventTypes = msgspec.field(default_factory=EventTypes)


class Outcome(IntEnum):
    APPLIED = 0
    REPLAYED = 1
    DUPLICATE = 2


class HistoryView(NamedTuple):
    items: list[str]
    event_types: list[str]
    times_ms: list[int]
    place_cells: list[int]


class Window(msgspec.Struct, array_like=True):
    """len(window), window.newest_ms, window.oldest_ms; use the functions below for the rest."""

    count: int = 0

    def __len__(self) -> int:
        return self.count

    @property
    def newest_ms(self) -> int: raise NotImplementedError

    @property
    def oldest_ms(self) -> int: raise NotImplementedError


def fold(
    window: Window | None,
    click: Click,
    source: int,
    offset: int,
    now_ms: int,
    config: WindowConfig,
) -> tuple[Window, Outcome, list[str | None] | None]:
    raise NotImplementedError


def is_late(window: Window | None, click: Click) -> bool:
    """True when the event is older than the newest one the window has seen. Ask before fold."""
    raise NotImplementedError


def history(window: Window, config: WindowConfig, limit: int | None = None) -> HistoryView:
    """Positive events sorted by (event time, arrival), oldest first; the newest `limit` of them."""
    raise NotImplementedError


def negatives(window: Window, config: WindowConfig) -> set[str]:
    raise NotImplementedError


def seen_items(window: Window) -> set[str]:
    raise NotImplementedError


def encode_window(window: Window) -> bytes:
    raise NotImplementedError


def decode_window(blob: bytes) -> Window:
    raise NotImplementedError
