"""Routing: the transitions of a batch of clicks, to the graph partitions that own the items."""

from streams.click import Click
from streams.kernels import link_clicks
from streams.transitions import SESSION_START, TransitionBatch, owner_of

_OWNER_CACHE_ITEMS = 200_000


class Router:
    """Knows who owns an item."""

    def __init__(self, partitions: int) -> None:
        """partitions: of the transitions topic."""
        self._owners = _Owners(partitions)

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
        told = link_clicks(offsets, clicks, predecessors, self._owners)
        return {
            partition: TransitionBatch(source, SESSION_START, item_ids, event_types, columns)
            for partition, (item_ids, event_types, columns) in told.items()
        }


class _Owners(dict[str, int]):
    """Owners by item, worked out once for those that come again."""

    __slots__ = ("_partitions",)

    def __init__(self, partitions: int) -> None:
        super().__init__()
        self._partitions = partitions

    def __missing__(self, item_id: str) -> int:
        if len(self) >= _OWNER_CACHE_ITEMS:
            self.clear()
        owner = self[item_id] = owner_of(item_id, self._partitions)
        return owner
