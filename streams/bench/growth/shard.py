"""Shard: one partition of a worker without Kafka, whose sends are acknowledged at once.

Tables, folds, stores and replica are the worker's own. What is missing is the client of Kafka and
the event loop: their cost is what `freshrec bench state` finds beyond a shard's.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from streams.catalogue import Catalogue
from streams.core import StreamRecord
from streams.graph_pipeline import GraphPipeline
from streams.partition import Partition
from streams.pipeline import ClickPipeline
from streams.replica import GraphReplica
from streams.settings import Settings
from streams.stores import Change, StoreFactory
from streams.tables import TablePartition
from streams.transitions import encode_transitions
from streams.window import Window, encode_window


class Written(msgspec.Struct):
    """What a worker would have sent to Kafka for the clicks so far, keys included."""

    windows: int = 0
    window_bytes: int = 0
    items: int = 0
    item_bytes: int = 0
    transition_bytes: int = 0


class Shard:
    """State of one partition in this process."""

    def __init__(self, settings: Settings, stores: StoreFactory) -> None:
        config = settings.pipeline_config(1)
        self.partition = Partition(0, settings, stores)
        self.replica = GraphReplica(config.graph)
        self.catalogue = Catalogue(self.replica.ids)
        self.written = Written()
        self._clicks = ClickPipeline(config)
        self._graph = GraphPipeline(config)
        self._graph_offset = 0

    def fill(self, windows: Iterable[tuple[str, Window]]) -> None:
        """Put windows of users to the store, as if they had been there for long."""
        changes: list[Change] = [(user.encode(), encode_window(window)) for user, window in windows]
        _acknowledge(self.partition.windows, changes)

    def window(self, user: str) -> Window:
        """A user's window. KeyError without one."""
        window = self.partition.windows.get(user)
        if window is None:
            raise KeyError(user)
        return window

    def fold(self, records: Sequence[StreamRecord]) -> None:
        """Fold clicks in offset order, into the stores and the replica.

        ValueError for a click that a worker would reject.
        """
        partition, written = self.partition, self.written
        effects = self._clicks.process(
            records, partition.windows, partition.clicks_sent, rekey=False
        )
        if effects.dead_letters:
            raise ValueError(f"a worker would reject: {effects.dead_letters[0].reject}")
        sent = []
        for batch in effects.transitions.values():
            value = encode_transitions(batch)
            written.transition_bytes += len(value)
            sent.append(StreamRecord(self._graph_offset, records[-1].timestamp, None, value))
            self._graph_offset += 1
        self._graph.process(sent, partition.graph, partition.received)
        windows = partition.windows.take_changes()
        written.windows += len(windows)
        written.window_bytes += _size(windows)
        _acknowledge(partition.windows, windows)
        items = partition.graph.take_changes()
        written.items += len(items)
        written.item_bytes += _size(items)
        _acknowledge(partition.graph, items)
        for key, blob in items:
            self.replica.apply(key.decode(), blob)

    def close(self) -> None:
        """Release the stores."""
        self.partition.close()


def _acknowledge(table: TablePartition[Any], changes: list[Change]) -> None:
    table.acknowledge(changes, table.next_offset + len(changes))


def _size(changes: list[Change]) -> int:
    return sum(len(key) + len(blob or b"") for key, blob in changes)
