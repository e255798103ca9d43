"""A user's sliding behaviour window: a pure fold over clicks, views of it, and its packed form.

Entries stand in arrival order, which is the order of source offsets and the same in any replay;
views for the encoder are sorted by event time. `now_ms` is the record's own timestamp, so the
same records give the same bytes whenever they are folded.
"""

from enum import IntEnum
from typing import NamedTuple

import msgspec

from streams.click import Click
from streams.codec import CodecError, frame, unframe
from streams.event_types import EventTypes
from streams.window_state import FREE, Slots, Window

__all__ = [
    "HistoryView",
    "Outcome",
    "Window",
    "WindowConfig",
    "decode_window",
    "encode_window",
    "fold",
    "history",
    "is_late",
    "negatives",
    "seen_items",
]

WINDOW_FORMAT = 1


class WindowConfig(msgspec.Struct, frozen=True):
    """Bounds of a window. predecessors: how many preceding positive events feed graph edges."""

    max_events: int = 200
    max_age_ms: int = 30 * 86_400_000
    predecessors: int = 5
    max_event_ids: int = 200
    event_types: EventTypes = msgspec.field(default_factory=EventTypes)


class Outcome(IntEnum):
    """What a click did to the window.

    APPLIED: it is in. REPLAYED: its source was read beyond it before; nothing changed.
    DUPLICATE: its event id was seen before; only the watermark advanced.
    """

    APPLIED = 0
    REPLAYED = 1
    DUPLICATE = 2


class HistoryView(NamedTuple):
    """Positive events, oldest first: four columns of one length."""

    items: list[str]
    event_types: list[str]
    times_ms: list[int]
    place_cells: list[int]


# Members of an enum cost a look-up each; a fold is too short for that.
_APPLIED, _REPLAYED, _DUPLICATE = Outcome.APPLIED, Outcome.REPLAYED, Outcome.DUPLICATE


def fold(
    window: Window | None,
    click: Click,
    source: int,
    offset: int,
    now_ms: int,
    config: WindowConfig,
) -> tuple[Window, Outcome, list[str | None] | None]:
    """Apply a click to the window, which is changed in place and returned.

    source, offset: where the click was read. now_ms: timestamp of its record.

    The third value holds the click's predecessors: at position d - 1 the item of the d-th
    preceding positive event by arrival, None where that item already stands nearer or is the
    clicked one; trailing Nones are cut, and it is empty for a click of weight 0. For a replayed
    click it is recomputed from the entry that the click left; None if it left none (a duplicate,
    or evicted since).
    """
    if window is None:
        window = Window()
    if offset <= window.watermarks.get(source, -1):
        return window, _REPLAYED, _replayed_predecessors(window, source, offset, config)
    window.watermarks[source] = offset
    if click.event_id is not None and not window.remember(click.event_id, config.max_event_ids):
        return window, _DUPLICATE, None

    cutoff_ms = now_ms - config.max_age_ms
    if window.first_ms - window.lag_ms < cutoff_ms and window.item_slots:
        window.evict_older(cutoff_ms)
    predecessors = _predecessors(window, len(window.item_slots), click, config)
    window.append(click, source, offset)
    surplus = len(window.item_slots) - config.max_events
    if surplus > 0:
        window.evict_first(surplus)
    if click.timestamp_ms < cutoff_ms:
        window.evict_older(cutoff_ms)
    return window, _APPLIED, predecessors


def is_late(window: Window | None, click: Click) -> bool:
    """True when the event is older than the newest one the window has seen. Ask before fold."""
    return window is not None and click.timestamp_ms < window.newest_ms


def history(window: Window, config: WindowConfig, limit: int | None = None) -> HistoryView:
    """Positive events sorted by (event time, arrival), oldest first; the newest `limit` of them."""
    count = len(window.item_slots)
    items, types = window.items, window.types
    times = window.times_ms()
    positive = config.event_types.positive_names
    start = 0
    order: list[int] | None = None
    if window.late or not positive.issuperset(types):
        kinds = window.type_slots or bytes(count)
        counts = [name in positive for name in types]
        order = [entry for entry in range(count) if counts[kinds[entry]]]
        if window.late:
            order.sort(key=times.__getitem__)
        if limit is not None:
            order = order[max(0, len(order) - limit) :]
    elif limit is not None:
        start = max(0, count - limit)
    names = [items[slot] for slot in window.item_slots[start:]]
    type_names = [types[slot] for slot in window.type_slots[start:]] or types[:1] * len(names)
    times = times[start:]
    places = window.places[start:] or [0] * len(names)
    if order is None:
        return HistoryView(names, type_names, times, places)
    return HistoryView(
        [names[entry] for entry in order],
        [type_names[entry] for entry in order],
        [times[entry] for entry in order],
        [places[entry] for entry in order],
    )


def negatives(window: Window, config: WindowConfig) -> set[str]:
    """Items with an event of aversion in the window."""
    averse = config.event_types.negative_names
    if averse.isdisjoint(window.types):
        return set()
    items, types = window.items, window.types
    kinds = window.type_slots or bytes(len(window.item_slots))
    return {
        items[slot]
        for slot, kind in zip(window.item_slots, kinds, strict=True)
        if types[kind] in averse
    }


def seen_items(window: Window) -> set[str]:
    """Items of every event in the window, whatever its type."""
    items = set(window.items)
    items.discard(FREE)
    return items


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Window).decode


def encode_window(window: Window) -> bytes:
    """Bytes to store."""
    return frame(WINDOW_FORMAT, _encode(window))


def decode_window(blob: bytes) -> Window:
    """The window in stored bytes. Raises CodecError if they are not intact."""
    try:
        window = _decode(unframe(blob, WINDOW_FORMAT, "window"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CodecError(
            f"stored window cannot be read ({error}): rebuild this state from the changelog"
        ) from error
    if not window.is_consistent():
        raise CodecError(
            "stored window has columns of unequal length: rebuild this state from the changelog"
        )
    return window


def _predecessors(
    window: Window, stop: int, click: Click, config: WindowConfig
) -> list[str | None]:
    """Predecessors, nearest first, of a click that arrived at position `stop`."""
    event_types = config.event_types
    effect = event_types.effects.get(click.event_type)
    if effect is None or not effect[0]:
        return []
    recent = _positive_slots(window, stop, config)
    items = window.items
    clicked = click.item_id
    found: list[str | None] = [items[slot] for slot in reversed(recent)]
    if clicked not in found and len(set(recent)) == len(recent):
        return found
    nearer = {clicked}
    for position, item in enumerate(found):
        if item in nearer:
            found[position] = None
        elif item is not None:
            nearer.add(item)
    while found and found[-1] is None:
        found.pop()
    return found


def _positive_slots(window: Window, stop: int, config: WindowConfig) -> Slots:
    """Item slots of the last `config.predecessors` positive events before position `stop`."""
    wanted = config.predecessors
    positive = config.event_types.positive_names
    types = window.types
    if positive.issuperset(types):
        return window.item_slots[max(0, stop - wanted) : stop]
    if not window.type_slots:
        return []
    recent: list[int] = []
    counts = [name in positive for name in types]
    for entry in range(stop - 1, -1, -1):
        if len(recent) == wanted:
            break
        if counts[window.type_slots[entry]]:
            recent.append(window.item_slots[entry])
    recent.reverse()
    return recent


def _replayed_predecessors(
    window: Window, source: int, offset: int, config: WindowConfig
) -> list[str | None] | None:
    for entry, entry_offset in enumerate(window.offsets()):
        if entry_offset != offset:
            continue
        if (window.sources[entry] if window.sources else window.source) != source:
            continue
        item_id = window.items[window.item_slots[entry]]
        kind = window.type_slots[entry] if window.type_slots else 0
        click = Click("", item_id, window.types[kind], 0)
        return _predecessors(window, entry, click, config)
    return None
