"""Links in Python: what clicks tell the graph, as columns for every partition that is concerned."""

from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from streams.kernels.pure_columns import Columns


class Telling(NamedTuple):
    """Columns, the table that their items are numbers in, and the list of the kinds."""

    item_ids: list[str]
    event_types: list[str]
    columns: Columns


class Linking(Protocol):
    """A click that links items (`streams.click.Click`)."""

    item_id: str
    event_type: str
    timestamp_ms: int


class LinkedRows:
    """What a graph partition is told, click by click."""

    __slots__ = ("_items", "_kinds", "_links", "_times_ms", "_types", "offsets")

    def __init__(self) -> None:
        self.offsets: list[int] = []
        """Of the rows so far."""
        self._times_ms: list[int] = []
        self._items: list[str] = []
        self._kinds: list[int] = []
        self._types: dict[str, int] = {}
        self._links: dict[str, list[int]] = {}

    def add(self, offset: int, time_ms: int, item_id: str, event_type: str) -> None:
        """A row for a click that is later than those before it."""
        self.offsets.append(offset)
        self._times_ms.append(time_ms)
        self._items.append(item_id)
        self._kinds.append(self._types.setdefault(event_type, len(self._types)))

    def links_of(self, item_id: str) -> list[int]:
        """Links of an item that the partition owns from now on, to be added to: flat, row and
        distance.
        """
        return self._links.setdefault(item_id, [])

    def told(self) -> Telling:
        """As columns: items that are followed first, each group as its items came."""
        followed: list[str] = []
        visited: list[str] = []
        for item_id, links in self._links.items():
            (followed if any(links[1::2]) else visited).append(item_id)
        owned = followed + visited
        table = dict(zip(owned, range(len(owned)), strict=True))
        items = [table.setdefault(item_id, len(table)) for item_id in self._items]
        flat: list[int] = []
        ends = []
        for item_id in owned:
            flat += self._links[item_id]
            ends.append(len(flat) // 2)
        columns = Columns(
            array("q", self.offsets),
            array("q", self._times_ms),
            array("q", items),
            array("q", self._kinds),
            array("q", ends),
            array("q", flat[::2]),
            array("q", flat[1::2]),
        )
        return Telling(list(table), list(self._types), columns)


def link_clicks(
    offsets: list[int],
    clicks: Sequence[Linking | None],
    predecessors: list[list[str | None] | None],
    owners: Mapping[str, int],
) -> dict[int, Telling]:
    """What clicks tell every graph partition that is concerned, by partition.

    One entry a click in each of the first three, in offset order; a click that is None or whose
    predecessors are None links nothing. owners: of an item, the partition that owns it.
    """
    outgoing: dict[int, LinkedRows] = {}
    # Where an item's links go: one look-up for each, since they are most of the work.
    places: dict[str, tuple[LinkedRows, list[int], list[int]]] = {}
    find = places.get
    for offset, click, before in zip(offsets, clicks, predecessors, strict=True):
        if click is None or before is None:
            continue
        distance = -1
        for item_id in (click.item_id, *before):
            distance += 1
            if item_id is None:
                continue
            place = find(item_id)
            if place is None:
                linked = outgoing.setdefault(owners[item_id], LinkedRows())
                place = places[item_id] = linked, linked.offsets, linked.links_of(item_id)
            linked, rows, links = place
            if not rows or rows[-1] != offset:
                linked.add(offset, click.timestamp_ms, click.item_id, click.event_type)
            links += (len(rows) - 1, distance)
    return {owner: linked.told() for owner, linked in outgoing.items()}
