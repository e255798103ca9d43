"""Partition: recovered as one, closed as one, and what it remembers of dead letters."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from streams import partition as module
from streams.codec import CodecError
from streams.partition import (
    LastList,
    Partition,
    decode_last_list,
    encode_last_list,
    recover,
)
from streams.stores import Change
from streams.transitions import CHAIN_KEY, ReceivedPositions
from tests.streams.shell_fakes import make_partition, make_settings, settle_down

Reader = Callable[..., Any]


def letter(**headers: bytes) -> Any:
    named = [(name.replace("_", "-"), content) for name, content in headers.items()]
    return SimpleNamespace(headers=named)


async def test_dead_letters_are_read_once_and_told_apart_by_topic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads = []

    async def read(_: Any, starts: dict[TopicPartition, int], apply: Reader) -> None:
        reads.append(starts)
        if len(reads) == 1:
            raise KafkaConnectionError("a broker restarts")
        (tp,) = starts
        apply(
            tp,
            [
                letter(source_topic=b"clicks", source_offset=b"5"),
                letter(source_topic=b"freshrec-rekeyed", source_offset=b"7"),
                letter(source_topic=b"clicks"),
                letter(source_topic=b"\xff", source_offset=b"8"),
                letter(source_topic=b"clicks", source_offset=b"nine"),
            ],
        )

    monkeypatch.setattr(module, "read_to_end", read)
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.01)
    partition = Partition(3, make_settings(), make_stores())
    assert await partition.dead_letters_sent("clicks") == {5}
    assert await partition.dead_letters_sent("freshrec-rekeyed") == {7}
    assert len(reads) == 2
    assert [tp.partition for tp in reads[1]] == [3]


def make_stores() -> Any:
    from streams.stores import MemoryStores

    return MemoryStores()


async def test_a_recovery_fills_every_table_and_the_chain_positions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    positions = ReceivedPositions({0: 41})
    contents: dict[str, list[Change]] = {
        "freshrec-windows-changelog": [(b"u1", b"w1"), (b"u2", b"w2"), (b"u1", None)],
        "freshrec-graph-changelog": [(CHAIN_KEY.encode(), positions.encode())],
        "freshrec-lists-changelog": [],
    }

    async def read(_: Any, starts: dict[TopicPartition, int], apply: Reader) -> Any:
        ends = {}
        for tp in starts:
            records = [
                SimpleNamespace(key=key, value=value, offset=offset)
                for offset, (key, value) in enumerate(contents[tp.topic])
            ]
            if records:
                apply(tp, records)
            ends[tp] = len(records) + 1
        return ends

    monkeypatch.setattr(module, "read_to_end", read)
    partition = Partition(0, make_settings(), make_stores())
    await recover(make_settings(), [partition])
    assert partition.recovered.is_set()
    assert partition.windows.raw("u1") is None
    assert partition.windows.raw("u2") == b"w2"
    assert (partition.windows.next_offset, partition.lists.next_offset) == (4, 1)
    assert partition.received.encode() == positions.encode()


async def test_closing_wakes_who_waits_for_the_recovery() -> None:
    partition = make_partition(make_settings())
    partition.recovered.clear()
    waiting = asyncio.create_task(partition.recovered.wait())
    await settle_down()
    partition.close()
    await asyncio.wait_for(waiting, 5)
    assert partition.closed


def test_a_last_list_is_read_as_written_and_damage_is_told() -> None:
    last = LastList("rec-1", 5, ["a", "b"])
    blob = encode_last_list(last)
    assert decode_last_list(blob) == last
    for damaged in (b"", blob[:-1], blob[:-1] + b"\x00", bytes([9]) + blob[1:]):
        with pytest.raises(CodecError, match="last list"):
            decode_last_list(damaged)
