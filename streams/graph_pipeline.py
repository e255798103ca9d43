"""The pipeline of the graph: transitions become edges and popularity of the items of a partition.

As pure as `streams.pipeline`, and as indifferent to how the records are cut into batches.
"""

from collections.abc import Sequence

import msgspec

from streams.codec import CodecError
from streams.graph import ItemState, fold_links, following_clicks, new_item_state
from streams.pipeline import PipelineConfig, Record, Table
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
        """Fold one batch of records of one graph partition, in offset order."""
        effects = GraphEffects()
        for record in records:
            if record.value is None:
                effects.damaged += 1
                continue
            try:
                batch = decode_transitions(record.value)
            except CodecError:
                effects.damaged += 1
                continue
            if received.accept(batch):
                self._fold(batch, graph, effects)
            else:
                effects.set_aside += 1
        return effects

    def _fold(self, batch: TransitionBatch, graph: Table[ItemState], effects: GraphEffects) -> None:
        """Item by item, each with all that the batch says of it: memory is touched once."""
        config = self._config
        source = batch.source
        clicks = following_clicks(batch, config.event_types)
        get_item = graph.get
        put_item = graph.put
        first = 0
        for item_id, end in zip(batch.item_ids, batch.columns.ends, strict=False):
            state = get_item(item_id)
            if state is None:
                state = new_item_state()
            folded, replayed, evicted = fold_links(state, source, clicks, first, end, config)
            effects.edges += folded
            effects.replayed += replayed
            effects.evicted += evicted
            # A replay changes nothing, but its changelog record may never have left.
            put_item(item_id, state)
            first = end
