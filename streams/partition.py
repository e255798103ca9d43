"""A worker's partition: the state of one partition number over all tables.

Clicks, rekeyed clicks, transitions and changelogs have the same number of partitions, and the
consumer assigns partition i of all of them to one worker. So partition i is one unit: recovered
together, drained together, closed together.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.codec import CodecError, frame, unframe
from streams.connection import raise_if_denied
from streams.follower import read_to_end
from streams.graph import ITEM_FORMAT, ItemState, decode_item_state, encode_item
from streams.in_flight import InFlight
from streams.publisher import Publisher
from streams.recent_lists import MOST_BYTES, RecentLists
from streams.reject import UNREADABLE
from streams.settings import Settings
from streams.stores import Change, StoreFactory
from streams.tables import TablePartition
from streams.topics import TABLES, changelog_topic
from streams.transitions import CHAIN_KEY, POSITIONS_FORMAT, ReceivedPositions, SentPositions
from streams.watermarks import item_watermarks, window_watermarks
from streams.window import WINDOW_FORMAT, Window, decode_window, encode_window

log = logging.getLogger(__name__)

_CHAIN = CHAIN_KEY.encode()
_LIST_FORMAT = 1
_DEAD_LETTERS_REREAD = 100_000
_RETRY_SECONDS = 1.0
# Decoded states of a table that a worker with all partitions keeps, 1.6 GB of windows of 50 events.
_MOST_DECODED = 400_000


class LastList(msgspec.Struct, array_like=True, gc=False):
    """What was last published for a user."""

    recommendation_id: str
    generated_at_ms: int
    items: list[str]


_list_encoder = msgspec.msgpack.Encoder()
_list_decoder = msgspec.msgpack.Decoder(LastList)


def encode_last_list(last: LastList) -> bytes:
    """Bytes of a last list."""
    return frame(_LIST_FORMAT, _list_encoder.encode(last))


def decode_last_list(blob: bytes) -> LastList:
    """Read a last list; raises `CodecError` when the bytes are damaged."""
    try:
        return _list_decoder.decode(unframe(blob, _LIST_FORMAT, "last list"))
    except UNREADABLE as error:
        raise CodecError(f"last list: {error}") from error


def _graph_format(key: bytes) -> tuple[int, str]:
    """The changelog of the graph has the chain's positions beside the items."""
    return (POSITIONS_FORMAT, "chain positions") if key == _CHAIN else (ITEM_FORMAT, "item state")


class Partition:
    """State of one partition number on this worker."""

    def __init__(self, number: int, settings: Settings, stores: StoreFactory) -> None:
        self.number = number
        self._settings = settings
        decoded = max(1_000, _MOST_DECODED // settings.partitions)
        self.windows: TablePartition[Window] = TablePartition(
            stores.open("windows", number),
            encode_window,
            decode_window,
            progress=lambda _, blob: window_watermarks(blob),
            written_as=lambda _: (WINDOW_FORMAT, "window"),
            cache_entries=decoded,
        )
        self.graph: TablePartition[ItemState] = TablePartition(
            stores.open("graph", number),
            encode_item,
            decode_item_state,
            progress=_graph_progress,
            written_as=_graph_format,
            cache_entries=decoded,
        )
        self.lists: TablePartition[LastList] = TablePartition(
            stores.open("lists", number),
            encode_last_list,
            decode_last_list,
            written_as=lambda _: (_LIST_FORMAT, "last list"),
            cache_entries=decoded,
        )
        # Without a token nobody can look a list up, so none is kept.
        looked_up = settings.lookup_token is not None or settings.lookup_token_file is not None
        self.recent_lists = RecentLists(MOST_BYTES if looked_up else 0)
        self.clicks_sent = SentPositions(2 * number)
        self.rekeyed_sent = SentPositions(2 * number + 1)
        self.received = ReceivedPositions()
        self.recovered = asyncio.Event()
        self.closed = False
        self.draining = False
        """Nothing more is taken: what is in flight is being finished for good."""
        self.taking_clicks = asyncio.Lock()
        self.taking_transitions = asyncio.Lock()
        """Held while a batch is folded and sent, until a task waits for its acknowledgement."""
        self.slots = asyncio.Semaphore(settings.max_in_flight_batches)
        self.graph_slots = asyncio.Semaphore(settings.max_in_flight_batches)
        self.in_flight = InFlight()
        self.last_task: asyncio.Task[None] | None = None
        """Finishing batches in order: each waits for the one before."""
        self.last_graph_task: asyncio.Task[None] | None = None
        self.last_list_task: asyncio.Task[None] | None = None
        self._dead_letters: dict[str, set[int]] | None = None

    def table(self, name: str) -> TablePartition[Any]:
        """A table by name."""
        table: TablePartition[Any] = getattr(self, name)
        return table

    @property
    def is_free(self) -> bool:
        """Whether few enough batches of clicks are in flight for one more."""
        return not self.slots.locked()

    async def drain(self) -> None:
        """Wait until everything taken is acknowledged."""
        for taking in (self.taking_clicks, self.taking_transitions):
            async with taking:
                pass
        for task in (self.last_task, self.last_graph_task, self.last_list_task):
            if task is not None:
                await asyncio.wait([task])

    def close(self) -> None:
        """Release stores. What is still in flight is left to a replay."""
        self.closed = True
        # An agent that waits for the recovery must not wait for ever.
        self.recovered.set()
        for name in TABLES:
            self.table(name).close()

    async def dead_letters_sent(self, topic: str) -> set[int]:
        """Offsets of `topic` in this partition whose dead letter was already written.

        Dead letters stand in the partition of their record, so the ones that a crash left
        uncommitted are near the end. Read once, when the first bad record comes.
        """
        if self._dead_letters is None:
            self._dead_letters = await self._read_dead_letters()
        return self._dead_letters.setdefault(topic, set())

    async def _read_dead_letters(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}

        def collect(_tp: TopicPartition, records: list[Any]) -> None:
            for record in records:
                headers = dict(record.headers)
                try:
                    topic = headers["source-topic"].decode()
                    offset = int(headers["source-offset"])
                except (KeyError, ValueError):
                    continue
                found.setdefault(topic, set()).add(offset)

        tp = TopicPartition(self._settings.dead_letter_topic, self.number)
        while not self.closed:
            try:
                await read_to_end(self._settings, {tp: -_DEAD_LETTERS_REREAD}, collect)
                break
            except KafkaError as error:
                raise_if_denied(error, f"reading {tp.topic}")
                log.warning("reading %s was interrupted, trying again: %r", tp.topic, error)
                await asyncio.sleep(_RETRY_SECONDS)
        return found


def _graph_progress(key: bytes, blob: bytes) -> Mapping[int, int]:
    """What an item, or the chain positions, reflect."""
    if key == _CHAIN:
        return ReceivedPositions.decode(blob).positions
    return item_watermarks(blob)


async def recover(
    settings: Settings, partitions: Sequence[Partition], publisher: Publisher
) -> float:
    """Bring partitions up to the ends of their changelogs; returns the seconds it took.

    Where a changelog ends in an older state of a key, the newer one is written again.
    """
    started = time.monotonic()
    tables: dict[TopicPartition, TablePartition[Any]] = {}
    for partition in partitions:
        for name in TABLES:
            tables[TopicPartition(changelog_topic(settings, name), partition.number)] = (
                partition.table(name)
            )
    count = 0

    def apply(tp: TopicPartition, records: list[Any]) -> None:
        nonlocal count
        changes: list[Change] = [(record.key, record.value) for record in records]
        tables[tp].recover(changes, records[-1].offset + 1)
        count += len(records)

    ends = await read_to_end(
        settings,
        {tp: table.next_offset for tp, table in tables.items()},
        apply,
        start_over=lambda tp: tables[tp].start_over(),
    )
    for tp, end in ends.items():
        tables[tp].recover([], end)
    for tp, table in tables.items():
        changes = table.stale_changes()
        if changes:
            log.warning(
                "partition %d of %s ends in %d states that another worker wrote late; the newer "
                "ones are written again",
                tp.partition,
                tp.topic,
                len(changes),
            )
            sent = await publisher.send(tp.topic, tp.partition, changes)
            table.acknowledge(changes, await sent.acknowledged())
    for partition in partitions:
        chain = partition.graph.raw(CHAIN_KEY)
        if chain is not None:
            partition.received = ReceivedPositions.decode(chain)
        partition.recovered.set()
    seconds = time.monotonic() - started
    log.info(
        "recovered partitions %s: %d changelog records in %.2f s",
        [partition.number for partition in partitions],
        count,
        seconds,
    )
    return seconds
