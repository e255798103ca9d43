"""A user's window as plain data: columns of events, and the steps that change them.

A worker holds tens of thousands of windows and touches each once in a while, so what a fold
costs is mostly waiting for memory: a window is few objects, and the common case, one event type
read from one source and no places, has no more than it needs. Everything else is in `Extra`.
"""

import struct
from array import array
from functools import lru_cache
from struct import Struct

import msgspec

from streams.click import Click
from streams.kernels import read_times

# Of the 64-bit hash of an event id 48 bits are kept, a tag and the rest: with 200 remembered ids
# a new one collides once in 1.4e12 clicks.
ID_REST_BYTES = 5

# An arrival: event time and source offset, both relative to the window's bases.
DoesNotFit = struct.error
NARROW = Struct("<II")
WIDE = Struct("<QQ")
NARROW_BYTES = NARROW.size
_NARROW_LIMIT = 1 << 32
# Room for late events below the first event time, so that they seldom move the base.
_BASE_MARGIN_MS = 86_400_000

Kinds = bytearray | list[int]  # indexes into types: bytes until one exceeds 255


class Extra(msgspec.Struct, array_like=True, gc=False):
    """What a window has once its events differ in type or source, have places, or lie far apart.

    Columns are None while they say nothing: kinds (indexes into types) while there is one type,
    sources while all events came from the window's source, places while none has one.

    watermarks: of the sources other than the window's. wide: arrivals take 16 bytes, not 8.
    """

    types: list[str] = msgspec.field(default_factory=list)
    kinds: Kinds | None = None
    sources: list[int] | None = None
    places: list[int] | None = None
    watermarks: dict[int, int] = msgspec.field(default_factory=dict)
    wide: bool = False


class Throttle(msgspec.Struct, array_like=True, gc=False):
    """What became of a user's clicks beyond a limit: none of it for nearly every user.

    A replay must decide again as it was decided, so the decisions are kept while the clicks can be
    read again: [source, offset, source, offset, …], the newest last. rejected: not accepted.
    screened: in the window, kept from the graph. full_us: see `WindowConfig`.
    """

    full_us: int = 0
    rejected: list[int] = msgspec.field(default_factory=list)
    screened: list[int] = msgspec.field(default_factory=list)

    def holds(self, decisions: list[int], source: int, offset: int) -> bool:
        """Whether a click is one of those."""
        return any(
            decisions[at] == offset and decisions[at - 1] == source
            for at in range(len(decisions) - 1, 0, -2)
        )


class Window(msgspec.Struct, array_like=True, gc=False):
    """State of one user. len() is the number of events; an empty window is falsy.

    Entries stand in arrival order: items, and arrivals (packed time and offset, see NARROW).
    base_ms and base_offset are what times and offsets count from; base_ms is no later than any
    event in the window. newest: newest event time ever seen, from base_ms. late: False says that
    arrival order is time order.

    source: the one read last (-1: none yet). watermark: the last offset read from it, from
    base_offset. event_type: of all events, while there are no kinds.

    id_tags and id_rests: hashes of the newest event ids, split so that a search is for one byte.

    influence_ms: when the user's share of the graph will be whole again, see `WindowConfig`.
    """

    items: list[str] = msgspec.field(default_factory=list)
    arrivals: bytearray = msgspec.field(default_factory=bytearray)
    id_tags: bytearray = msgspec.field(default_factory=bytearray)
    id_rests: bytearray = msgspec.field(default_factory=bytearray)
    event_type: str = ""
    base_ms: int = 0
    newest: int = 0
    base_offset: int = 0
    watermark: int = -1
    source: int = -1
    late: bool = False
    extra: Extra | None = None
    influence_ms: int = 0
    throttle: Throttle | None = None

    def __len__(self) -> int:
        return len(self.items)

    @property
    def newest_ms(self) -> int:
        """Newest event time that the window has seen; 0 for one that has seen none."""
        return self.base_ms + self.newest

    @property
    def oldest_ms(self) -> int:
        """Oldest event time in the window; 0 for an empty one."""
        if not self.items:
            return 0
        return min(self.times_ms()) if self.late else self.base_ms + self._time_at(0)

    @property
    def watermarks(self) -> dict[int, int]:
        """Source to the last offset read from it."""
        if self.source < 0:
            return {}
        watermarks = {} if self.extra is None else dict(self.extra.watermarks)
        watermarks[self.source] = self.base_offset + self.watermark
        return watermarks

    @property
    def types(self) -> list[str]:
        """Event types; every event has one of them."""
        extra = self.extra
        if extra is not None and extra.kinds is not None:
            return extra.types
        return [self.event_type] if self.items else []

    def times_ms(self, start: int = 0) -> "array[int]":
        """Event times, in arrival order, from the entry `start` on."""
        return read_times(self.arrivals, self.base_ms, start, wide=self._layout() is WIDE)

    def offsets(self) -> list[int]:
        """Source offsets, in arrival order."""
        base_offset = self.base_offset
        return [base_offset + offset for offset in self._numbers()[1::2]]

    def _layout(self) -> Struct:
        extra = self.extra
        return NARROW if extra is None or not extra.wide else WIDE

    def _numbers(self) -> tuple[int, ...]:
        """Times and offsets in turn, relative to their bases."""
        return _arrivals_layout(len(self.items), self._layout() is WIDE).unpack(self.arrivals)

    def _time_at(self, entry: int) -> int:
        layout = self._layout()
        time: int = layout.unpack_from(self.arrivals, entry * layout.size)[0]
        return time

    def remembers(self, tag: int, rest: bytes) -> bool:
        """True if an event id of this hash is remembered."""
        find_tag = self.id_tags.find
        has_rest = self.id_rests.startswith
        at = find_tag(tag)
        while at >= 0:
            if has_rest(rest, at * ID_REST_BYTES):
                return True
            at = find_tag(tag, at + 1)
        return False

    def switch_source(self, source: int, offset: int) -> bool:
        """Advance the watermark of a source other than the last one's; False if it is beyond."""
        if self.source < 0:
            self.base_offset = offset
        else:
            extra = self.extra
            if extra is not None and offset <= extra.watermarks.get(source, -1):
                return False
            if extra is None:
                extra = self.extra = Extra()
            extra.watermarks.pop(source, None)
            extra.watermarks[self.source] = self.base_offset + self.watermark
            if self.items and extra.sources is None:
                extra.sources = [self.source] * len(self.items)
        self.source = source
        self.watermark = offset - self.base_offset
        return True

    @classmethod
    def begun_by(cls, click: Click, source: int, offset: int) -> "Window":
        """An empty window that a click, read there, fits into."""
        return cls(
            event_type=click.event_type,
            base_ms=click.timestamp_ms - _BASE_MARGIN_MS,
            newest=_BASE_MARGIN_MS,
            base_offset=offset,
            source=source,
        )

    def append(self, click: Click, source: int, offset: int) -> None:
        """Add an event at the end, whatever it is like."""
        extra = self.extra
        time = click.timestamp_ms - self.base_ms
        pack = NARROW.pack if extra is None or not extra.wide else WIDE.pack
        try:
            arrival = pack(time, offset - self.base_offset)
        except DoesNotFit:
            self._rebase(click.timestamp_ms, offset)
            self.append(click, source, offset)
            return
        if time > self.newest:
            self.newest = time
        elif time < self.newest:
            self.late = True
        count = len(self.items)
        event_type = click.event_type
        if not count:
            self.event_type = event_type
        place = click.place_cell
        if extra is None and (place or event_type != self.event_type):
            extra = self.extra = Extra()
        if extra is not None:
            if extra.kinds is not None or event_type != self.event_type:
                _append_kind(extra, event_type, count, self.event_type)
            if extra.sources is not None:
                extra.sources.append(source)
            if extra.places is not None:
                extra.places.append(place)
            elif place:
                extra.places = [*[0] * count, place]
        self.items.append(click.item_id)
        self.arrivals += arrival

    def _rebase(self, time_ms: int, offset: int) -> None:
        """Move the bases, and choose the layout, so that the entries and one more fit."""
        times_ms, offsets = self.times_ms().tolist(), self.offsets()
        newest_ms = self.newest_ms
        watermark = self.base_offset + self.watermark
        self.base_ms = min([time_ms, *times_ms]) - _BASE_MARGIN_MS
        self.base_offset = min([offset, *offsets])
        self.newest = newest_ms - self.base_ms
        self.watermark = watermark - self.base_offset
        wide = (
            max([time_ms, *times_ms]) - self.base_ms >= _NARROW_LIMIT
            or max([offset, *offsets]) - self.base_offset >= _NARROW_LIMIT
        )
        if self.extra is not None:
            self.extra.wide = wide
        elif wide:
            self.extra = Extra(wide=True)
        numbers = [
            number
            for at_ms, at_offset in zip(times_ms, offsets, strict=True)
            for number in (at_ms - self.base_ms, at_offset - self.base_offset)
        ]
        self.arrivals = bytearray(_arrivals_layout(len(times_ms), wide).pack(*numbers))

    def evict_first(self, surplus: int) -> None:
        """Forget the `surplus` events that arrived first."""
        items = self.items
        del items[:surplus]
        if not items:
            self._empty()
            return
        extra = self.extra
        if extra is None:
            del self.arrivals[: surplus * NARROW_BYTES]
            return
        del self.arrivals[: surplus * self._layout().size]
        if extra.kinds is not None:
            del extra.kinds[:surplus]
        if extra.sources is not None:
            del extra.sources[:surplus]
        if extra.places is not None:
            del extra.places[:surplus]

    def evict_older(self, cutoff_ms: int) -> None:
        """Forget every event before an instant, wherever late arrival has put it."""
        if self.late:
            self._evict_scattered(cutoff_ms)
            return
        cutoff = cutoff_ms - self.base_ms
        count = len(self.items)
        surplus = 0
        while surplus < count and self._time_at(surplus) < cutoff:
            surplus += 1
        if surplus:
            self.evict_first(surplus)

    def _evict_scattered(self, cutoff_ms: int) -> None:
        """evict_older() where arrival order need not be time order."""
        times_ms = self.times_ms().tolist()
        kept = [entry for entry, time_ms in enumerate(times_ms) if time_ms >= cutoff_ms]
        if len(kept) == len(times_ms):
            return
        if not kept:
            self.evict_first(len(times_ms))
            return
        size = self._layout().size
        arrivals = self.arrivals
        self.items = [self.items[entry] for entry in kept]
        self.arrivals = bytearray().join(
            [arrivals[entry * size : (entry + 1) * size] for entry in kept]
        )
        times_ms = [times_ms[entry] for entry in kept]
        self.late = times_ms != sorted(times_ms)
        extra = self.extra
        if extra is not None:
            if extra.kinds is not None:
                extra.kinds = type(extra.kinds)([extra.kinds[entry] for entry in kept])
            if extra.sources is not None:
                extra.sources = [extra.sources[entry] for entry in kept]
            if extra.places is not None:
                extra.places = [extra.places[entry] for entry in kept]

    def _empty(self) -> None:
        """Reset the columns of a window that lost its last entry; the newest time stays known."""
        self.arrivals.clear()
        self.event_type = ""
        # The next event sets the base.
        self.newest += self.base_ms
        self.base_ms = 0
        self.late = False
        extra = self.extra
        if extra is not None:
            self.extra = Extra(watermarks=extra.watermarks) if extra.watermarks else None

    def is_consistent(self) -> bool:
        """True if all columns have the length they must have."""
        count = len(self.items)
        if len(self.arrivals) != count * self._layout().size:
            return False
        if len(self.id_rests) != len(self.id_tags) * ID_REST_BYTES:
            return False
        throttle = self.throttle
        if throttle is not None and (len(throttle.rejected) % 2 or len(throttle.screened) % 2):
            return False
        extra = self.extra
        return extra is None or (
            all(
                column is None or len(column) == count
                for column in (extra.kinds, extra.sources, extra.places)
            )
            and max(extra.kinds or (-1,)) < len(extra.types)
        )


def _append_kind(extra: Extra, event_type: str, count: int, first_type: str) -> None:
    """Note the type of the event after `count` others, which had the first type so far."""
    types = extra.types
    if extra.kinds is None:
        types.append(first_type)
        extra.kinds = bytearray(count)
    if event_type not in types:
        types.append(event_type)
    kind = types.index(event_type)
    try:
        extra.kinds.append(kind)
    except ValueError:
        extra.kinds = [*extra.kinds, kind]


@lru_cache(maxsize=1024)
def _arrivals_layout(count: int, wide: bool) -> Struct:
    return Struct(f"<{2 * count}{'Q' if wide else 'I'}")
