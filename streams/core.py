"""Core: windows, graph and popularity of a whole stream in one process, by the worker's own folds.

What a worker does between the brokers, without them: clicks pass `ClickPipeline` into windows, the
transitions that they cause pass `GraphPipeline` into items, and what changed reaches the replica
that lists are made from. There is one partition.
"""

from collections.abc import Iterator, Sequence

import msgspec

from streams.catalogue import Catalogue
from streams.effects import ClickEffects, Headers, State
from streams.graph import ItemState, encode_item
from streams.graph_pipeline import GraphPipeline
from streams.pipeline import ClickPipeline, PipelineConfig
from streams.replica import GraphReplica
from streams.transitions import ReceivedPositions, SentPositions, encode_transitions
from streams.window import Window

_SOURCE = 0
_GRAPH_PARTITION = 0


class StreamRecord(msgspec.Struct, frozen=True, gc=False):
    """One record of a topic, as a pipeline reads it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class MemoryTable(dict[str, State]):
    """A table partition that remembers which keys were written."""

    def __init__(self) -> None:
        super().__init__()
        self._written: dict[str, None] = {}

    def put(self, key: str, state: State) -> None:
        """Set the state of a key."""
        self[key] = state
        self._written[key] = None

    def delete(self, key: str) -> None:
        """Remove a key."""
        self.pop(key, None)

    def take_written(self) -> Iterator[tuple[str, State]]:
        """Keys written since last asked, and their states."""
        written, self._written = self._written, {}
        return ((key, self[key]) for key in written if key in self)


class WindowFold:
    """Windows alone: what a history will be, without the cost of the graph."""

    def __init__(self, config: PipelineConfig) -> None:
        self.windows: MemoryTable[Window] = MemoryTable()
        self._pipeline = ClickPipeline(config)
        self._sent = SentPositions(_SOURCE)

    def fold(self, records: Sequence[StreamRecord]) -> ClickEffects:
        """Fold clicks in offset order. ValueError for a click that a worker would reject."""
        effects = self._pipeline.process(records, self.windows, self._sent, rekey=False)
        for letter in effects.dead_letters:
            reject = letter.reject
            message = f"a worker would reject event {letter.offset}: {reject.reason.value}"
            raise ValueError(f"{message} ({reject.detail}), so correct or remove it")
        return effects


class Core:
    """All state of a stream, and the replica and catalogue that a `Recommender` reads."""

    def __init__(self, config: PipelineConfig) -> None:
        """`config.partitions` must be 1."""
        if config.partitions != 1:
            raise ValueError(f"a core has 1 partition, not {config.partitions}")
        self.replica = GraphReplica(config.graph)
        self.catalogue = Catalogue(self.replica.ids)
        self._clicks = WindowFold(config)
        self._graph = GraphPipeline(config)
        self._received = ReceivedPositions()
        self._items: MemoryTable[ItemState] = MemoryTable()
        self._graph_offset = 0

    @property
    def windows(self) -> MemoryTable[Window]:
        """Windows by user."""
        return self._clicks.windows

    def fold(self, records: Sequence[StreamRecord]) -> None:
        """Fold clicks in offset order, all the way into the replica."""
        effects = self._clicks.fold(records)
        transitions = []
        for batch in effects.transitions.values():
            record = StreamRecord(
                self._graph_offset, records[-1].timestamp, None, encode_transitions(batch)
            )
            transitions.append(record)
            self._graph_offset += 1
        self._graph.process(transitions, self._items, self._received)
        for item_id, state in self._items.take_written():
            self.replica.apply(item_id, encode_item(state))
