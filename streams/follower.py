"""Follower: reads partitions of a compacted topic from a position to the end, and on.

Used to recover a table partition from its changelog, to keep the read-only replica of the
graph up to date on every worker, and to hold the catalogue. It belongs to no group.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.client_options import aiokafka_options
from streams.connection import raise_if_denied
from streams.fetching import close_without_cancelling, hand_out_as_parsed
from streams.header_names import read_any_header_name
from streams.settings import Settings
from streams.wire import plan_wire_formats

log = logging.getLogger(__name__)

Apply = Callable[[int, list[Any]], None]
"""Called with a partition and its records, in order."""

_POLL_MS = 500
_RETRY_SECONDS = 1.0
_RECORDS_A_POLL = 5_000
_RECORDS_A_POLL_TO_END = 20_000
"""Nobody waits for anything else meanwhile, and of a key only the last record is written."""


def _consumer(settings: Settings, **options: Any) -> AIOKafkaConsumer:
    read_any_header_name()
    plan_wire_formats()
    return AIOKafkaConsumer(
        **aiokafka_options(settings),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=int(settings.fetch_max_wait_seconds * 1000.0),
        max_partition_fetch_bytes=4 * 1024 * 1024,
        **options,
    )


async def _start(consumer: AIOKafkaConsumer) -> None:
    await consumer.start()
    hand_out_as_parsed(consumer._fetcher)
    close_without_cancelling(consumer._fetcher)


async def _let_others_run() -> None:
    """Heartbeats are due, and the client waits for nothing while it has records in hand: 50 MB."""
    await asyncio.sleep(0)


async def read_to_end(
    settings: Settings,
    starts: Mapping[TopicPartition, int],
    apply: Callable[[TopicPartition, list[Any]], None],
    *,
    start_over: Callable[[TopicPartition], None] | None = None,
) -> dict[TopicPartition, int]:
    """Read partitions from the offsets given to their ends as of now.

    Returns the offset after the end of each. A negative start counts back from the end. A start
    beyond the end (the topic was made anew) begins at the beginning, after `start_over`. Raises
    KafkaError when the brokers stay away.
    """
    if not starts:
        return {}
    consumer = _consumer(settings)
    try:
        await _start(consumer)
        consumer.assign(list(starts))
        ends: dict[TopicPartition, int] = await consumer.end_offsets(list(starts))
        firsts: dict[TopicPartition, int] = await consumer.beginning_offsets(list(starts))
        positions: dict[TopicPartition, int] = {}
        for tp, start in starts.items():
            if start > ends[tp]:
                log.warning(
                    "%s/%d ends at %d, local state is at %d: the topic was made anew since, and "
                    "what it holds now is taken",
                    tp.topic,
                    tp.partition,
                    ends[tp],
                    start,
                )
                if start_over is not None:
                    start_over(tp)
                start = 0
            elif start < 0:
                start += ends[tp]
            positions[tp] = max(start, firsts[tp])
            consumer.seek(tp, positions[tp])
        unread = {tp for tp, position in positions.items() if position < ends[tp]}
        while unread:
            batches = await consumer.getmany(
                *unread, timeout_ms=_POLL_MS, max_records=_RECORDS_A_POLL_TO_END
            )
            for tp, records in batches.items():
                apply(tp, records)
            await _let_others_run()
            for tp in list(unread):
                # By position, not by record: the tail of a compacted log may hold none.
                if await consumer.position(tp) >= ends[tp]:
                    unread.discard(tp)
        return {tp: max(positions[tp], ends[tp]) for tp in starts}
    finally:
        await consumer.stop()


class Follower:
    """Follows partitions of one topic until stopped; which ones can change at any time."""

    def __init__(self, settings: Settings, topic: str, apply: Apply) -> None:
        self._settings = settings
        self._topic = topic
        self._apply = apply
        self._wanted: dict[int, int] = {}
        self._changed = asyncio.Event()
        self._ends: dict[int, int] = {}
        self._positions: dict[int, int] = {}
        self.caught_up = asyncio.Event()

    def follow(self, starts: Mapping[int, int]) -> None:
        """Follow exactly these partitions; one that is new begins at the offset given."""
        self._wanted = dict(starts)
        self.caught_up.clear()
        self._changed.set()

    def lag_records(self) -> dict[int, int]:
        """Records not yet applied, by partition, as far as is known."""
        return {
            partition: max(0, end - self._positions.get(partition, end))
            for partition, end in self._ends.items()
        }

    async def run(self) -> None:
        """Read until cancelled; a broker that goes away is waited for."""
        while True:
            consumer = _consumer(self._settings)
            try:
                await _start(consumer)
                await self._read(consumer)
            except (KafkaError, OSError) as error:
                raise_if_denied(error, f"reading {self._topic}")
                log.warning("following %s was interrupted, trying again: %r", self._topic, error)
                await asyncio.sleep(_RETRY_SECONDS)
                self._changed.set()
            finally:
                await consumer.stop()

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        assigned: set[TopicPartition] = set()
        while True:
            if self._changed.is_set():
                self._changed.clear()
                assigned = await self._assign(consumer)
            if not assigned:
                self.caught_up.set()
                await self._changed.wait()
                continue
            batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_RECORDS_A_POLL)
            for tp, records in batches.items():
                if tp.partition in self._wanted:
                    self._apply(tp.partition, records)
                    self._positions[tp.partition] = records[-1].offset + 1
            await self._note_progress(consumer, assigned)
            await _let_others_run()

    async def _assign(self, consumer: AIOKafkaConsumer) -> set[TopicPartition]:
        wanted = dict(self._wanted)
        assigned = {TopicPartition(self._topic, partition) for partition in wanted}
        consumer.assign(assigned)
        self._positions = {p: o for p, o in self._positions.items() if p in wanted}
        self._ends = {}
        if not assigned:
            return assigned
        for tp, end in (await consumer.end_offsets(list(assigned))).items():
            self._ends[tp.partition] = end
        for tp, first in (await consumer.beginning_offsets(list(assigned))).items():
            start = self._positions.get(tp.partition, wanted[tp.partition])
            start = max(first, min(start, self._ends[tp.partition]))
            self._positions[tp.partition] = start
            consumer.seek(tp, start)
        return assigned

    async def _note_progress(
        self, consumer: AIOKafkaConsumer, assigned: set[TopicPartition]
    ) -> None:
        behind = False
        for tp in assigned:
            number = tp.partition
            end = self._ends[number]
            highwater = consumer.highwater(tp)
            if highwater is not None and highwater > end:
                self._ends[number] = highwater
            if self._positions.get(number, 0) < end:
                # The end of a log can hold no record to read: markers of transactions, or what
                # compaction took away.
                position = await consumer.position(tp)
                self._positions[number] = max(self._positions.get(number, 0), position)
                behind = behind or position < end
        if not behind and not self._changed.is_set():
            self.caught_up.set()
