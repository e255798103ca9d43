"""Graph agent: items reach the store and the lists once the changelog has them, in order."""

import asyncio
from typing import Any

from streams.graph_agent import GraphAgent
from streams.graph_pipeline import GraphPipeline
from streams.metrics import Metrics
from streams.offsets import Delivery
from streams.pipeline import ClickPipeline
from streams.settings import Settings
from streams.transitions import SentPositions, encode_transitions
from tests.streams.shell_fakes import (
    FakePublisher,
    FakeRecord,
    click,
    make_partition,
    make_settings,
    settle_down,
)

GRAPH = "freshrec-graph-changelog"


class Bench:
    """A graph agent between a partition in memory and a fake broker."""

    def __init__(self) -> None:
        self.settings = make_settings()
        self.publisher = FakePublisher()
        self.failures: list[BaseException] = []
        self.seen: list[tuple[int, list[bytes], int]] = []
        """What the lists were shown: partition, keys, offset behind them."""
        publisher: Any = self.publisher
        self.agent = GraphAgent(
            self.settings,
            GraphPipeline(self.settings.pipeline_config(1)),
            publisher,
            Metrics(),
            on_items=lambda number, changes, end: self.seen.append(
                (number, [key for key, _ in changes], end)
            ),
            fail=self.failures.append,
        )
        self.partition = make_partition(self.settings)

    async def handle(self, offset: int) -> Delivery:
        """Take what the two clicks of one user tell the graph."""
        delivery = Delivery(offset)
        await self.agent.handle(self.partition, [transition(self.settings, offset)], delivery)
        return delivery


def transition(settings: Settings, offset: int) -> FakeRecord:
    """What the clicks of one user on i1 and i2 tell the graph."""
    windows: Any = make_partition(settings).windows
    clicks: Any = [click(2 * offset, f"u{offset}", "i1"), click(2 * offset + 1, f"u{offset}", "i2")]
    effects = ClickPipeline(settings.pipeline_config(1)).process(
        clicks, windows, SentPositions(0), rekey=True
    )
    return FakeRecord(offset, None, encode_transitions(effects.transitions[0]))


async def test_transitions_reach_store_and_replica_in_order_once_the_changelog_has_them() -> None:
    bench = Bench()
    deliveries = [await bench.handle(offset) for offset in (0, 1)]
    bench.publisher.sent[GRAPH][1].acknowledge()
    await settle_down()
    assert bench.seen == []
    bench.publisher.sent[GRAPH][0].acknowledge()
    await settle_down()
    assert all(delivery.done for delivery in deliveries)
    assert [(number, sorted(keys), end) for number, keys, end in bench.seen] == [
        (0, [b"\x00chain", b"i1", b"i2"], 3),
        (0, [b"\x00chain", b"i1", b"i2"], 6),
    ]
    assert bench.seen[0][1][-1] == b"\x00chain"
    assert bench.failures == []


async def test_no_transitions_are_folded_while_too_much_is_queued() -> None:
    bench = Bench()
    bench.publisher.free.clear()
    waiting = asyncio.create_task(bench.handle(0))
    await settle_down()
    assert bench.publisher.log == []
    assert bench.partition.graph.get("i1") is None
    bench.publisher.free.set()
    await asyncio.wait_for(waiting, 5)
    assert bench.publisher.sent[GRAPH]


async def test_what_is_acknowledged_after_the_partition_went_away_is_shown_to_nobody() -> None:
    bench = Bench()
    delivery = await bench.handle(0)
    bench.partition.close()
    bench.publisher.sent[GRAPH][0].acknowledge()
    await settle_down()
    assert bench.seen == []
    assert not delivery.done
    assert bench.failures == []
