"""A worker runs on uvloop, and without it on what Python has."""

import sys

import pytest
import uvloop

from streams.event_loop import new_event_loop, runner


def test_the_loop_is_one_of_uvloop() -> None:
    with runner() as running:
        assert isinstance(running.get_loop(), uvloop.Loop)


def test_without_uvloop_it_is_one_of_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    loop = new_event_loop()
    assert type(loop).__module__.startswith("asyncio")
    loop.close()
