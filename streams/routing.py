"""Routing: the transitions of a batch of clicks, to the graph partitions that own the items."""

from streams.click import Click
from streams.kernels import link_clicks
from streams.transitions import TransitionBatch, owner_of

_OWNER_CACHE_ITEMS = 200_000
_Place = tuple[TransitionBatch, list[int], list[int]]


class Router:
    """Knows who owns an item."""

    def __init__(self, partitions: int) -> None:
        """partitions: of the transitions topic."""
        self._partitions = partitions
        self._owners: dict[str, int] = {}

    def route(
        self,
        offsets: list[int],
        clicks: list[Click | None],
        predecessors: list[list[str | None] | None],
        source: int,
    ) -> dict[int, TransitionBatch]:
        """What every graph partition concerned is to be told, by partition.

        offsets: ascending. predecessors: of each click the items before it, nearest first; None,
        like a click that is None, links nothing.
        """
        outgoing: dict[int, TransitionBatch] = {}
        # Where an item's transitions go: one look-up for each, since they are most of the work.
        places: dict[str, _Place] = {}

        def place_of(item_id: str) -> _Place:
            owner = self._owner(item_id)
            batch = outgoing.get(owner)
            if batch is None:
                batch = outgoing[owner] = TransitionBatch.empty(source)
            return batch, batch.offsets, []

        link_clicks(offsets, clicks, predecessors, places, place_of)
        for item_id, (batch, _, followers) in places.items():
            if followers:
                batch.edges[item_id] = followers
        return outgoing

    def _owner(self, item_id: str) -> int:
        owners = self._owners
        owner = owners.get(item_id)
        if owner is None:
            if len(owners) >= _OWNER_CACHE_ITEMS:
                owners.clear()
            owner = owners[item_id] = owner_of(item_id, self._partitions)
        return owner
