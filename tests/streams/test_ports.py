"""Ports that are handed out are free, different, and no client's."""

import socket

import pytest

from streams import ports
from streams.ports import free_port, free_ports


def test_ports_are_different_and_can_be_listened_on() -> None:
    found = free_ports(20)
    assert len(set(found)) == 20
    for port in found:
        with socket.socket() as one:
            one.bind(("127.0.0.1", port))


def test_a_port_that_is_taken_is_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        port = free_port()
        taken.bind(("127.0.0.1", port))
        other = free_port()
        chosen = iter([port, port, other])
        monkeypatch.setattr(ports.random, "choice", lambda _: next(chosen))
        assert free_port() == other


def test_outgoing_connections_are_not_given_such_ports_by_linux() -> None:
    first_of_linux = 32_768
    assert max(ports._PORTS) < first_of_linux
