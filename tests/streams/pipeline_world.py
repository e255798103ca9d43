"""Both pipelines over tables that are dictionaries, for tests of what they make of clicks."""

import json
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import strategies as st

from streams.effects import ClickEffects
from streams.event_types import EventTypes
from streams.events import ClickLimits
from streams.graph import GraphConfig, encode_item
from streams.graph_pipeline import GraphPipeline
from streams.pipeline import ClickPipeline, PipelineConfig
from streams.transitions import (
    ReceivedPositions,
    SentPositions,
    TransitionBatch,
    encode_transitions,
)
from streams.window import WindowConfig, encode_window

NOW_MS = 1_770_000_000_000
PARTITIONS = 3
TYPES = EventTypes()
CONFIG = PipelineConfig(
    window=WindowConfig(max_events=8, event_types=TYPES),
    graph=GraphConfig(max_neighbours=6, event_types=TYPES),
    limits=ClickLimits(max_age_ms=30 * 86_400_000, event_types=TYPES.names),
    event_types=TYPES,
    partitions=PARTITIONS,
)


LIMITED = msgspec.structs.replace(
    CONFIG,
    window=WindowConfig(
        max_events=8, event_types=TYPES, graph_click_ms=86_400_000 // 4, click_us=3_000_000, burst=3
    ),
)
BOTH = pytest.mark.parametrize("config", [CONFIG, LIMITED], ids=["unlimited", "limited"])


class FakeRecord(NamedTuple):
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class DictTable(dict[str, Any]):
    """A table partition that is only a dictionary."""

    def put(self, key: str, state: Any) -> None:
        self[key] = state

    def delete(self, key: str) -> None:
        self.pop(key, None)


def a_click(offset: int, user: str, item: str, **more: Any) -> FakeRecord:
    body = {"user_id": user, "item_id": item, "timestamp": NOW_MS + offset * 1000, **more}
    return FakeRecord(offset, NOW_MS + offset * 1000, user.encode(), json.dumps(body).encode())


class World:
    """Windows and graph of a one-worker deployment, fed through the transitions' bytes."""

    def __init__(self, config: PipelineConfig = CONFIG) -> None:
        self.windows = DictTable()
        self.graph = [DictTable() for _ in range(PARTITIONS)]
        self.received = [ReceivedPositions() for _ in range(PARTITIONS)]
        self._clicks = ClickPipeline(config)
        self._graph = GraphPipeline(config)

    def run(
        self, records: list[FakeRecord], sent: SentPositions, *, lose: bool = False
    ) -> ClickEffects:
        effects = self._clicks.process(records, self.windows, sent, rekey=True)
        for number, batch in effects.transitions.items():
            if not lose:
                self.arrive(number, batch)
        return effects

    def arrive(self, number: int, batch: TransitionBatch) -> None:
        record = FakeRecord(0, NOW_MS, None, encode_transitions(batch))
        self._graph.process([record], self.graph[number], self.received[number])

    def blobs(self) -> dict[str, bytes]:
        """Every state, packed."""
        windows = {f"user {u}": encode_window(w) for u, w in self.windows.items()}
        for number, table in enumerate(self.graph):
            windows |= {f"item {number} {i}": encode_item(s) for i, s in table.items()}
        return windows


CLICK_STREAMS = st.lists(
    st.tuples(
        st.sampled_from(["u1", "u2", "u3"]),
        st.sampled_from([f"i{n}" for n in range(9)]),
        st.sampled_from(["click", "purchase", "view", "dislike"]),
        st.sampled_from([None, None, "e1", "e2"]),
    ),
    min_size=1,
    max_size=40,
).map(
    lambda rows: [
        a_click(n, user, item, event_type=kind, **({"event_id": event} if event else {}))
        for n, (user, item, kind, event) in enumerate(rows)
    ]
)
