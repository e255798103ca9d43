"""The HTTP server: health, metrics, and who may look what up."""

import functools
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from http import HTTPStatus
from typing import Any

import pytest

from streams import serving as module
from streams.health import STALL_SECONDS, Health
from streams.metrics import Metrics
from streams.serving import Answer, Answers, Server, ServingError
from tests.streams.api_world import make_world, running_lookups, serving, worker_of


class FakeReader:
    """State of one user u/1 and one item `ä b`."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.release = threading.Event()
        self.release.set()

    def item_json(self, item_id: str) -> Mapping[str, Any] | None:
        return {"item_id": item_id} if item_id == "ä b" else None

    def ego_json(self, user_id: str) -> Mapping[str, Any] | None:
        return {"user_id": user_id} if user_id == "u/1" else None

    def recommendations_json(self, user_id: str) -> Mapping[str, Any] | None:
        if user_id == "broken":
            raise RuntimeError("no state")
        return {"items": []} if user_id == "u/1" else None

    def evolution_json(self, user_id: str, gap_seconds: int) -> Mapping[str, Any] | None:
        return {"gap_seconds": gap_seconds} if user_id == "u/1" else None

    def trending_json(self, limit: int) -> Mapping[str, Any]:
        return {"limit": limit}

    def graphml(self) -> bytes:
        return b"<graphml/>"

    def status(self) -> Mapping[str, Any]:
        self.entered.set()
        assert self.release.wait(30)
        return {"partitions": [0]}


TOKEN = "t0ken"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def _answers(health: Health | None = None) -> Answers:
    return Answers(Metrics(), health or Health(), FakeReader(), TOKEN)


def _get(
    answers: Answers, target: str, client: str = "127.0.0.1", **headers: str
) -> tuple[int, Any]:
    message = Message()
    for name, value in ({"Host": "localhost:9464"} | headers).items():
        message[name.replace("_", "-")] = value
    answer: Answer = answers.answer(target, message, client)
    kind = answer.content_type
    return answer.status, json.loads(answer.body) if kind == "application/json" else answer.body


def test_ready_only_when_no_part_stands_in_the_way() -> None:
    health = Health()
    answers = _answers(health=health)
    health.not_ready("tables", "recovering 3 of 4")
    health.not_ready("model", "warming up")
    status, body = _get(answers, "/readyz")
    assert status == 503
    assert body["waiting_for"] == {"tables": "recovering 3 of 4", "model": "warming up"}
    health.ready("tables")
    assert _get(answers, "/readyz")[0] == 503
    health.ready("model")
    assert _get(answers, "/readyz") == (200, {"ready": True, "waiting_for": {}})


def test_alive_until_the_event_loop_falls_silent() -> None:
    now = [0.0]
    health = Health(clock=lambda: now[0])
    answers = _answers(health=health)
    now[0] = 10 * STALL_SECONDS
    assert _get(answers, "/livez")[0] == 200  # not started beating yet
    health.beat()
    now[0] += STALL_SECONDS
    assert _get(answers, "/livez")[0] == 200
    now[0] += 1
    assert _get(answers, "/livez")[0] == 503


def test_ids_are_percent_decoded_and_unknown_ones_are_not_found() -> None:
    answers = functools.partial(_get, _answers(), **BEARER)
    assert answers("/graph/item/%C3%A4%20b") == (200, {"item_id": "ä b"})
    assert answers("/graph/ego/u%2F1") == (200, {"user_id": "u/1"})
    assert answers("/graph/ego/u/1") == (200, {"user_id": "u/1"})
    assert answers("/recommendations/u%2F1") == (200, {"items": []})
    assert answers("/graph/item/x")[0] == 404
    assert answers("/graph/item/%FF")[0] == 400
    assert answers("/graph/item/")[0] == answers("/graph/item/?id=")[0] == 404
    assert answers("/graph/item/?id=%C3%A4%20b") == (200, {"item_id": "ä b"})
    assert answers("/evolution/?id=u%2F1&gap_seconds=60") == (200, {"gap_seconds": 60})
    assert answers("/graph/item/x?id=x")[0] == 400
    status, body = answers("/etc/passwd")
    assert (status, "/openapi.json" in body["error"]) == (404, True)
    assert answers("/graph/export?format=graphml") == (200, b"<graphml/>")


TABLES = ["/graph/item/x", "/graph/ego/u", "/recommendations/u", "/graph/export"]
TABLES += ["/trending", "/evolution/u"]
FIGURES = ["/status", "/live"]


@pytest.mark.parametrize("target", TABLES + FIGURES)
def test_look_ups_from_elsewhere_need_the_token(target: str) -> None:
    elsewhere = "192.0.2.7"
    without = Answers(Metrics(), Health(), FakeReader(), None)
    for answers in (without, _answers()):
        assert _get(answers, target, elsewhere)[0] == 401
        assert _get(answers, target, elsewhere, Authorization="Bearer ")[0] == 401
        assert _get(answers, target, elsewhere, Authorization="Bearer wrong")[0] == 401
        assert _get(answers, target, elsewhere, Authorization=f"Basic {TOKEN}")[0] == 401
        assert _get(answers, target, Authorization="Bearer wrong")[0] == 401
    assert _get(_answers(), target, elsewhere, **BEARER)[0] in (200, 404)


@pytest.mark.parametrize("target", TABLES)
def test_what_tables_hold_is_served_to_nobody_without_the_token(target: str) -> None:
    assert _get(_answers(), target)[0] == 401
    without = Answers(Metrics(), Health(), FakeReader(), None)
    status, body = _get(without, target)
    assert status == 401
    assert "FRESHREC_LOOKUP_TOKEN" in body["error"]


@pytest.mark.parametrize("target", FIGURES)
def test_status_and_live_figures_are_for_this_machine_too(target: str) -> None:
    assert _get(Answers(Metrics(), Health(), FakeReader(), None), target)[0] == 200


@pytest.mark.parametrize("target", FIGURES)
def test_a_page_of_another_origin_or_a_proxy_does_not_count_as_this_machine(target: str) -> None:
    assert _get(_answers(), target, Host="evil.example:9464")[0] == 401
    assert _get(_answers(), target, Host="[")[0] == 401
    assert _get(_answers(), target, X_Forwarded_For="203.0.113.9")[0] == 401
    for client, host in (("::1", "[::1]:9464"), ("::ffff:127.0.0.1", "127.0.0.1:9464")):
        assert _get(_answers(), target, client, Host=host)[0] == 200


def test_metrics_and_health_are_open_to_all() -> None:
    for target in ("/metrics", "/livez", "/readyz", "/openapi.json", "/"):
        assert _get(_answers(), target, "192.0.2.7", Host="worker:9464")[0] == 200
    assert b"freshrec_events_total" in _get(_answers(), "/metrics")[1]


def test_parameters_have_defaults_and_are_read() -> None:
    answers = functools.partial(_get, _answers(), **BEARER)
    assert answers("/trending") == (200, {"limit": 20})
    assert answers("/trending?") == (200, {"limit": 20})
    assert answers("/trending?limit=7") == (200, {"limit": 7})
    assert answers("/evolution/u%2F1") == (200, {"gap_seconds": 1800})
    assert answers("/evolution/u%2F1?gap_seconds=3600") == (200, {"gap_seconds": 3600})


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("/trending?limit=0", "limit is a whole number from 1 to 100, not '0'."),
        ("/trending?limit=101", "limit is a whole number"),
        ("/trending?limit=", "limit is a whole number"),
        ("/trending?limit=%D9%A3", "limit is a whole number"),
        ("/trending?limit=1&limit=1", "limit is given twice"),
        ("/trending?user=u", "no parameter 'user' here; there is: limit."),
        ("/trending?limit", "not of the form name=value"),
        ("/trending?limit=%FF", "not of the form name=value"),
        ("/graph/export?format=gexf", "format is one of graphml, not 'gexf'."),
        ("/graph/item/x?limit=3", "no parameter 'limit' here; there is: none."),
        ("/evolution/u?gap_seconds=59", "gap_seconds is a whole number from 60 to 604800"),
        ("/status?verbose=1", "no parameter 'verbose'"),
        ("/live?since=0", "no parameter 'since'"),
    ],
)
def test_a_query_that_is_not_understood_is_refused_in_words(target: str, words: str) -> None:
    status, body = _get(_answers(), target, **BEARER)
    assert status == 400
    assert words in body["error"]


def test_whoever_has_no_token_does_not_learn_of_parameters() -> None:
    assert _get(_answers(), "/trending?limit=0")[0] == 401


@pytest.fixture
def server() -> Iterator[tuple[Server, FakeReader]]:
    reader = FakeReader()
    running = Server(
        "127.0.0.1", 0, metrics=Metrics(), health=Health(), reader=reader, lookup_token=TOKEN
    )
    running.start()
    yield running, reader
    reader.release.set()
    running.stop()


def _request(server: Server, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, headers={} if path == "/livez" else BEARER)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _raw(server: Server, request: bytes) -> bytes:
    """All that comes back."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(request + b"\r\nHost: localhost\r\n\r\n")
        return connection.makefile("rb").read()


def test_it_answers_over_the_socket(server: tuple[Server, FakeReader]) -> None:
    running, _ = server
    assert _request(running, "/status") == (200, b'{"partitions":[0]}')
    head = _raw(running, b"HEAD /livez HTTP/1.0")
    assert head.startswith(b"HTTP/1.0 200 ")
    assert head.endswith(b"\r\n\r\n")
    assert _request(running, "/livez", "POST")[0] == HTTPStatus.NOT_IMPLEMENTED
    assert running.url == f"http://127.0.0.1:{running.port}"


def test_a_refusal_says_what_is_wanted_and_no_answer_is_to_be_kept(
    server: tuple[Server, FakeReader],
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server[0].port, timeout=10)
    try:
        connection.request("GET", "/trending")
        refusal = connection.getresponse()
        assert refusal.status == HTTPStatus.UNAUTHORIZED
        assert refusal.headers["WWW-Authenticate"] == 'Bearer realm="freshrec"'
        assert refusal.headers["Cache-Control"] == "no-store"
        assert refusal.headers["X-Content-Type-Options"] == "nosniff"
    finally:
        connection.close()


def test_a_browser_that_has_a_file_is_told_so_over_the_socket(
    server: tuple[Server, FakeReader],
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server[0].port, timeout=10)
    try:
        connection.request("GET", "/")
        etag = connection.getresponse().headers["ETag"]
        connection.close()
        connection.request("GET", "/", headers={"If-None-Match": etag})
        again = connection.getresponse()
        assert (again.status, again.read()) == (HTTPStatus.NOT_MODIFIED, b"")
        assert again.headers["ETag"] == etag
        assert again.headers["Content-Length"] is None
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "words"),
    [("/metrics", b"freshrec_events_total"), ("/live", b'"clicks":12'), ("/livez", b"true")],
)
def test_figures_are_answered_while_the_event_loop_stands_still(path: str, words: bytes) -> None:
    worker = worker_of(make_world())
    stands, go_on = threading.Event(), threading.Event()

    def stand_still() -> None:
        stands.set()
        go_on.wait(30)

    with (
        running_lookups(worker) as lookups,
        serving(worker, lookups) as running,
        ThreadPoolExecutor(1) as asker,
    ):
        try:
            lookups._loop.call_soon_threadsafe(stand_still)
            assert stands.wait(10)
            # What needs the loop waits for it: it is the loop that stands still.
            look_up = asker.submit(_request, running, "/graph/item/lamp")
            status, body = _request(running, path)
            assert (status, words in body) == (200, True)
            assert not look_up.done()
        finally:
            go_on.set()
        assert look_up.result(10)[0] == 200


def test_a_look_up_that_fails_is_an_answer_and_not_the_end(
    server: tuple[Server, FakeReader], caplog: pytest.LogCaptureFixture
) -> None:
    running, _ = server
    status, body = _request(running, "/recommendations/broken")
    assert status == 500
    assert b"no state" not in body
    assert "broken" not in caplog.text
    assert _request(running, "/livez")[0] == 200


def test_requests_beyond_the_bound_are_told_to_come_back(
    server: tuple[Server, FakeReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    running, reader = server
    assert running._server is not None
    monkeypatch.setattr(running._server, "_slots", threading.BoundedSemaphore(1))
    reader.release.clear()
    first: list[int] = []
    waiting = threading.Thread(target=lambda: first.append(_request(running, "/status")[0]))
    waiting.start()
    assert reader.entered.wait(10)
    refusal = _raw(running, b"GET /livez HTTP/1.0")
    assert refusal.startswith(b"HTTP/1.0 503 ")
    assert b"\r\nRetry-After: 1\r\n" in refusal
    reader.release.set()
    waiting.join(10)
    assert first == [200]


def test_a_client_that_says_nothing_is_let_go(
    server: tuple[Server, FakeReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    running, _ = server
    monkeypatch.setattr(module.Handler, "timeout", 0.1)
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as silent:
        assert silent.recv(1) == b""


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = Server(
            "127.0.0.1", taken.getsockname()[1],
            metrics=Metrics(), health=Health(), reader=FakeReader(),
        )  # fmt: skip
        with pytest.raises(ServingError, match="--metrics-port"):
            server.start()
        server.stop()


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_an_address_of_ipv6_is_listened_on_and_stands_in_brackets() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no ::1 here: {error}")
    server = Server("::1", 0, metrics=Metrics(), health=Health(), reader=FakeReader())
    server.start()
    try:
        connection = http.client.HTTPConnection("::1", server.port, timeout=10)
        connection.request("GET", "/livez")
        assert connection.getresponse().status == HTTPStatus.OK
        connection.close()
        assert server.url == f"http://[::1]:{server.port}"
    finally:
        server.stop()
