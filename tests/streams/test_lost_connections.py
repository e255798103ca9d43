"""A connection that is lost fails those who use it, on uvloop as on asyncio's own loop."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace

import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

from streams.event_loop import new_event_loop
from streams.lost_connections import _noticing, notice_lost_connections


class Connection(AIOKafkaConnection):  # type: ignore[misc]
    """One to a server that says nothing."""

    async def _do_version_lookup(self) -> None:
        """Nobody would answer."""


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        await reader.read()
    writer.close()


async def _write_to_a_lost_connection() -> None:
    """Ask, lose the connection, and ask again."""
    server = await asyncio.start_server(_say_nothing, "127.0.0.1")
    async with server:
        connection = Connection(*server.sockets[0].getsockname())
        await connection.connect()
        unanswered = asyncio.ensure_future(connection.send(ApiVersionRequest()))
        connection._writer.transport.abort()
        await asyncio.sleep(0)
        try:
            await connection.send(ApiVersionRequest())
        finally:
            with pytest.raises(KafkaConnectionError):
                await unanswered
            assert not connection.connected()
            await connection.close()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, new_event_loop])
def test_what_is_written_to_it_and_what_was_not_answered_yet_fails(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner, pytest.raises(KafkaConnectionError):
        runner.run(_write_to_a_lost_connection())


@pytest.mark.parametrize("writer", [None, SimpleNamespace(is_closing=lambda: False)])
def test_errors_while_the_connection_stands_stay_what_they_are(writer: object) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("not of a connection")

    with pytest.raises(RuntimeError, match="not of a connection"):
        _noticing(broken)(SimpleNamespace(_writer=writer))


def test_it_is_said_once() -> None:
    notice_lost_connections()
    write = AIOKafkaConnection.send
    notice_lost_connections()
    assert AIOKafkaConnection.send is write
