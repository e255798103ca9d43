"""What reads bytes from outside: each with good examples and the one way in which it may refuse."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from email.message import Message
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from model.artifact import (
    DEMO_ARTIFACT,
    ITEMS_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    SMOKE_FILE,
    ArtifactError,
    load_artifact,
)
from model.scorer import EncoderScorer
from streams.bench import fuzz_messages
from streams.bench.fuzz_messages import NOW_MS
from streams.codec import HEADER_BYTES, CodecError, FormatError, frame
from streams.core import MemoryTable, StreamRecord
from streams.graph import ItemState, decode_item_state, encode_item
from streams.graph_pipeline import GraphPipeline
from streams.health import Health
from streams.metrics import Metrics
from streams.partition import LastList, decode_last_list, encode_last_list
from streams.pipeline import ClickPipeline
from streams.serving import Answers, Handler
from streams.transitions import (
    ReceivedPositions,
    SentPositions,
    ToldClick,
    TransitionBatch,
    encode_transitions,
)
from streams.window import Window, decode_window, encode_window, history

_TOKEN = "t0ken"  # noqa: S105 (of a server that answers nobody)


class Target(NamedTuple):
    """`read` returns whether bytes were accepted; what it raises is a defect."""

    read: Callable[[bytes], bool]
    examples: Callable[[], list[bytes]]
    share: float
    """Of all cases; slow targets get less."""


def _stored(
    decode: Callable[[bytes], Any], use: Callable[[Any], object]
) -> Callable[[bytes], bool]:
    """A reader of framed state: as it is, and with a checksum that fits what was changed."""

    def read(data: bytes) -> bool:
        accepted = False
        for blob in (data, frame(data[0] if data else 0, data[HEADER_BYTES:])):
            try:
                state = decode(blob)
            except CodecError:
                continue
            use(state)
            accepted = True
        return accepted

    return read


def _use_window(window: Window) -> None:
    assert encode_window(decode_window(encode_window(window))) == encode_window(window)
    history(window, fuzz_messages.pipeline_config().window)
    _ = window.oldest_ms, window.watermarks


def _windows() -> list[bytes]:
    windows: MemoryTable[Window] = MemoryTable()
    pipeline = ClickPipeline(fuzz_messages.pipeline_config())
    kinds = ("click", "purchase", "view", "dislike")
    blobs = []
    for number in range(6):
        click = {
            "user_id": "u", "item_id": f"i{number}", "timestamp": NOW_MS + number,
            "event_type": kinds[number % 4], "event_id": f"e{number}",
            **({"place": {"lat": 1, "lon": number}} if number > 2 else {}),
        }  # fmt: skip
        record = StreamRecord(number, NOW_MS, b"u", msgspec.json.encode(click))
        pipeline.process([record], windows, SentPositions(number % 2), rekey=True)
        blobs.append(encode_window(windows["u"]))
    return blobs


def _batch() -> TransitionBatch:
    return TransitionBatch.of(
        0,
        [
            ToldClick(
                number,
                NOW_MS + number,
                f"i{number % 3}",
                ("click", "view")[number % 2],
                owned=True,
                before=[(f"i{(number + 1) % 3}", 1 + number)],
            )
            for number in range(5)
        ],
    )


def _read_transitions(data: bytes) -> bool:
    """A batch on its way into the graph, its checksum right; damaged ones are counted, another
    version's refused.
    """
    graph: MemoryTable[ItemState] = MemoryTable()
    accepted = False
    for blob in (data, frame(data[0] if data else 0, data[HEADER_BYTES:])):
        record = StreamRecord(0, NOW_MS, None, blob)
        try:
            effects = GraphPipeline(fuzz_messages.pipeline_config()).process(
                [record], graph, ReceivedPositions()
            )
        except FormatError:
            continue
        accepted = accepted or not effects.damaged
    for state in graph.values():
        encode_item(state)
    return accepted


def _item_states() -> list[bytes]:
    graph: MemoryTable[ItemState] = MemoryTable()
    record = StreamRecord(0, NOW_MS, None, encode_transitions(_batch()))
    GraphPipeline(fuzz_messages.pipeline_config()).process([record], graph, ReceivedPositions())
    return [encode_item(state) for state in graph.values()]


class _NoState:
    """Look-ups that find what they are asked for."""

    def item_json(self, item_id: str) -> dict[str, Any]:
        return {"item_id": item_id}

    def ego_json(self, user_id: str) -> dict[str, Any]:
        return {"user_id": user_id}

    def recommendations_json(self, user_id: str) -> None:
        del user_id

    def evolution_json(self, user_id: str, gap_seconds: int) -> dict[str, Any]:
        return {"user_id": user_id, "gap_seconds": gap_seconds}

    def trending_json(self, limit: int) -> dict[str, Any]:
        return {"items": [None] * limit}

    def graphml(self) -> bytes:
        return b""

    def status(self) -> dict[str, Any]:
        return {}


@cache
def _answers() -> Answers:
    return Answers(Metrics(), Health(), _NoState(), _TOKEN)


def _read_http(data: bytes) -> bool:
    """Target, token, host and client of a request."""
    parts = data.decode("latin-1").split("\n")
    target, authorization, host, client = (*parts[:4], "", "", "", "")[:4]
    authorization = authorization.replace("\r", "")  # which no header can hold
    headers = Message()
    for name, value in (("Authorization", authorization), ("Host", host)):
        if value:
            headers[name] = value.replace("\r", "")
    answer = _answers().answer(target, headers, client)
    tables = target.startswith(("/graph/", "/recommendations/", "/evolution/", "/trending"))
    if tables and answer.status == 200:
        assert authorization.partition(" ")[2].strip() == _TOKEN, "shown without the token"
    return answer.status == 200


def _requests() -> list[bytes]:
    paths = [
        "/graph/item/i1",
        "/graph/ego/u%C3%BC",
        "/recommendations/u",
        "/graph/export?format=graphml",
    ]
    paths += ["/evolution/u?gap_seconds=60", "/trending?limit=5", "/live", "/openapi.json"]
    paths += ["/status", "/readyz", "/", "/nothing/../../etc/passwd"]
    return [
        "\n".join((path, f"Bearer {_TOKEN}", "localhost:9464", "127.0.0.1")).encode("latin-1")
        for path in paths
    ]


class _Connection:
    """A connection that brings what it is given and remembers what it is answered."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sent = b""

    def makefile(self, *_args: object) -> BytesIO:
        return BytesIO(self.data)

    def settimeout(self, seconds: float | None) -> None:
        del seconds

    def sendall(self, data: bytes) -> None:
        self.sent += data


class _Server:
    def __init__(self, answers: Answers) -> None:
        self.answers = answers


def _read_request(data: bytes) -> bool:
    """The bytes of a whole connection, as the server's own handler reads them."""
    connection: Any = _Connection(data)
    server: Any = _Server(_answers())
    Handler(connection, ("127.0.0.1", 1), server)
    return b" 200 OK\r\n" in connection.sent


def _connections() -> list[bytes]:
    head = f"Host: localhost:9464\r\nAuthorization: Bearer {_TOKEN}\r\n".encode()
    return [
        b"GET /graph/item/i1 HTTP/1.1\r\n" + head + b"Connection: keep-alive\r\n\r\n",
        b"HEAD /readyz HTTP/1.0\r\n\r\n",
        b"GET /status\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
    ]


@cache
def _artefact_directory() -> Path:
    """A copy of the demo's artefact to put changed files into, in memory where there is such."""
    memory = Path("/dev/shm")  # noqa: S108 (only the parent of a directory with a random name)
    parent = memory if memory.is_dir() else None
    directory = Path(tempfile.mkdtemp(prefix="freshrec-fuzz-", dir=parent)) / "artefact"
    shutil.copytree(DEMO_ARTIFACT, directory)
    return directory


def clean_up() -> None:
    """Remove what the targets of this process put on disk."""
    if _artefact_directory.cache_info().currsize:
        shutil.rmtree(_artefact_directory().parent, ignore_errors=True)
        _artefact_directory.cache_clear()


def _put(name: str, data: bytes) -> Path:
    """A changed file, and a manifest whose hashes fit: what somebody who means harm would do."""
    directory = _artefact_directory()
    for original in DEMO_ARTIFACT.iterdir():
        (directory / original.name).write_bytes(original.read_bytes())
    (directory / name).write_bytes(data)
    if name != MANIFEST_FILE:
        manifest = msgspec.json.decode((DEMO_ARTIFACT / MANIFEST_FILE).read_bytes())
        manifest["files"][name] = hashlib.sha256(data).hexdigest()
        (directory / MANIFEST_FILE).write_bytes(msgspec.json.encode(manifest))
    return directory


def _artefact_file(name: str) -> Callable[[bytes], bool]:
    def read(data: bytes) -> bool:
        try:
            load_artifact(_put(name, data))
        except ArtifactError:
            return False
        return True

    return read


def _read_model(data: bytes) -> bool:
    """ONNX bytes in an artefact that is otherwise right, loaded as a worker loads it."""
    try:
        EncoderScorer.load(_put(MODEL_FILE, data), engine="cpu")
    except ArtifactError:
        return False
    return True


def _file(name: str) -> Callable[[], list[bytes]]:
    return lambda: [(DEMO_ARTIFACT / name).read_bytes()]


TARGETS: dict[str, Target] = {
    "click": Target(fuzz_messages.read_click, fuzz_messages.clicks, 0.3),
    "pipeline": Target(fuzz_messages.read_pipeline, fuzz_messages.pipeline_records, 0.15),
    "item": Target(fuzz_messages.read_item, fuzz_messages.items, 0.1),
    "recommendation": Target(fuzz_messages.read_recommendation, fuzz_messages.recommendations, 0.1),
    "window": Target(_stored(decode_window, _use_window), _windows, 0.1),
    "item state": Target(_stored(decode_item_state, encode_item), _item_states, 0.08),
    "transitions": Target(
        _read_transitions, lambda: [encode_transitions(_batch())], 0.08
    ),
    "last list": Target(
        _stored(decode_last_list, encode_last_list),
        lambda: [encode_last_list(LastList("rec-1", NOW_MS, ["i1", "i2"]))],
        0.02,
    ),
    "chain": Target(
        _stored(ReceivedPositions.decode, ReceivedPositions.encode),
        lambda: [ReceivedPositions({0: 5, 3: 9}).encode()],
        0.02,
    ),
    "http": Target(_read_http, _requests, 0.0389),
    "request": Target(_read_request, _connections, 0.01),
    "manifest": Target(_artefact_file(MANIFEST_FILE), _file(MANIFEST_FILE), 0.0005),
    "items": Target(_artefact_file(ITEMS_FILE), _file(ITEMS_FILE), 0.0003),
    "smoke": Target(_artefact_file(SMOKE_FILE), _file(SMOKE_FILE), 0.0002),
    "model": Target(_read_model, _file(MODEL_FILE), 0.0001),
}  # fmt: skip
