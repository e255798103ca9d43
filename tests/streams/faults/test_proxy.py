"""The proxy passes whole messages, and holds, breaks or shows them as it is told."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from streams.bench.faults.proxy import Link, Proxy

PRODUCE = b"\x00\x00\x00\x07...\x00\x04lists..."
FETCH = b"\x00\x01\x00\x0b...\x00\x04lists..."
SOON_SECONDS = 0.15
LATE_SECONDS = 10.0


class Echo:
    """A broker that answers every request with its own body."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.seen: list[bytes] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                one, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, one: socket.socket) -> None:
        with one:
            while body := receive(one):
                self.seen.append(body)
                send(one, body)

    def close(self) -> None:
        self._server.close()


def send(one: socket.socket, body: bytes) -> None:
    one.sendall(len(body).to_bytes(4, "big") + body)


def receive(one: socket.socket) -> bytes:
    """The next body; empty when the connection is over."""
    try:
        with one.makefile("rb") as file:
            return file.read(int.from_bytes(file.read(4), "big"))
    except ConnectionError:
        return b""


class Seen:
    """Notes what passes."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.responses: list[bytes] = []

    def request(self, connection: int, body: bytes) -> None:
        self.requests.append(body)

    def response(self, connection: int, body: bytes) -> None:
        self.responses.append(body)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def proxy(echo: Echo, seen: Seen) -> Iterator[Proxy]:
    with Proxy(["A", "B"], 2, seen) as running:
        for link in running.links.values():
            link.upstream_port = echo.port
        yield running


@contextmanager
def connected(link: Link) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", link.port), LATE_SECONDS) as one:
        yield one


def exchange_seconds(one: socket.socket, body: bytes) -> float:
    begun = time.monotonic()
    send(one, body)
    assert receive(one) == body
    return time.monotonic() - begun


def test_messages_pass_in_both_directions_and_are_seen(proxy: Proxy, seen: Seen) -> None:
    (link,) = proxy.of("A", 0)
    with connected(link) as one:
        for body in (FETCH, PRODUCE, b"x" * 300_000):
            exchange_seconds(one, body)
    assert seen.requests == seen.responses == [FETCH, PRODUCE, b"x" * 300_000]


def test_every_listener_of_every_broker_has_a_port_of_its_own(proxy: Proxy) -> None:
    ports = [*proxy.advertised("A"), *proxy.advertised("B")]
    assert len(set(ports)) == 4
    assert [link.port for link in proxy.of("B")] == ports[2:]


def test_a_cut_ends_connections_and_refuses_new_ones_until_it_is_healed(proxy: Proxy) -> None:
    (link,) = proxy.of("A", 0)
    (other,) = proxy.of("B", 0)
    with connected(link) as one, connected(other) as untouched:
        exchange_seconds(one, FETCH)
        proxy.cut([link])
        assert receive(one) == b""
        exchange_seconds(untouched, FETCH)
    with connected(link) as one:
        send(one, FETCH)
        assert receive(one) == b""
    proxy.heal([link])
    with connected(link) as one:
        exchange_seconds(one, FETCH)


def test_silence_holds_what_is_sent_and_delivers_it_afterwards(proxy: Proxy, echo: Echo) -> None:
    (link,) = proxy.of("A", 0)
    with connected(link) as one:
        exchange_seconds(one, FETCH)
        proxy.silence([link])
        send(one, PRODUCE)
        one.settimeout(SOON_SECONDS)
        with pytest.raises(TimeoutError):
            one.recv(1)
        assert echo.seen == [FETCH]
        one.settimeout(LATE_SECONDS)
        proxy.heal([link])
        assert receive(one) == PRODUCE


def test_a_delay_holds_requests_and_responses(proxy: Proxy) -> None:
    (link,) = proxy.of("A", 0)
    with connected(link) as one:
        link.delay_seconds = 0.2
        assert exchange_seconds(one, FETCH) >= 0.4
        proxy.heal()
        link.delay_seconds = 0.0
        exchange_seconds(one, FETCH)


def test_only_produce_requests_for_the_topic_are_slow(proxy: Proxy) -> None:
    (link,) = proxy.of("A", 0)
    with connected(link) as one:
        link.slow_topics = {"list": 0.3}
        exchange_seconds(one, PRODUCE.replace(b"\x04lists", b"\x05lists"))
        link.slow_topics = {"lists": 0.3}
        exchange_seconds(one, PRODUCE.replace(b"\x04lists", b"\x04other"))
        assert exchange_seconds(one, PRODUCE.replace(b"\x04lists", b"\x05lists")) >= 0.3
        exchange_seconds(one, FETCH.replace(b"\x04lists", b"\x05lists"))


def test_without_a_broker_behind_it_a_connection_ends(proxy: Proxy, echo: Echo) -> None:
    (link,) = proxy.of("A", 0)
    echo.close()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        link.upstream_port = free.getsockname()[1]
        with connected(link) as one:
            assert receive(one) == b""
