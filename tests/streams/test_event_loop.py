"""A worker and its consumer run on uvloop, and without it on what Python has."""

import asyncio
import sys
from unittest.mock import MagicMock

import pytest
import uvloop

from streams.consumer_thread import BatchConsumerThread
from streams.event_loop import new_event_loop, runner


def test_the_loop_is_one_of_uvloop() -> None:
    with runner() as running:
        assert isinstance(running.get_loop(), uvloop.Loop)


def test_without_uvloop_it_is_one_of_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    loop = new_event_loop()
    assert type(loop).__module__.startswith("asyncio")
    loop.close()


async def test_the_thread_of_the_consumer_has_such_a_loop_and_closes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thread = BatchConsumerThread(MagicMock(), loop=asyncio.get_running_loop())
    assert isinstance(thread.thread_loop, uvloop.Loop)

    async def nothing() -> None:
        """Instead of serving."""

    monkeypatch.setattr(thread, "_serve", nothing)
    await asyncio.to_thread(thread._start_thread)
    assert thread.thread_loop.is_closed()
