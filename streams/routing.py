"""Routing: the transitions of a batch of clicks, to the graph partitions that own the items."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from streams.click import Click
from streams.transitions import TransitionBatch, owner_of

_OWNER_CACHE_ITEMS = 200_000


class Link(NamedTuple):
    """A click that links items. predecessors: items before it, nearest first; None: no link."""

    offset: int
    click: Click
    predecessors: Sequence[str | None]


class Router:
    """Knows who owns an item."""

    def __init__(self, partitions: int) -> None:
        """partitions: of the transitions topic."""
        self._partitions = partitions
        self._owners: dict[str, int] = {}

    def route(self, links: Iterable[Link], source: int) -> dict[int, TransitionBatch]:
        """What every graph partition concerned is to be told, by partition; `links` in offset
        order.
        """
        outgoing: dict[int, TransitionBatch] = {}
        # Where an item's transitions go: one look-up for each, since they are most of the work.
        places: dict[str, tuple[TransitionBatch, list[int], list[int]]] = {}
        find = places.get
        for offset, click, predecessors in links:
            item_id = click.item_id
            time_ms = click.timestamp_ms
            event_type = click.event_type
            place = find(item_id)
            if place is None:
                place = places[item_id] = self._place(item_id, source, outgoing)
            batch, offsets, _ = place
            if not offsets or offsets[-1] != offset:
                batch.add(offset, time_ms, item_id, event_type)
            batch.owned.append(len(offsets) - 1)
            distance = 0
            for before in predecessors:
                distance += 1
                if before is None:
                    continue
                place = find(before)
                if place is None:
                    place = places[before] = self._place(before, source, outgoing)
                batch, offsets, followers = place
                if not offsets or offsets[-1] != offset:
                    batch.add(offset, time_ms, item_id, event_type)
                followers += (len(offsets) - 1, distance)
        for item_id, (batch, _, followers) in places.items():
            if followers:
                batch.edges[item_id] = followers
        return outgoing

    def _place(
        self, item_id: str, source: int, outgoing: dict[int, TransitionBatch]
    ) -> tuple[TransitionBatch, list[int], list[int]]:
        """The batch to the owner of an item, its offsets, and room for the item's followers."""
        owner = self._owner(item_id)
        batch = outgoing.get(owner)
        if batch is None:
            batch = outgoing[owner] = TransitionBatch.empty(source)
        return batch, batch.offsets, []

    def _owner(self, item_id: str) -> int:
        owners = self._owners
        owner = owners.get(item_id)
        if owner is None:
            if len(owners) >= _OWNER_CACHE_ITEMS:
                owners.clear()
            owner = owners[item_id] = owner_of(item_id, self._partitions)
        return owner
