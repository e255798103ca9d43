"""Transition outbox: what clicks tell the graph, kept back until what lingers leaves.

A worker that keeps up takes one or two clicks at a time, and they concern nearly as many graph
partitions as their windows have last items: a record for each, from each batch, was most of what a
worker sent. Nobody waits for them but the commit. So the batches of a source that come
until the next departure share their records, as if they had been one batch, which is all the same
to the graph.
"""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from streams.effects import Links
from streams.publisher import Publisher
from streams.sent import Sent
from streams.transitions import SentPositions, TransitionBatch, encode_transitions

_MOST_CLICKS = 256
"""That batches share a record for; a larger batch has its own."""


class Tells(Protocol):
    """Turns links into batches of transitions (`streams.pipeline.ClickPipeline`)."""

    def tell(self, links: Links, sent: SentPositions) -> Mapping[int, TransitionBatch]:
        """By graph partition, chained to what the source sent before."""


class Told:
    """The records that tell the graph of some clicks: acknowledged when every one is."""

    __slots__ = ("_error", "_gone", "_sent")

    def __init__(self) -> None:
        self._gone = asyncio.Event()
        self._sent: list[Sent] = []
        self._error: Exception | None = None

    def leave(self, sent: list[Sent], error: Exception | None = None) -> None:
        """They are with the client, or will never be."""
        self._sent, self._error = sent, error
        self._gone.set()

    async def acknowledged(self) -> None:
        """Wait until they have left and the broker has them. Raises what kept them from it."""
        await self._gone.wait()
        if self._error is not None:
            raise self._error
        for sent in self._sent:
            await sent.acknowledged()


class TransitionOutbox:
    """Keeps the links of clicks by source, in the order of their offsets."""

    def __init__(self, pipeline: Tells, publisher: Publisher, topic: str) -> None:
        self._pipeline = pipeline
        self._publisher = publisher
        self._topic = topic
        self._waiting: dict[SentPositions, tuple[Links, Told]] = {}
        self._one_at_a_time = asyncio.Lock()
        """First come, first served: records of a source leave in the order of its clicks."""
        self._leaving: set[asyncio.Task[None]] = set()

    def put(self, sent: SentPositions, links: Links) -> Told:
        """Take the links of one batch of a source, whose chain is `sent`."""
        found = self._waiting.get(sent)
        if found is not None:
            waiting, told = found
            if len(waiting.offsets) + len(links.offsets) <= _MOST_CLICKS:
                waiting.add(links)
                return told
            self.leave()
        if not self._waiting:
            self._publisher.before_departure(self.leave)
        told = Told()
        self._waiting[sent] = links, told
        return told

    def leave(self) -> None:
        """Send what waits."""
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            task = asyncio.get_running_loop().create_task(self._send(waiting))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _send(self, waiting: Mapping[SentPositions, tuple[Links, Told]]) -> None:
        async with self._one_at_a_time:
            for sent, (links, told) in waiting.items():
                try:
                    told.leave(await self._send_of(sent, links))
                except Exception as error:  # noqa: BLE001  (whoever waits raises it)
                    told.leave([], error)

    async def _send_of(self, sent: SentPositions, links: Links) -> list[Sent]:
        return [
            await self._publisher.send(self._topic, partition, [(None, encode_transitions(batch))])
            for partition, batch in self._pipeline.tell(links, sent).items()
        ]
