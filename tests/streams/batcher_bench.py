"""A batcher for its tests, between a fake recommender and a fake broker."""

import asyncio
import json
from typing import Any, Self

from streams.batcher import Batcher
from streams.effects import Change
from streams.fetch_gate import FetchGate
from streams.list_queue import Ticket
from streams.partition import Partition
from streams.quality import NextClick
from streams.settings import Settings
from streams.window import Window
from tests.streams.shell_fakes import (
    NOW_MS,
    FakePublisher,
    FakeScorer,
    make_batcher,
    make_partition,
    make_settings,
)


class Bench:
    """A running batcher between a fake recommender and a fake broker."""

    def __init__(self, **more: Any) -> None:
        self.settings: Settings = make_settings(**more)
        self.publisher = FakePublisher(generous=True)
        self.failures: list[BaseException] = []
        self.quality = NextClick()
        self.fetch_gate = FetchGate()
        self.batcher: Batcher = make_batcher(
            self.settings, self.publisher, self.failures, self.quality, self.fetch_gate
        )
        self.scorer = FakeScorer()
        self.partition: Partition = make_partition(self.settings)
        self._run: asyncio.Task[None] | None = None

    def start(self, *, with_model: bool = False) -> None:
        if with_model:
            self.batcher.scorer = self.scorer  # type: ignore[assignment]
        self._run = asyncio.create_task(self.batcher.run())

    def clicks(self, **offsets: int) -> Ticket:
        return self.clicks_of(NOW_MS, None, **offsets)

    def clicks_of(self, record_time_ms: int, read_to_end_ms: int | None, **offsets: int) -> Ticket:
        changes = {
            user: Change(Window(), None, offset, NOW_MS, record_time_ms)
            for user, offset in offsets.items()
        }
        return self.batcher.submit(self.partition, "clicks", changes, read_to_end_ms=read_to_end_ms)

    @property
    def lists(self) -> list[dict[str, Any] | None]:
        values = self.publisher.values(self.settings.recommendations)
        return [None if value is None else json.loads(value) for value in values]

    @property
    def triggers(self) -> list[tuple[str, int] | None]:
        return [entry and (entry["user_id"], entry["trigger"]["offset"]) for entry in self.lists]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, fault: type[BaseException] | None, *_: object) -> None:
        await self.stop()
        if fault is None:
            assert self.failures == []

    async def stop(self) -> None:
        self.scorer.go_on.set()
        if self._run is not None:
            self._run.cancel()
            await asyncio.gather(self._run, return_exceptions=True)
