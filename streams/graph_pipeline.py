"""The pipeline of the graph: transitions become edges and popularity of the items of a partition.

As pure as `streams.pipeline`, and as indifferent to how the records are cut into batches.
"""

from collections.abc import Sequence

import msgspec

from streams.codec import CodecError, FormatError, is_intact
from streams.effects import Record, Table
from streams.graph import ItemState, fold_batch
from streams.pipeline import PipelineConfig
from streams.transitions import ReceivedPositions, TransitionBatch, decode_transitions


class GraphEffects(msgspec.Struct):
    """What a batch of transition records did."""

    edges: int = 0
    evicted: int = 0
    replayed: int = 0
    set_aside: int = 0
    """Records whose predecessor in the sender's chain never arrived; they come again."""
    damaged: int = 0


class GraphPipeline:
    """Fold transitions into the items that this graph partition owns."""

    def __init__(self, config: PipelineConfig) -> None:
        self._config = config.graph

    def process(
        self,
        records: Sequence[Record],
        graph: Table[ItemState],
        received: ReceivedPositions,
    ) -> GraphEffects:
        """Fold one batch of records of one graph partition, in offset order.

        Raises FormatError at a record of another version: passed over, it would be lost.
        """
        effects = GraphEffects()
        for record in records:
            if record.value is None:
                effects.damaged += 1
                continue
            try:
                batch = decode_transitions(record.value)
            except CodecError as error:
                if isinstance(error, FormatError) and is_intact(record.value):
                    raise
                effects.damaged += 1
                continue
            if received.accept(batch):
                self._fold(graph, batch, effects)
            else:
                effects.set_aside += 1
        return effects

    def _fold(self, graph: Table[ItemState], batch: TransitionBatch, effects: GraphEffects) -> None:
        folded, replayed, evicted = fold_batch(graph, batch, self._config)
        effects.edges += folded
        effects.replayed += replayed
        effects.evicted += evicted
