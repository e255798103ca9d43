"""A user's sliding behaviour window: a pure fold over clicks, views of it, and its packed form.

Entries stand in arrival order, which is the order of source offsets and the same in any replay;
views for the encoder are sorted by event time. `now_ms` is the record's own timestamp, so the
same records give the same bytes whenever they are folded.
"""

from array import array
from enum import IntEnum
from sys import intern
from typing import NamedTuple

import msgspec
from xxhash import xxh64_digest

from streams.click import Click
from streams.codec import CodecError, frame, unframe
from streams.event_types import EventTypes
from streams.kernels import name_kinds
from streams.window_state import ID_REST_BYTES, NARROW, DoesNotFit, Throttle, Window

__all__ = [
    "HistoryView",
    "Outcome",
    "Window",
    "WindowConfig",
    "decode_window",
    "encode_window",
    "fold",
    "history",
    "negatives",
    "seen_items",
]

WINDOW_FORMAT = 1


class WindowConfig(msgspec.Struct, frozen=True):
    """Bounds of a window. predecessors: how many preceding positive events feed graph edges.

    Two limits, each a bucket that fills steadily and that every click takes from. Of a bucket
    only the instant is kept when it will be full again, by record times, as a replay finds it too.
    graph_click_ms: time in which the bucket of the graph regains one click; it holds a day's worth,
    and a click that finds it empty goes into the window and not into the graph. click_us: the same
    for clicks at all, in microseconds; that bucket holds `burst` clicks, and a click that finds it
    empty is refused. 0: no limit.
    """

    max_events: int = 200
    max_age_ms: int = 30 * 86_400_000
    predecessors: int = 5
    max_event_ids: int = 200
    graph_click_ms: int = 0
    click_us: int = 0
    burst: int = 1
    event_types: EventTypes = msgspec.field(default_factory=EventTypes)


class Outcome(IntEnum):
    """What a click did to the window.

    APPLIED: it is in. REPLAYED: its source was read beyond it before; nothing changed.
    DUPLICATE: its event id was seen before; only the watermark advanced. LIMITED: its user clicks
    too fast, so that it is refused; a replay of it is so too.
    """

    APPLIED = 0
    REPLAYED = 1
    DUPLICATE = 2
    LIMITED = 3


class HistoryView(NamedTuple):
    """Events, oldest first: four columns of one length. Positive ones, or all in a timeline."""

    items: list[str]
    event_types: list[str]
    times_ms: "array[int]"
    place_cells: list[int]


# Members of an enum cost a look-up each; a fold is too short for that.
_APPLIED, _REPLAYED, _DUPLICATE = Outcome.APPLIED, Outcome.REPLAYED, Outcome.DUPLICATE
_LIMITED = Outcome.LIMITED
_DAY_MS = 86_400_000
_pack = NARROW.pack
_ID_END = 1 + ID_REST_BYTES


def fold(  # noqa: C901  (a call costs more than the lines it would hide)
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
    or evicted since). None too for a click that is kept from the graph.
    """
    if window is None:
        window = Window.begun_by(click, source, offset)
    if source == window.source:
        arrived = offset - window.base_offset
        if arrived <= window.watermark:
            return _replayed(window, source, offset, config)
        window.watermark = arrived
    elif window.switch_source(source, offset):
        arrived = window.watermark
    else:
        return _replayed(window, source, offset, config)

    event_id = click.event_id
    if event_id is not None:
        digest = xxh64_digest(event_id.encode())
        tag = digest[0]
        rest = digest[1:_ID_END]
        tags = window.id_tags
        if tag in tags and window.remembers(tag, rest):
            return window, _DUPLICATE, None
        if config.click_us and _too_fast(window, source, offset, now_ms, config):
            return window, _LIMITED, None
        tags.append(tag)
        rests = window.id_rests
        rests += rest
        surplus = len(tags) - config.max_event_ids
        if surplus > 0:
            del tags[:surplus]
            del rests[: surplus * ID_REST_BYTES]
    elif config.click_us and _too_fast(window, source, offset, now_ms, config):
        return window, _LIMITED, None

    time_ms = click.timestamp_ms
    cutoff_ms = now_ms - config.max_age_ms
    if window.base_ms < cutoff_ms:
        window.evict_older(cutoff_ms)
    items = window.items
    extra = window.extra
    event_type = click.event_type
    if extra is None and event_type == window.event_type and not click.place_cell:
        # One type, one source, no places: nearly every click of most users.
        effect = config.event_types.effects.get(event_type)
        predecessors: list[str | None] = []
        item_id = click.item_id
        if effect is not None and effect[0]:
            predecessors += items[: ~config.predecessors : -1]
            if len({item_id, *predecessors}) <= len(predecessors):
                _drop_repeats(predecessors, item_id)
        time = time_ms - window.base_ms
        try:
            arrival = _pack(time, arrived)
        except DoesNotFit:
            window.append(click, source, offset)
        else:
            arrivals = window.arrivals
            arrivals += arrival
            items.append(item_id)
            newest = window.newest
            if time > newest:
                window.newest = time
            elif time < newest:
                window.late = True
    else:
        predecessors = _predecessors(window, len(items), click.item_id, event_type, config)
        window.append(click, source, offset)
    surplus = len(items) - config.max_events
    if surplus > 0:
        window.evict_first(surplus)
    if time_ms < cutoff_ms:
        window.evict_older(cutoff_ms)
    cost_ms = config.graph_click_ms
    if cost_ms and event_type in config.event_types.effects:
        full_ms = (window.influence_ms if window.influence_ms > now_ms else now_ms) + cost_ms
        if full_ms - now_ms > _DAY_MS:
            screened = _throttle(window).screened
            screened += source, offset
            del screened[: -2 * config.max_events]
            return window, _APPLIED, None
        window.influence_ms = full_ms
    return window, _APPLIED, predecessors


def history(window: Window, config: WindowConfig, limit: int | None = None) -> HistoryView:
    """Positive events sorted by (event time, arrival), oldest first; the newest `limit` of them."""
    extra = window.extra
    kinds = None if extra is None else extra.kinds
    positive = config.event_types.positive_names
    types = window.types
    some = not positive.issuperset(types)
    count = len(window.items)
    # Columns are cut before they are read where arrival order is the order asked for.
    start = 0 if limit is None or some or window.late else max(0, count - limit)
    names = window.items[start:]
    type_names = types * len(names) if kinds is None else name_kinds(types, kinds, start)
    times = window.times_ms(start)
    places = None if extra is None or extra.places is None else extra.places[start:]
    if places is None:
        places = [0] * len(names)
    if not (some or window.late):
        return HistoryView(names, type_names, times, places)
    order = [entry for entry in range(count) if type_names[entry] in positive]
    if window.late:
        order.sort(key=times.__getitem__)
    if limit is not None:
        order = order[max(0, len(order) - limit) :]
    return HistoryView(
        [names[entry] for entry in order],
        [type_names[entry] for entry in order],
        array("q", [times[entry] for entry in order]),
        [places[entry] for entry in order],
    )


def negatives(window: Window, config: WindowConfig) -> set[str]:
    """Items with an event of aversion in the window."""
    averse = config.event_types.negative_names
    extra = window.extra
    if extra is None or extra.kinds is None:
        return set(window.items) if window.event_type in averse else set()
    types = extra.types
    if averse.isdisjoint(types):
        return set()
    return {
        item for item, kind in zip(window.items, extra.kinds, strict=True) if types[kind] in averse
    }


def seen_items(window: Window) -> set[str]:
    """Items of every event in the window, whatever its type."""
    return set(window.items)


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
    # Item ids are shared by all windows that hold them.
    window.items = list(map(intern, window.items))
    return window


def _predecessors(
    window: Window, stop: int, item_id: str, event_type: str, config: WindowConfig
) -> list[str | None]:
    """Predecessors, nearest first, of a click that arrived at position `stop`."""
    effect = config.event_types.effects.get(event_type)
    if effect is None or not effect[0]:
        return []
    found: list[str | None] = []
    found += _recent_of_interest(window, stop, config)
    if len({item_id, *found}) <= len(found):
        _drop_repeats(found, item_id)
    return found


def _drop_repeats(found: list[str | None], clicked: str) -> None:
    """Put None for what stands nearer or is the clicked item, and cut the trailing Nones."""
    nearer = {clicked}
    for position, item in enumerate(found):
        if item in nearer:
            found[position] = None
        elif item is not None:
            nearer.add(item)
    while found and found[-1] is None:
        found.pop()


def _recent_of_interest(window: Window, stop: int, config: WindowConfig) -> list[str]:
    """Items of the last `config.predecessors` positive events before `stop`, nearest first."""
    wanted = config.predecessors
    positive = config.event_types.positive_names
    items = window.items
    kinds = None if window.extra is None else window.extra.kinds
    types = window.types if window.extra is None or kinds is None else window.extra.types
    if positive.issuperset(types):
        return items[max(0, stop - wanted) : stop][::-1]
    if kinds is None:
        return []
    counts = [name in positive for name in types]
    recent: list[str] = []
    for entry in range(stop - 1, -1, -1):
        if len(recent) == wanted:
            break
        if counts[kinds[entry]]:
            recent.append(items[entry])
    return recent


def _throttle(window: Window) -> Throttle:
    if window.throttle is None:
        window.throttle = Throttle()
    return window.throttle


def _too_fast(window: Window, source: int, offset: int, now_ms: int, config: WindowConfig) -> bool:
    """Take a click from the bucket; True, and noted, where there is none."""
    throttle = _throttle(window)
    now_us = now_ms * 1000
    full_us = max(throttle.full_us, now_us) + config.click_us
    if full_us - now_us > config.click_us * config.burst:
        throttle.rejected += source, offset
        del throttle.rejected[: -2 * config.max_events]
        return True
    throttle.full_us = full_us
    return False


def _replayed(
    window: Window, source: int, offset: int, config: WindowConfig
) -> tuple[Window, Outcome, list[str | None] | None]:
    """What was decided about a click that was read before."""
    throttle = window.throttle
    if throttle is not None:
        if throttle.holds(throttle.rejected, source, offset):
            return window, _LIMITED, None
        if throttle.holds(throttle.screened, source, offset):
            return window, _REPLAYED, None
    return window, _REPLAYED, _replayed_predecessors(window, source, offset, config)


def _replayed_predecessors(
    window: Window, source: int, offset: int, config: WindowConfig
) -> list[str | None] | None:
    extra = window.extra
    sources = None if extra is None else extra.sources
    if sources is None and source != window.source:
        return None
    for entry, entry_offset in enumerate(window.offsets()):
        if entry_offset == offset and (sources is None or sources[entry] == source):
            event_type = window.event_type
            if extra is not None and extra.kinds is not None:
                event_type = extra.types[extra.kinds[entry]]
            return _predecessors(window, entry, window.items[entry], event_type, config)
    return None
