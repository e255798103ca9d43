"""What passed between workers and brokers, in order, and whether every commit came late enough.

The witness stands on the wire: it decodes produce requests and their answers, and offset commits.
A dead letter whose sender was killed before the answer came is not sent again: the next worker
reads the topic first. So what the broker hands out of that topic counts as its word, too.

What a click must have left behind before its offset may be committed is worked out from the clicks
topic alone, by the pure pipeline.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any, NamedTuple

import msgspec
from aiokafka.protocol.api import RequestHeader_v1
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record import MemoryRecords

from streams.bench.oracle import StoredRecord
from streams.graph import decode_item_state
from streams.pipeline import ClickPipeline
from streams.settings import Settings
from streams.topics import changelog_topic
from streams.transitions import CHAIN_KEY, SentPositions, decode_transitions
from streams.window import decode_window

_PRODUCE, _FETCH, _COMMIT = 0, 1, 8
_DUPLICATE_SEQUENCE = 46


class Sent(NamedTuple):
    """A record as a worker sent it."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]


class Acknowledged(NamedTuple):
    """The broker's word that it has these records has passed, on its way to the worker."""

    records: list[Sent]


class Commit(NamedTuple):
    """A worker asks the broker to note an offset."""

    topic: str
    partition: int
    offset: int


Passed = Acknowledged | Commit


class Witness:
    """Sees what passes the proxy; `passed` is in order."""

    def __init__(self) -> None:
        self.passed: list[Passed] = []
        self._asked: dict[tuple[int, int], tuple[Any, dict[tuple[str, int], bytes] | None]] = {}
        """Produce requests with what they carry, and fetches."""

    def request(self, connection: int, body: bytes) -> None:
        """A request on its way to a broker."""
        stream = BytesIO(body)
        api_key, version, correlation, _ = RequestHeader_v1.SCHEMA.decode(stream)
        if api_key == _COMMIT:
            struct = _struct(OffsetCommitRequest, version)
            fields = dict(zip(struct.SCHEMA.names, struct.SCHEMA.decode(stream), strict=True))
            for topic, partitions in fields["topics"]:
                for partition, offset, *_ in partitions:
                    self.passed.append(Commit(topic, partition, offset))
        elif api_key == _FETCH:
            self._asked[connection, correlation] = (
                _struct(FetchRequest, version).RESPONSE_TYPE,
                None,
            )
        elif api_key == _PRODUCE:
            struct = _struct(ProduceRequest, version)
            fields = dict(zip(struct.SCHEMA.names, struct.SCHEMA.decode(stream), strict=True))
            self._asked[connection, correlation] = (
                struct.RESPONSE_TYPE,
                {
                    (topic, partition): batch
                    for topic, partitions in fields["topics"]
                    for partition, batch in partitions
                },
            )

    def response(self, connection: int, body: bytes) -> None:
        """An answer on its way to a worker."""
        asked = self._asked.pop((connection, int.from_bytes(body[:4], "big")), None)
        if asked is None:
            return
        response_type, batches = asked
        fields = dict(
            zip(
                response_type.SCHEMA.names,
                response_type.SCHEMA.decode(BytesIO(body[4:])),
                strict=True,
            )
        )
        for topic, partitions in fields["topics"]:
            for partition, error, *rest in partitions:
                if batches is None:
                    if topic.endswith(".dead-letter") and rest[-1]:
                        records = list(_records(topic, partition, rest[-1]))
                        self.passed.append(Acknowledged(records))
                elif error in (0, _DUPLICATE_SEQUENCE):
                    batch = batches[topic, partition]
                    self.passed.append(Acknowledged(list(_records(topic, partition, batch))))


def _struct(request: Any, version: int) -> Any:
    (struct,) = [one for one in request._CLASSES if version == one.API_VERSION]
    return struct


def _records(topic: str, partition: int, batch: bytes) -> Iterator[Sent]:
    records = MemoryRecords(bytes(batch))
    while (part := records.next_batch()) is not None:
        for record in part:
            yield Sent(topic, partition, record.key, record.value, dict(record.headers))


class Needs(NamedTuple):
    """What must be acknowledged before an offset of the clicks topic is committed."""

    window_of: str | None
    list_of: str | None
    graph_partitions: frozenset[int]
    letter: bool


def needs_of(settings: Settings, clicks: list[list[StoredRecord]]) -> dict[tuple[int, int], Needs]:
    """By partition and offset."""
    needs: dict[tuple[int, int], Needs] = {}
    for partition, records in enumerate(clicks):
        pipeline = ClickPipeline(settings.pipeline_config(len(clicks)))
        windows: Any = _Windows()
        sent = SentPositions(2 * partition)
        for record in records:
            effects = pipeline.process([record], windows, sent, rekey=True)
            assert not effects.rekeyed
            user = windows.touched
            windows.touched = None
            needs[partition, record.offset] = Needs(
                user,
                next(iter(effects.changed), None),
                frozenset(effects.transitions),
                bool(effects.dead_letters),
            )
    return needs


class _Windows(dict[str, Any]):
    touched: str | None = None

    def put(self, key: str, state: Any) -> None:
        self[key] = state
        self.touched = key

    def delete(self, key: str) -> None:
        self.pop(key, None)


class Ledger:
    """What has been acknowledged so far, as far as commits depend on it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._windows: dict[tuple[str, int], int] = defaultdict(lambda: -1)
        """(user, source) -> highest watermark."""
        self._lists: dict[str, int] = defaultdict(lambda: -1)
        self._transitions: set[tuple[int, int, int]] = set()
        """(graph partition, source, offset)."""
        self._letters: set[tuple[int, int]] = set()
        self._items: dict[tuple[int, str, int], int] = defaultdict(lambda: -1)
        """(graph partition, item, source) -> highest watermark."""

    def note(self, sent: Sent) -> None:
        """A record is acknowledged."""
        settings = self._settings
        if sent.topic == changelog_topic(settings, "windows") and sent.value is not None:
            for source, offset in decode_window(sent.value).watermarks.items():
                key = ((sent.key or b"").decode(), source)
                self._windows[key] = max(self._windows[key], offset)
        elif sent.topic == settings.recommendations and sent.value is not None:
            user = (sent.key or b"").decode()
            offset = msgspec.json.decode(sent.value)["trigger"]["offset"]
            self._lists[user] = max(self._lists[user], offset)
        elif sent.topic == settings.transitions_topic:
            batch = decode_transitions(sent.value or b"")
            for offset in batch.offsets:
                self._transitions.add((sent.partition, batch.source, offset))
        elif sent.topic == settings.dead_letter_topic:
            place = (int(sent.headers["source-partition"]), int(sent.headers["source-offset"]))
            self._letters.add(place)
        elif sent.topic == changelog_topic(settings, "graph") and sent.key != CHAIN_KEY.encode():
            for source, offset in decode_item_state(sent.value or b"").watermarks.items():
                item = (sent.partition, (sent.key or b"").decode(), source)
                self._items[item] = max(self._items[item], offset)

    def lacks(self, partition: int, offset: int, needs: Needs) -> Iterator[str]:
        """What is not acknowledged of a click."""
        source = 2 * partition
        if needs.window_of is not None and self._windows[needs.window_of, source] < offset:
            yield "window"
        if needs.list_of is not None and self._lists[needs.list_of] < offset:
            yield "list"
        for graph_partition in needs.graph_partitions:
            if (graph_partition, source, offset) not in self._transitions:
                yield "transitions"
        if needs.letter and (partition, offset) not in self._letters:
            yield "dead letter"

    def lacks_of_transitions(self, partition: int, record: StoredRecord) -> Iterator[str]:
        """What is not acknowledged of a record of transitions: every item that it changes."""
        batch = decode_transitions(record.value or b"")
        touched: dict[str, int] = {}
        for click in batch.clicks():
            items = [item for item, _ in click.before]
            touched |= dict.fromkeys(
                [*items, click.item_id] if click.owned else items, click.offset
            )
        for item, offset in touched.items():
            if self._items[partition, item, batch.source] < offset:
                yield "item"


class Finding(NamedTuple):
    """A commit that came too early."""

    commit: Commit
    offset: int
    lacks: str


def premature(
    settings: Settings,
    passed: Sequence[Passed],
    clicks: list[list[StoredRecord]],
    transitions: list[list[StoredRecord]],
) -> tuple[int, list[Finding]]:
    """How many offsets were committed for the first time, and every one that was too early."""
    needs = needs_of(settings, clicks)
    ledger = Ledger(settings)
    committed: dict[tuple[str, int], int] = defaultdict(int)
    findings: list[Finding] = []
    checked = 0
    for event in passed:
        if isinstance(event, Acknowledged):
            for sent in event.records:
                ledger.note(sent)
            continue
        place = (event.topic, event.partition)
        for offset in range(committed[place], event.offset):
            checked += 1
            if event.topic == settings.clicks:
                lacking = ledger.lacks(event.partition, offset, needs[event.partition, offset])
            elif event.topic == settings.transitions_topic:
                record = transitions[event.partition][offset]
                lacking = ledger.lacks_of_transitions(event.partition, record)
            else:
                continue
            findings += [Finding(event, offset, lack) for lack in lacking]
        committed[place] = max(committed[place], event.offset)
    return checked, findings
