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
from streams.codec import HEADER_BYTES, CodecError, FormatError, frame
from streams.core import MemoryTable, StreamRecord
from streams.events import Reject, decode_click, decode_item, decode_recommendation
from streams.graph import ItemState, decode_item_state, encode_item
from streams.graph_pipeline import GraphPipeline
from streams.health import Health
from streams.metrics import Metrics
from streams.partition import LastList, decode_last_list, encode_last_list
from streams.pipeline import ClickPipeline, PipelineConfig
from streams.serving import Answers, Handler
from streams.settings import Settings
from streams.transitions import (
    ReceivedPositions,
    SentPositions,
    ToldClick,
    TransitionBatch,
    decode_transitions,
    encode_transitions,
)
from streams.window import Window, decode_window, encode_window, fold, history

NOW_MS = 1_770_000_000_000
_TOKEN = "t0ken"  # noqa: S105 (of a server that answers nobody)


class Target(NamedTuple):
    """`read` returns whether bytes were accepted; what it raises is a defect."""

    read: Callable[[bytes], bool]
    examples: Callable[[], list[bytes]]
    share: float
    """Of all cases; slow targets get less."""


@cache
def _config() -> PipelineConfig:
    return Settings(max_clicks_per_second=1000.0).pipeline_config(1)


def _clicks() -> list[bytes]:
    full = {
        "event_id": "e1", "event_type": "purchase", "user_id": "u1", "session_id": "s1",
        "item_id": "i1", "timestamp": NOW_MS, "value": 2.5, "recommendation_id": "rec-1",
        "position": 3, "place": {"lat": 40.7, "lon": -74.0}, "context": {"surface": "home"},
        "properties": {"a": [1, None, {"b": True}]},
    }  # fmt: skip
    least = {"user_id": "ünïcode", "item_id": "i2", "timestamp": "2026-02-02T02:40:00.5+01:00"}
    session = {"session_id": "s", "item_id": "i3", "timestamp": str(NOW_MS), "event_type": "view"}
    return [msgspec.json.encode(each) for each in (full, least, session)]


def _read_click(data: bytes) -> bool:
    """The value of a click, and what follows a click that is accepted."""
    config = _config()
    click = decode_click(data, (), NOW_MS, config.limits)
    if isinstance(click, Reject):
        assert len(click.detail) <= 300
        return False
    window, _, _ = fold(None, click, 0, 0, NOW_MS, config.window)
    assert decode_window(encode_window(window)).items == window.items
    return True


def _read_pipeline(data: bytes) -> bool:
    """Value, key and headers of a record through the whole pipeline, erasures included."""
    value, _, rest = data.partition(b"\x1e")
    key, _, header = rest.partition(b"\x1e")
    headers = [("ce_id", header), ("ce_time", header[:40]), ("ce_type", header[-20:]), ("x", b"")]
    record = StreamRecord(7, NOW_MS, key or None, value or None, headers)
    windows: MemoryTable[Window] = MemoryTable()
    effects = ClickPipeline(_config()).process([record], windows, SentPositions(0), rekey=True)
    for batch in effects.transitions.values():
        decode_transitions(encode_transitions(batch))
    _read_twice(value)
    return not effects.dead_letters


def _read_twice(value: bytes) -> None:
    """A value on its way through the kernels of plain clicks: two records of one batch, and the
    same in Python.
    """
    config = Settings().pipeline_config(1)
    click = decode_click(value, (), NOW_MS, config.limits)
    user = b"u1" if isinstance(click, Reject) else click.user_id.encode()
    records = [StreamRecord(offset, NOW_MS, user, value, ()) for offset in (7, 8)]
    windows: MemoryTable[Window] = MemoryTable()
    ClickPipeline(config).process(records, windows, SentPositions(0), rekey=True)
    if isinstance(click, Reject):
        return
    expected: Window | None = None
    for offset in (7, 8):
        expected, _, _ = fold(expected, click, 0, offset, NOW_MS, config.window)
    found = windows.get(click.user_id)
    assert expected is not None
    assert found is not None
    assert encode_window(found) == encode_window(expected)


def _pipeline_records() -> list[bytes]:
    keyed = [(b"u1", b"u1/7"), (b"\xff", b"purchase"), (b"", b"2026-02-02T02:40:00Z")]
    return [b"\x1e".join((click, *rest)) for click in (*_clicks(), b"") for rest in keyed]


def _read_item(data: bytes) -> bool:
    return not isinstance(decode_item(data, data[-8:], _config().limits), Reject)


def _items() -> list[bytes]:
    item = {
        "item_id": "i1", "title": "Oak desk", "categories": ["office"], "available": True,
        "price": 9.5, "timestamp": NOW_MS, "properties": {"a": 1},
    }  # fmt: skip
    return [msgspec.json.encode(item), b'{"item_id":"i2"}']


def _read_recommendation(data: bytes) -> bool:
    try:
        decode_recommendation(data)
    except msgspec.DecodeError:
        return False
    return True


def _recommendations() -> list[bytes]:
    return [
        (
            b'{"recommendation_id":"r","user_id":"u","generated_at":"2026-01-31T12:00:00Z","trigger":'
            b'{"event_id":null,"topic":"clicks","partition":3,"offset":9,"event_time":"2026-01-31T12:00'
            b':00Z"},"model":{"name":"bert","version":"1","variant":"A"},"served_by":"graph",'
            b'"degraded_reason":null,"latency_ms":{"total":1.5,"queue":1,"inference":0},"items":[{'
            b'"item_id":"i","rank":1,"score":0.5,"title":"T","reasons":[{"code":"POPULAR"}]}],'
            b'"window":{"events":1,"oldest":null,"newest":null}}'
        )
    ]


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
    history(window, _config().window)
    _ = window.oldest_ms, window.watermarks


def _windows() -> list[bytes]:
    windows: MemoryTable[Window] = MemoryTable()
    pipeline = ClickPipeline(_config())
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
            effects = GraphPipeline(_config()).process([record], graph, ReceivedPositions())
        except FormatError:
            continue
        accepted = accepted or not effects.damaged
    for state in graph.values():
        encode_item(state)
    return accepted


def _item_states() -> list[bytes]:
    graph: MemoryTable[ItemState] = MemoryTable()
    record = StreamRecord(0, NOW_MS, None, encode_transitions(_batch()))
    GraphPipeline(_config()).process([record], graph, ReceivedPositions())
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
    "click": Target(_read_click, _clicks, 0.3),
    "pipeline": Target(_read_pipeline, _pipeline_records, 0.15),
    "item": Target(_read_item, _items, 0.1),
    "recommendation": Target(_read_recommendation, _recommendations, 0.1),
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
