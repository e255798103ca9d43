"""Proxy: the network between workers and brokers, with faults that can be turned on and off.

One link stands before each (listener, broker). It passes whole Kafka requests and responses, so
it can hold back those that carry records for a topic, and show every one of them to an observer.
It runs in a thread with an event loop of its own.
"""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterable
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

_LENGTH_BYTES = 4
_PRODUCE = b"\x00\x00"
"""API key of a produce request, the first two bytes of its body."""
_START_SECONDS = 10.0
_HOST = "127.0.0.1"

T = TypeVar("T")


class Observer(Protocol):
    """Sees what passes a link. Called in the proxy's thread: before a request is handed to the
    broker, and before a response is handed to the client. Bodies come without their length.
    """

    def request(self, connection: int, body: bytes) -> None:
        """A client asks."""

    def response(self, connection: int, body: bytes) -> None:
        """The broker answers."""


class Link:
    """The way to one listener of one broker. Set its faults at any time, from any thread."""

    def __init__(self, observer: Observer | None = None) -> None:
        self.upstream_port = 0
        """Where the broker listens; set before the first client comes."""
        self.port = 0
        self.delay_seconds = 0.0
        """Every request and every response is held for so long."""
        self.slow_topics: dict[str, float] = {}
        """A produce request with records for the topic is held for so many seconds."""
        self._cut = False
        self._heard = asyncio.Event()
        self._heard.set()
        self._observer = observer
        self._connections: dict[int, tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = {}
        self._count = 0
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, _HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """End every connection and listen no more."""
        assert self._server is not None
        self._server.close()
        self._abort()

    async def cut(self) -> None:
        """Break every connection and refuse new ones; what was under way is gone."""
        self._cut = True
        self._abort()

    async def silence(self) -> None:
        """Nothing arrives any more, and nobody is told: what was sent waits."""
        self._heard.clear()

    async def heal(self) -> None:
        """Neither cut nor silent nor delayed any more; slow topics stay slow."""
        self._cut = False
        self._heard.set()
        self.delay_seconds = 0.0

    def _abort(self) -> None:
        for client, broker in self._connections.values():
            client.transport.abort()
            broker.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        if self._cut:
            client.transport.abort()
            return
        try:
            answers, broker = await asyncio.open_connection(_HOST, self.upstream_port)
        except OSError:
            client.transport.abort()
            return
        self._count += 1
        number = self._count * 65_536 + self.port
        self._connections[number] = (client, broker)
        ways = [
            asyncio.ensure_future(self._requests(number, reader, broker)),
            asyncio.ensure_future(self._responses(number, answers, client)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            del self._connections[number]
            client.transport.abort()
            broker.transport.abort()

    async def _requests(
        self, number: int, reader: asyncio.StreamReader, broker: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head, body = await _message(reader)
                await asyncio.sleep(self._hold_seconds(body))
                await self._heard.wait()
                if self._observer is not None:
                    self._observer.request(number, body)
                broker.write(head + body)
                await broker.drain()

    async def _responses(
        self, number: int, answers: asyncio.StreamReader, client: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head, body = await _message(answers)
                await asyncio.sleep(self.delay_seconds)
                await self._heard.wait()
                if self._observer is not None:
                    self._observer.response(number, body)
                client.write(head + body)
                await client.drain()

    def _hold_seconds(self, body: bytes) -> float:
        seconds = self.delay_seconds
        if self.slow_topics and body.startswith(_PRODUCE):
            for topic, extra in self.slow_topics.items():
                name = topic.encode()
                if len(name).to_bytes(2, "big") + name in body:
                    seconds += extra
        return seconds


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Length and body of the next request or response."""
    head = await reader.readexactly(_LENGTH_BYTES)
    return head, await reader.readexactly(int.from_bytes(head, "big"))


class Proxy:
    """Links for every (listener, broker); a context manager."""

    def __init__(
        self, listeners: Iterable[str], brokers: int, observer: Observer | None = None
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self.links = {
            (listener, broker): Link(observer)
            for listener in listeners
            for broker in range(brokers)
        }

    def __enter__(self) -> Self:
        self._thread.start()
        for link in self.links.values():
            self._do(link.open())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for link in self.links.values():
            self._do(link.close())
        self._do(self._finished())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def advertised(self, listener: str) -> list[int]:
        """The ports of a listener's links, by broker: what brokers are to tell their clients."""
        return [link.port for (name, _), link in sorted(self.links.items()) if name == listener]

    def of(self, listener: str, broker: int | None = None) -> list[Link]:
        """The links of a listener: to one broker, or to all."""
        return [
            link
            for (name, number), link in self.links.items()
            if name == listener and broker in (None, number)
        ]

    def cut(self, links: Iterable[Link]) -> None:
        """Break these links."""
        for link in links:
            self._do(link.cut())

    def silence(self, links: Iterable[Link]) -> None:
        """Let nothing through these links, without a word."""
        for link in links:
            self._do(link.silence())

    def heal(self, links: Iterable[Link] | None = None) -> None:
        """Let these links, or all, pass everything at once again."""
        for link in self.links.values() if links is None else links:
            self._do(link.heal())

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_SECONDS)

    async def _finished(self) -> None:
        """Wait for what serves connections that are gone."""
        others = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
