"""A user's window as plain data: columns of events, and the steps that change them."""

from bisect import bisect_left
from itertools import accumulate

import msgspec
from xxhash import xxh64_digest

from streams.click import Click

# 48 bits of a 64-bit hash: with 200 remembered ids a new one collides once in 1.4e12 clicks.
EVENT_ID_BYTES = 6
FREE = ""  # an item slot without an item; no item id is empty
_COMPACT_ABOVE = 16

Slots = bytearray | list[int]  # indexes into a dictionary: bytes until one exceeds 255


class Window(msgspec.Struct, array_like=True, gc=False):
    """State of one user. len() is the number of events; an empty window is falsy.

    Entries stand in arrival order. items and types are dictionaries that item_slots and
    type_slots index. Columns that say nothing are empty: type_slots while there is one type,
    sources while there is one source (then in source), places while no event has a place.

    Times and offsets are differences between successive arrivals, one fewer than entries, from
    first_ms and first_offset; span_ms and span_offset are their sums. lead_ms: newest event time
    ever seen less the last arrival's. lag_ms: first_ms less a lower bound of all event times.
    late: how many time gaps are negative; with 0 of them arrival order is time order.

    watermarks: source to the last offset read from it. event_ids: hashes of the newest event
    ids, EVENT_ID_BYTES each. free_slots: the slots of items that are FREE.
    """

    items: list[str] = msgspec.field(default_factory=list)
    types: list[str] = msgspec.field(default_factory=list)
    item_slots: Slots = msgspec.field(default_factory=bytearray)
    type_slots: Slots = msgspec.field(default_factory=bytearray)
    time_gaps: list[int] = msgspec.field(default_factory=list)
    offset_gaps: list[int] = msgspec.field(default_factory=list)
    sources: list[int] = msgspec.field(default_factory=list)
    places: list[int] = msgspec.field(default_factory=list)
    first_ms: int = 0
    span_ms: int = 0
    lead_ms: int = 0
    lag_ms: int = 0
    late: int = 0
    first_offset: int = 0
    span_offset: int = 0
    source: int = 0
    free_slots: list[int] = msgspec.field(default_factory=list)
    watermarks: dict[int, int] = msgspec.field(default_factory=dict)
    event_ids: bytearray = msgspec.field(default_factory=bytearray)

    def __len__(self) -> int:
        return len(self.item_slots)

    @property
    def newest_ms(self) -> int:
        """Newest event time that the window has seen; 0 for one that has seen none."""
        return self.first_ms + self.span_ms + self.lead_ms

    @property
    def oldest_ms(self) -> int:
        """Oldest event time in the window; 0 for an empty one."""
        if not self.item_slots:
            return 0
        return min(self.times_ms()) if self.late else self.first_ms

    def times_ms(self) -> list[int]:
        """Event times, in arrival order."""
        if not self.item_slots:
            return []
        return list(accumulate(self.time_gaps, initial=self.first_ms))

    def offsets(self) -> list[int]:
        """Source offsets, in arrival order."""
        if not self.item_slots:
            return []
        return list(accumulate(self.offset_gaps, initial=self.first_offset))

    def remember(self, event_id: str, max_event_ids: int) -> bool:
        """False if the window remembers this event id already."""
        digest = xxh64_digest(event_id.encode())[:EVENT_ID_BYTES]
        ids = self.event_ids
        at = ids.find(digest)
        while at >= 0:
            if at % EVENT_ID_BYTES == 0:
                return False
            at = ids.find(digest, at + 1)
        ids += digest
        surplus = len(ids) - max_event_ids * EVENT_ID_BYTES
        if surplus > 0:
            del ids[:surplus]
        return True

    def append(self, click: Click, source: int, offset: int) -> None:
        """Add an event at the end."""
        time_ms = click.timestamp_ms
        last_ms = self.first_ms + self.span_ms
        count = len(self.item_slots)
        if count:
            gap = time_ms - last_ms
            self.time_gaps.append(gap)
            self.span_ms += gap
            if gap < 0:
                self.late += 1
                self.lag_ms = max(self.lag_ms, self.first_ms - time_ms)
            gap = offset - self.first_offset - self.span_offset
            self.offset_gaps.append(gap)
            self.span_offset += gap
            if self.sources:
                self.sources.append(source)
            elif source != self.source:
                self.sources = [*[self.source] * count, source]
        else:
            self.first_ms = time_ms
            self.first_offset = offset
            self.source = source
        if self.lead_ms or time_ms < last_ms:
            self.lead_ms = max(last_ms + self.lead_ms - time_ms, 0)

        event_type = click.event_type
        if not self.types:
            self.types.append(event_type)
        elif self.type_slots or event_type != self.types[0]:
            self._append_type(event_type, count)
        if click.place_cell or self.places:
            self.places.extend([0] * (count - len(self.places)))
            self.places.append(click.place_cell)
        items = self.items
        item_id = click.item_id
        slot = items.index(item_id) if item_id in items else self._new_item_slot(item_id)
        try:
            self.item_slots.append(slot)
        except ValueError:
            self.item_slots = [*self.item_slots, slot]

    def _append_type(self, event_type: str, count: int) -> None:
        if not self.type_slots:
            self.type_slots = bytearray(count)
        if event_type not in self.types:
            self.types.append(event_type)
        slot = self.types.index(event_type)
        try:
            self.type_slots.append(slot)
        except ValueError:
            self.type_slots = [*self.type_slots, slot]

    def _new_item_slot(self, item_id: str) -> int:
        if self.free_slots:
            slot = self.free_slots.pop()
            self.items[slot] = item_id
            return slot
        self.items.append(item_id)
        return len(self.items) - 1

    def evict_first(self, surplus: int) -> None:
        """Forget the `surplus` events that arrived first."""
        if surplus == 1 and self.time_gaps:
            self._evict_one()
            return
        slots = self.item_slots
        dropped = slots[:surplus]
        del slots[:surplus]
        if slots:
            gaps = self.time_gaps[:surplus]
            del self.time_gaps[:surplus]
            moved = sum(gaps)
            self.first_ms += moved
            self.span_ms -= moved
            if self.late:
                self.late -= sum([gap < 0 for gap in gaps])
                self.lag_ms = self.lag_ms + moved if self.late else 0
            moved = sum(self.offset_gaps[:surplus])
            del self.offset_gaps[:surplus]
            self.first_offset += moved
            self.span_offset -= moved
            if self.sources:
                del self.sources[:surplus]
                self.source = self.sources[0]
            if self.places:
                del self.places[:surplus]
            if self.type_slots:
                del self.type_slots[:surplus]
        else:
            self._empty()
        for slot in sorted(set(dropped)):
            if slot not in slots:
                self._free(slot)
        self._compact_if_sparse()

    def _evict_one(self) -> None:
        """evict_first(1) of a window that keeps at least one event: what every full one does."""
        slot = self.item_slots.pop(0)
        gap = self.time_gaps.pop(0)
        self.first_ms += gap
        self.span_ms -= gap
        if self.late:
            self.late -= gap < 0
            self.lag_ms = self.lag_ms + gap if self.late else 0
        gap = self.offset_gaps.pop(0)
        self.first_offset += gap
        self.span_offset -= gap
        if self.sources:
            del self.sources[0]
            self.source = self.sources[0]
        if self.places:
            del self.places[0]
        if self.type_slots:
            del self.type_slots[0]
        if slot not in self.item_slots:
            self._free(slot)
            self._compact_if_sparse()

    def _free(self, slot: int) -> None:
        self.items[slot] = FREE
        self.free_slots.append(slot)

    def _compact_if_sparse(self) -> None:
        free = len(self.free_slots)
        if free > _COMPACT_ABOVE and 2 * free > len(self.items):
            self._rebuild(range(len(self.item_slots)))

    def evict_older(self, cutoff_ms: int) -> None:
        """Forget every event before an instant, wherever late arrival has put it."""
        times_ms = self.times_ms()
        if not self.late:
            surplus = bisect_left(times_ms, cutoff_ms)
            if surplus:
                self.evict_first(surplus)
            return
        kept = [entry for entry, time_ms in enumerate(times_ms) if time_ms >= cutoff_ms]
        if not kept:
            self.evict_first(len(times_ms))
            return
        if len(kept) < len(times_ms):
            self._rebuild(kept)
        # The bound that brought us here may be older than what is left: make it exact.
        self.lag_ms = self.first_ms - min(times_ms[entry] for entry in kept)

    def _empty(self) -> None:
        """Reset the columns of a window that lost its last entry; the newest time stays known."""
        self.first_ms += self.span_ms
        self.span_ms = self.lag_ms = self.late = self.span_offset = 0
        for column in (
            self.time_gaps,
            self.offset_gaps,
            self.sources,
            self.places,
            self.types,
            self.type_slots,
        ):
            column.clear()

    def _rebuild(self, kept: range | list[int]) -> None:
        """Hold only these entries, at least one, with dictionaries in the order of first use."""
        newest_ms = self.newest_ms
        count = len(self.item_slots)
        times_ms, offsets = self.times_ms(), self.offsets()
        sources = self.sources or [self.source] * count
        places = self.places or [0] * count
        kinds = self.type_slots or bytes(count)
        arrivals = [
            (
                Click(
                    "",
                    self.items[self.item_slots[entry]],
                    self.types[kinds[entry]],
                    times_ms[entry],
                    place_cell=places[entry],
                ),
                sources[entry],
                offsets[entry],
            )
            for entry in kept
        ]
        self._empty()
        self.item_slots = bytearray()
        self.items.clear()
        self.free_slots.clear()
        for click, source, offset in arrivals:
            self.append(click, source, offset)
        self.lead_ms = newest_ms - self.first_ms - self.span_ms

    def is_consistent(self) -> bool:
        """True if all columns have the length they must have."""
        count = len(self.item_slots)
        gaps = count - 1 if count else 0
        return (
            len(self.time_gaps) == gaps
            and len(self.offset_gaps) == gaps
            and len(self.sources) in (0, count)
            and len(self.places) in (0, count)
            and (len(self.type_slots) == count or (not self.type_slots and len(self.types) == 1))
        )
