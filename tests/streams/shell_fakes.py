"""Stand-ins for brokers, recommender and engine, with every acknowledgement in the test's hand."""

import asyncio
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

from streams.batcher import Batcher
from streams.fetch_gate import FetchGate
from streams.lists import ListRequest, RankedList
from streams.metrics import Metrics
from streams.partition import Partition
from streams.quality import NextClick
from streams.recommendation import ListedItems, RecommendedItem, ServedBy, WindowInfo
from streams.sent import PublishError
from streams.settings import Settings
from streams.stores import MemoryStores
from streams.turns import Turns

NOW_MS = 1_770_000_000_000
_BATCH = SimpleNamespace(longest=8, padding_ratio=0.25, unknown_events=0)


class FakeRecord(NamedTuple):
    """A consumer record."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int = NOW_MS


def click(offset: int, user: str, item: str, **more: Any) -> FakeRecord:
    body = {"user_id": user, "item_id": item, "timestamp": NOW_MS, **more}
    return FakeRecord(offset, user.encode(), json.dumps(body).encode())


class FakeSent:
    """A send that the test acknowledges or fails."""

    def __init__(self, next_offset: int) -> None:
        self.next_offset = next_offset
        self._done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def acknowledge(self) -> None:
        if not self._done.done():
            self._done.set_result(self.next_offset)

    def give_up(self) -> None:
        self._done.set_exception(PublishError("the broker did not acknowledge a send"))

    async def acknowledged(self) -> int:
        return await asyncio.shield(self._done)


class FakePublisher:
    """Keeps what was sent, in order; nothing is acknowledged unless told so or `generous`."""

    def __init__(self, *, generous: bool = False) -> None:
        self.generous = generous
        self.log: list[tuple[str, int | None, bytes | None, bytes | None]] = []
        self.sent: dict[str, list[FakeSent]] = defaultdict(list)
        self.before: dict[str, int] = {}
        """Records that a topic had already."""
        self.headers: dict[str, list[dict[str, bytes]]] = defaultdict(list)
        """Of the records that were sent with headers, empty ones included."""
        self.held: dict[str, asyncio.Event] = {}
        """A topic whose sends wait, as if the client had no room."""

        self.hurries = 0
        self.boarded = 0
        """How often somebody waited for a departure, which is at once here."""
        self.lingering: set[str] = set()
        """Topics whose records may leave later."""
        self.free = asyncio.Event()
        """Set while there is room for what one more batch changes."""
        self.free.set()

    async def room(self) -> None:
        await self.free.wait()

    def hurry(self) -> None:
        self.hurries += 1

    def before_departure(self, board: Callable[[], None]) -> None:
        self.boarded += 1
        asyncio.get_running_loop().call_soon(board)

    async def send(
        self, topic: str, partition: int | None, records: Any, *, linger: bool = False
    ) -> FakeSent:
        if linger:
            self.lingering.add(topic)
        if topic in self.held:
            await self.held[topic].wait()
        entries = [(topic, partition, key, value) for key, value in records]
        self.log += entries
        before = self.before.get(topic, 0)
        before += sum(entry[0] == topic and entry[1] == partition for entry in self.log)
        sent = FakeSent(before if entries else -1)
        if self.generous or not entries:
            sent.acknowledge()
        self.sent[topic].append(sent)
        return sent

    async def send_with_headers(self, topic: str, partition: int, records: Any) -> FakeSent:
        records = list(records)
        self.headers[topic] += [dict(headers) for _, _, headers in records]
        return await self.send(topic, partition, [(key, value) for key, value, _ in records])

    async def send_one(
        self, topic: str, partition: int | None, key: Any, value: Any, *_: Any
    ) -> FakeSent:
        return await self.send(topic, partition, [(key, value)])

    def acknowledge(self, topic: str) -> None:
        """Everything sent to a topic so far."""
        for sent in self.sent[topic]:
            sent.acknowledge()

    def values(self, topic: str) -> list[bytes | None]:
        return [entry[3] for entry in self.log if entry[0] == topic]


class FakeRecommender:
    """Makes lists of one item, named after the click that asked for it."""

    def prepare(self, requests: Sequence[ListRequest], scorer: Any) -> Any:
        return SimpleNamespace(requests=list(requests), batch=scorer and FAKE_BATCH)

    def finish(
        self, prepared: Any, scores: Any, *, degraded_reason: Any, model: Any
    ) -> list[RankedList]:
        served = ServedBy.GRAPH if scores is None else ServedBy.BERT_GRAPH
        return [
            RankedList(
                request,
                ListedItems.of(
                    [RecommendedItem(f"after {request.trigger.offset}", 1, 1.0, "", [])]
                ),
                served,
                degraded_reason,
                model,
                WindowInfo(1, "", ""),
                [],
                [],
            )
            for request in prepared.requests
        ]


FAKE_BATCH = SimpleNamespace(longest=50, padding_ratio=0.25, unknown_events=1, padded_events=50)


class FakeScorer:
    """An engine that the test can stop in the middle of a batch, or break."""

    name, version, provider, computes_in_caller = "fake", "1", "cpu", False

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.go_on.set()
        self.error: Exception | None = None
        self.runs = 0
        self.threads: list[str] = []
        """In which thread each run was."""

    def run(self, batch: Any) -> Any:
        self.runs += 1
        self.threads.append(threading.current_thread().name)
        self.go_on.wait(20)
        if self.error is not None:
            raise self.error
        return object()


def make_settings(**more: Any) -> Settings:
    return Settings(store="memory", metrics_port=0, **more)


def make_partition(settings: Settings, number: int = 0) -> Partition:
    partition = Partition(number, settings, MemoryStores())
    partition.recovered.set()
    return partition


def make_batcher(
    settings: Settings,
    publisher: FakePublisher,
    failures: list[BaseException],
    quality: NextClick | None = None,
    fetch_gate: FetchGate | None = None,
) -> Batcher:
    fakes: Any = (FakeRecommender(), publisher)
    metrics = Metrics(settings.event_type_registry().names)
    if quality is None:
        quality = NextClick()
    return Batcher(
        settings,
        *fakes,
        quality,
        metrics,
        Turns(),
        fetch_gate or FetchGate(),
        now_ms=lambda: NOW_MS,
        fail=failures.append,
    )


async def settle_down() -> None:
    """Let every task that can go on do so."""
    for _ in range(30):
        await asyncio.sleep(0)


async def until(condition: Any, seconds: float = 10.0) -> None:
    """Wait for what another thread or a timer brings about."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  (there is no event to wait for)
            await asyncio.sleep(0.002)
