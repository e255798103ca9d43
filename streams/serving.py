"""What a worker answers over HTTP: metrics, health, look-ups of its state, and the console.

The server has threads of its own, so it answers while the event loop is busy. It only reads:
GET and HEAD, no request body, a bounded number of requests at a time. Look-ups name users and
items, so they are open to whoever has the look-up token and to nobody else: without a token set
they are off, on this machine too.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from streams.console import PAGE_HEADERS, PAGE_PATH, Asset, assets
from streams.health import Health
from streams.live import live
from streams.lookup_access import LookupAccess
from streams.metrics import CONTENT_TYPE, Metrics
from streams.openapi import document
from streams.query import (
    EXPORT_FORMAT,
    SESSION_GAP,
    TRENDING_LIMIT,
    Parameter,
    QueryError,
    read_query,
)
from streams.state_reader import Found, StateReader

_log = logging.getLogger(__name__)

MAX_REQUESTS = 16  # at a time; one more is told to come back
REQUEST_TIMEOUT_SECONDS = 10.0  # for a client that connects and says nothing


class ServingError(RuntimeError):
    """The server cannot start; the message says what to change."""


class Server:
    """The HTTP server of one worker. Port 0 takes a free port; see `url`."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        metrics: Metrics,
        health: Health,
        reader: StateReader,
        lookup_token: str | None = None,
    ) -> None:
        self._address = (host, port)
        self._answers = Answers(metrics, health, reader, lookup_token)
        self._server: _HttpServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Bind and answer. Raises `ServingError` where the address cannot be had."""
        host, port = self._address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._server = _HttpServer(self._address, family, self._answers)
        except OSError as error:
            raise ServingError(
                f"Cannot listen on {host}:{port} ({error.strerror or error}): choose another"
                " --metrics-port or --metrics-host."
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.5}, name="http"
        )
        self._thread.daemon = True
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that the server listens on; the server must have been started."""
        if self._server is None:
            raise ServingError("The server was not started.")
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """`http://HOST:PORT` of a started server."""
        host = self._address[0]
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def stop(self) -> None:
        """Stop answering and give the port back; harmless when not started."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        if self._thread is not None:
            self._thread.join(timeout=5)
            self._thread = None


class Answer(msgspec.Struct, frozen=True):
    """A response: status, body and its type, and headers beside those that every response has."""

    status: HTTPStatus
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}


class _Endpoint(NamedTuple):
    """What asks for the token. `read` takes the id of a look-up and the parameters by name."""

    read: Callable[..., Answer]
    parameters: tuple[Parameter, ...] = ()
    open_here: bool = False
    """Whether a person on this machine needs no token."""


class Answers:
    """From a request to its response, without sockets: what the server says to whom."""

    def __init__(
        self, metrics: Metrics, health: Health, reader: StateReader, lookup_token: str | None
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._access = LookupAccess(lookup_token)
        self._started_seconds = time.monotonic()
        self._document = msgspec.json.encode(document())
        self._console = assets()
        self._plain: dict[str, Callable[[], Answer]] = {
            "/metrics": lambda: Answer(HTTPStatus.OK, metrics.exposition(), CONTENT_TYPE),
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/openapi.json": lambda: Answer(HTTPStatus.OK, self._document),
        }
        self._guarded = {
            "/status": _Endpoint(lambda: _json(reader.status()), open_here=True),
            "/live": _Endpoint(self._live, open_here=True),
            "/trending": _Endpoint(
                lambda limit: _json(reader.trending_json(limit=limit)), (TRENDING_LIMIT,)
            ),
            "/graph/export": _Endpoint(
                lambda format: _graphml(reader.graphml()),  # noqa: A006, ARG005 (the parameter's)
                (EXPORT_FORMAT,),
            ),
        }
        self._lookups = {
            "/graph/item/": _Endpoint(_looked_up(reader.item_json)),
            "/graph/ego/": _Endpoint(_looked_up(reader.ego_json)),
            "/recommendations/": _Endpoint(_looked_up(reader.recommendations_json)),
            "/evolution/": _Endpoint(_looked_up(reader.evolution_json), (SESSION_GAP,)),
        }

    @property
    def paths(self) -> list[str]:
        """Every path there is; one that ends in a slash wants an id after it.

        What the console loads is not listed: it is the page's own affair.
        """
        return [PAGE_PATH, *self._plain, *self._guarded, *self._lookups]

    def answer(self, target: str, headers: Message, client: str) -> Answer:
        """The response to a GET of `target` by the peer with the address `client`."""
        path, _, query = target.partition("?")
        if path in self._lookups:
            name, query = _id_of(query)
            path += name
        if path in self._plain:
            return self._plain[path]()
        if path in self._console:
            return _of_console(self._console[path], headers.get("If-None-Match", ""))
        prefix = next((p for p in self._lookups if path.startswith(p)), None)
        endpoint = self._guarded.get(path) if prefix is None else self._lookups[prefix]
        if endpoint is None:
            words = f"Nothing is at {path[:200]}; see /openapi.json for what is."
            return _problem(HTTPStatus.NOT_FOUND, words)
        refusal = self._access.refusal(headers)
        here = endpoint.open_here and self._access.is_this_machine(headers, client)
        if refusal is not None and not here:
            return _problem(HTTPStatus.UNAUTHORIZED, refusal)
        try:
            values = read_query(query, endpoint.parameters)
            names = () if prefix is None else (unquote(path[len(prefix) :], errors="strict"),)
        except QueryError as error:
            return _problem(HTTPStatus.BAD_REQUEST, str(error))
        except UnicodeDecodeError:
            return _problem(HTTPStatus.BAD_REQUEST, "The id is not percent-encoded UTF-8.")
        return endpoint.read(*names, **values)

    def _live(self) -> Answer:
        uptime_seconds = time.monotonic() - self._started_seconds
        return _json(
            live(
                self._metrics,
                self._health,
                time_seconds=time.time(),
                uptime_seconds=uptime_seconds,
            )
        )

    def _livez(self) -> Answer:
        stalled = self._health.stalled_seconds
        if stalled is None:
            return _json({"alive": True})
        words = f"The event loop has been silent for {stalled:.0f} s."
        return _problem(HTTPStatus.SERVICE_UNAVAILABLE, words)

    def _readyz(self) -> Answer:
        reasons = self._health.reasons
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return _json({"ready": not reasons, "waiting_for": reasons}, status)


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], family: int, answers: Answers) -> None:
        self.address_family = family
        self.answers = answers
        self._slots = threading.BoundedSemaphore(MAX_REQUESTS)
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's: that one looks its own host name up in DNS, which can take seconds.
        socket.socket.setsockopt(self.socket, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        try:
            request.settimeout(1.0)
            request.sendall(b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n")
        except OSError:
            _log.debug("a refused client had gone")
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        _log.debug("a client went away", exc_info=True)


class Handler(BaseHTTPRequestHandler):
    """One connection: GET and HEAD, answered by the server's `Answers`."""

    server: _HttpServer
    server_version = "freshrec"
    sys_version = ""
    timeout = REQUEST_TIMEOUT_SECONDS

    def do_GET(self) -> None:
        try:
            answer = self.server.answers.answer(self.path, self.headers, self.client_address[0])
        except Exception:  # noqa: BLE001 (a look-up that fails must not take the server down)
            # Of the path its first part alone: logs name no users and no items.
            _log.exception("no answer to /%s…", re.split(r"[/?]", self.path[1:200], maxsplit=1)[0])
            words = "The look-up failed; the worker's log says why."
            answer = _problem(HTTPStatus.INTERNAL_SERVER_ERROR, words)
        self.send_response(answer.status)
        if answer.status is not HTTPStatus.NOT_MODIFIED:  # which is about a body it does not have
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
        common = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        for name, value in (common | dict(answer.headers)).items():
            self.send_header(name, value)
        if answer.status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", 'Bearer realm="freshrec"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it)
        _log.debug(format, *args)


def _id_of(query: str) -> tuple[str, str]:
    """The id that a query begins with, and the rest: `/graph/item/?id=..`.

    Clients that follow the rules of URLs cannot say it in the path where it is `.` or `..`.
    """
    first, _, rest = query.partition("&")
    return (first.removeprefix("id="), rest) if first.startswith("id=") else ("", query)


def _looked_up(find: Callable[..., Found | None]) -> Callable[..., Answer]:
    def read(name: str, **values: Any) -> Answer:
        found = find(name, **values)
        if found is None:
            return _problem(HTTPStatus.NOT_FOUND, f"This worker knows nothing of {name!r}.")
        return _json(found)

    return read


def _of_console(asset: Asset, known_etags: str) -> Answer:
    headers = {**PAGE_HEADERS, "ETag": asset.etag}
    if asset.etag in (etag.strip().removeprefix("W/") for etag in known_etags.split(",")):
        return Answer(HTTPStatus.NOT_MODIFIED, b"", headers=headers)
    return Answer(HTTPStatus.OK, asset.body, asset.content_type, headers)


def _graphml(body: bytes) -> Answer:
    return Answer(HTTPStatus.OK, body, "application/graphml+xml")


def _json(document: Found, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    return Answer(status, msgspec.json.encode(document))


def _problem(status: HTTPStatus, words: str) -> Answer:
    return _json({"error": words}, status)
