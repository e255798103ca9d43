"""Partition: recovered as one, closed as one, and what it remembers of dead letters."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from streams import partition as module
from streams.click import Click
from streams.codec import CodecError, FormatError, frame
from streams.graph import ITEM_FORMAT
from streams.partition import (
    LastList,
    Partition,
    decode_last_list,
    encode_last_list,
    recover,
)
from streams.recommendation import encode_recommendation
from streams.stores import Change, MemoryStores
from streams.topics import TABLES, changelog_topic
from streams.transitions import CHAIN_KEY, POSITIONS_FORMAT, ReceivedPositions
from streams.window import WINDOW_FORMAT, encode_window, fold
from tests.streams.api_world import a_recommendation
from tests.streams.shell_fakes import (
    NOW_MS,
    FakePublisher,
    make_partition,
    make_settings,
    settle_down,
)

Reader = Callable[..., Any]
WINDOWS = "freshrec-windows-changelog"
GRAPH = "freshrec-graph-changelog"


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
    partition = Partition(3, make_settings(), MemoryStores())
    assert await partition.dead_letters_sent("clicks") == {5}
    assert await partition.dead_letters_sent("freshrec-rekeyed") == {7}
    assert len(reads) == 2
    assert [tp.partition for tp in reads[1]] == [3]


def test_messages_of_lists_are_kept_only_where_somebody_can_look_them_up(tmp_path: Path) -> None:
    message = encode_recommendation(a_recommendation("u", "rec-1"))
    told: list[tuple[dict[str, Any], bool]] = [
        ({}, False),
        ({"lookup_token": "t0ken"}, True),
        ({"lookup_token_file": tmp_path / "token"}, True),
    ]
    for more, kept in told:
        lists = Partition(3, make_settings(**more), MemoryStores()).recent_lists
        lists.put("u", message)
        assert (lists.get("u") is not None) == kept


def window_blob(last: int) -> bytes:
    """Of a user whose clicks were read up to an offset."""
    settings = make_settings()
    window = None
    for offset in range(last + 1):
        item = Click("u", f"i{offset}", "click", NOW_MS + offset)
        window, _, _ = fold(window, item, 0, offset, NOW_MS, settings.window_config())
    assert window is not None
    return encode_window(window)


def give_changelogs(monkeypatch: pytest.MonkeyPatch, contents: dict[str, list[Change]]) -> None:
    async def read(_: Any, starts: dict[TopicPartition, int], apply: Reader, **_more: Any) -> Any:
        ends = {}
        for tp in starts:
            records = [
                SimpleNamespace(key=key, value=value, offset=offset)
                for offset, (key, value) in enumerate(contents.get(tp.topic, []))
            ]
            if records:
                apply(tp, records)
            ends[tp] = len(records)
        return ends

    monkeypatch.setattr(module, "read_to_end", read)


async def test_a_recovery_fills_every_table_and_the_chain_positions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    positions = ReceivedPositions({0: 41})
    blob = window_blob(1)
    windows: list[Change] = [(b"u1", window_blob(0)), (b"u2", blob), (b"u1", None)]
    chain: list[Change] = [(CHAIN_KEY.encode(), positions.encode())]
    give_changelogs(monkeypatch, {WINDOWS: windows, GRAPH: chain})
    partition = Partition(0, make_settings(), MemoryStores())
    publisher: Any = FakePublisher()
    await recover(make_settings(), [partition], publisher)
    assert partition.recovered.is_set()
    assert partition.windows.raw("u1") is None
    assert partition.windows.raw("u2") == blob
    assert (partition.windows.next_offset, partition.lists.next_offset) == (3, 0)
    assert partition.received.encode() == positions.encode()
    assert publisher.log == []


async def test_a_recovery_writes_again_what_another_worker_covered_with_older_states(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    newer, older = window_blob(5), window_blob(2)
    ahead, behind = ReceivedPositions({0: 41, 2: 7}), ReceivedPositions({0: 40, 2: 7})
    chain = CHAIN_KEY.encode()
    give_changelogs(
        monkeypatch,
        {
            WINDOWS: [(b"u1", newer), (b"u2", newer), (b"u1", older), (b"u3", older)],
            GRAPH: [(chain, ahead.encode()), (chain, behind.encode())],
        },
    )
    partition = Partition(0, make_settings(), MemoryStores())
    publisher: Any = FakePublisher(generous=True)
    publisher.before = {WINDOWS: 4, GRAPH: 2}
    await recover(make_settings(), [partition], publisher)
    assert partition.windows.raw("u1") == newer
    assert partition.received.encode() == ahead.encode()
    assert publisher.log == [(WINDOWS, 0, b"u1", newer), (GRAPH, 0, chain, ahead.encode())]
    assert (partition.windows.next_offset, partition.graph.next_offset) == (5, 3)


@pytest.mark.parametrize(
    ("table", "key", "read"),
    [
        ("windows", b"k", WINDOW_FORMAT),
        ("graph", b"k", ITEM_FORMAT),
        ("graph", CHAIN_KEY.encode(), POSITIONS_FORMAT),
        ("lists", b"k", 1),
    ],
)
async def test_a_recovery_refuses_what_another_version_wrote(
    monkeypatch: pytest.MonkeyPatch, table: str, key: bytes, read: int
) -> None:
    settings = make_settings()
    newer: list[Change] = [(key, frame(7, b"whatever it means"))]
    give_changelogs(monkeypatch, {changelog_topic(settings, table): newer})
    partition = Partition(0, settings, MemoryStores())
    publisher: Any = FakePublisher()
    with pytest.raises(
        FormatError, match=rf"has format 7, this version reads format {read}: run the"
    ):
        await recover(settings, [partition], publisher)
    assert partition.table(table).next_offset == 0
    assert not partition.recovered.is_set()


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


@pytest.mark.parametrize(("partitions", "each"), [(4, 100_000), (64, 6_250), (1_000, 1_000)])
def test_more_partitions_do_not_keep_more_decoded_states(partitions: int, each: int) -> None:
    partition = make_partition(make_settings(partitions=partitions))
    kept = {partition.table(name)._cache_entries for name in TABLES}
    assert kept == {each}
