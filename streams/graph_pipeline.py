"""The pipeline of the graph: transitions become edges and popularity of the items of a partition.

As pure as `streams.pipeline`, and as indifferent to how the records are cut into batches.
"""

from collections.abc import Sequence

import msgspec

from streams.codec import CodecError
from streams.effects import Record, Table
from streams.graph import (
    FollowingClicks,
    ItemState,
    count_popularity,
    fold_followers,
    new_item_state,
)
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
        offsets = batch.offsets
        clicks = FollowingClicks(
            offsets, batch.times_ms, batch.items, batch.row_types(), config.event_types
        )
        get_item = graph.get
        put_item = graph.put
        reached: dict[str, tuple[ItemState, int]] = {}
        for item_id, flat in batch.edges.items():
            state = get_item(item_id)
            if state is None:
                state = new_item_state()
            folded, evicted = fold_followers(state, source, clicks, flat, config)
            effects.edges += folded
            effects.evicted += evicted
            effects.replayed += len(flat) // 2 - folded
            reached[item_id] = (state, offsets[flat[-2]])
        for row in batch.owned:
            item_id = batch.items[row]
            offset = offsets[row]
            found = reached.get(item_id)
            if found is None:
                state = get_item(item_id)
                if state is None:
                    state = new_item_state()
                last = offset
            else:
                state, last = found
            reached[item_id] = (state, offset if offset > last else last)
            if offset > state.watermarks.get(source, -1):
                count_popularity(state, clicks.event_types[row], clicks.times_ms[row], config)
            else:
                effects.replayed += 1
        for item_id, (state, last) in reached.items():
            # Edges and popularity of a batch share a watermark, so it moves when both are done.
            if last > state.watermarks.get(source, -1):
                state.watermarks[source] = last
            # A replay changes nothing, but its changelog record may never have left.
            put_item(item_id, state)
