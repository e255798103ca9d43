"""Read models: what every worker holds whole, whoever owns it: the graph and the catalogue.

They are followed from their topics. The graph's part that this worker owns is not read back: it is
taken over as it is stored, and when the partition goes away the following goes on from there.
"""

import contextlib
import logging
from collections.abc import Collection, Iterable
from typing import Any

from streams.catalogue import Catalogue
from streams.events import Reject, decode_item
from streams.follower import Follower
from streams.item_placement import ItemPlacement
from streams.replica import GraphReplica
from streams.settings import Settings
from streams.stores import Change
from streams.topics import changelog_topic
from streams.transitions import CHAIN_KEY

log = logging.getLogger(__name__)

_CHAIN = CHAIN_KEY.encode()


class ReadModels:
    """Keeps the replica of the graph, the catalogue and the placed items up to date."""

    def __init__(
        self,
        settings: Settings,
        partitions: int,
        replica: GraphReplica,
        catalogue: Catalogue,
        placement: ItemPlacement,
    ) -> None:
        """`partitions`: of the graph's changelog."""
        self._replica = replica
        self._catalogue = catalogue
        self._placement = placement
        self._limits = settings.click_limits()
        self._graph_offsets = dict.fromkeys(range(partitions), 0)
        self.graph = Follower(settings, changelog_topic(settings, "graph"), self._on_graph)
        self.items = Follower(settings, settings.items, self.on_items)

    def follow(self, item_partitions: int) -> None:
        """Follow both topics whole, the graph's from where it was last applied."""
        self.follow_graph_without(())
        self.items.follow(dict.fromkeys(range(item_partitions), 0))

    def follow_graph_without(self, owned: Collection[int]) -> None:
        """Follow the partitions of the graph that this worker does not own."""
        self.graph.follow({p: o for p, o in self._graph_offsets.items() if p not in owned})

    def take_over(
        self, number: int, changes: Iterable[tuple[bytes, bytes | None]], next_offset: int
    ) -> None:
        """States of an owned partition of the graph, as they are stored up to `next_offset`."""
        for key, blob in changes:
            if key != _CHAIN:
                self._replica.apply(key.decode(), blob)
        self._graph_offsets[number] = next_offset

    def _on_graph(self, number: int, records: list[Any]) -> None:
        changes: list[Change] = [(record.key, record.value) for record in records]
        self.take_over(number, changes, records[-1].offset + 1)

    def on_items(self, number: int, records: list[Any]) -> None:
        """Records of the items topic: items that are announced, changed or withdrawn."""
        for record in records:
            if record.value is None:
                with contextlib.suppress(UnicodeDecodeError):
                    item_id = (record.key or b"").decode()
                    self._catalogue.withdraw(item_id)
                    self._placement.withdraw(item_id)
                continue
            item = decode_item(record.value, record.key, self._limits)
            if isinstance(item, Reject):
                log.warning(
                    "item record %d/%d is not used: %s", number, record.offset, item.reason.value
                )
                log.debug("because %s", item.detail)  # which can quote the record
                continue
            self._catalogue.apply(item)
            self._placement.apply(item)
