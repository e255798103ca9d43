"""Sent: what one call of the publisher sent, and the wait for its acknowledgement."""

import asyncio
import math
import time

from aiokafka.structs import RecordMetadata

from streams.connection import raise_if_denied


class PublishError(RuntimeError):
    """A send that was given up; nothing after it may be committed."""


class Lane:
    """The way to one partition: batches leave one after the other, each once the one before is
    acknowledged.
    """

    __slots__ = ("acknowledged_at",)

    def __init__(self) -> None:
        self.acknowledged_at = -math.inf
        """Monotonic seconds of the last acknowledgement."""


class Sent:
    """What one call sent: acknowledged when every batch of it is."""

    __slots__ = ("_futures", "_lane", "_patience_seconds")

    def __init__(
        self,
        futures: list[tuple[asyncio.Future[RecordMetadata], int]],
        patience_seconds: float = math.inf,
        lane: Lane | None = None,
    ) -> None:
        """`futures`: of batches in order, and up to which record of each this call filled it.

        `patience_seconds`: how long the broker may be silent while it is waited for, where the
        client has no limit. What stands before it on its lane and is acknowledged is no silence.
        """
        self._futures = futures
        self._patience_seconds = patience_seconds
        self._lane = Lane() if lane is None else lane

    async def acknowledged(self) -> int:
        """Wait for the broker; returns the offset after the last record (-1 if none was sent).

        Raises `PublishError` when the client gave up or the broker is silent for too long,
        `NotPermittedError` when it may not send.
        """
        next_offset = -1
        for future, end in self._futures:
            if not future.done():
                await self._settled(future)
            try:
                metadata = future.result()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                raise_if_denied(error, "a send")
                raise PublishError(
                    f"the broker did not acknowledge a send: {error!r}; nothing unacknowledged "
                    "is committed, a restart replays it"
                ) from error
            next_offset = metadata.offset + end
        return next_offset

    async def _settled(self, future: asyncio.Future[RecordMetadata]) -> None:
        """As `asyncio.wait` with a timeout, at a third of its cost: a click is waited for in five
        places. The future is the client's own, so whoever is cancelled must leave it alone.
        """
        since = time.monotonic()
        while not future.done():
            since = max(since, self._lane.acknowledged_at)
            left = since + self._patience_seconds - time.monotonic()
            if left <= 0:
                raise PublishError(
                    f"the broker did not acknowledge a send within {self._patience_seconds:g} s "
                    "(request_timeout_seconds); nothing unacknowledged is committed, a restart "
                    "replays it"
                )
            await _done_or_late(future, left)


async def _done_or_late(future: asyncio.Future[RecordMetadata], seconds: float) -> None:
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()

    def wake(_done: object = None) -> None:
        if not waiter.done():
            waiter.set_result(None)

    future.add_done_callback(wake)
    timer = None if seconds == math.inf else loop.call_later(seconds, wake)
    try:
        await waiter
    finally:
        if timer is not None:
            timer.cancel()
        future.remove_done_callback(wake)
