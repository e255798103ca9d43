"""Pipelines: what a batch of records does to state, and what it asks the shell to do."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import HEADER_BYTES, FormatError, frame
from streams.effects import Rekeyed
from streams.events import RejectReason
from streams.graph import ItemState
from streams.graph_pipeline import GraphPipeline
from streams.pipeline import ClickPipeline, PipelineConfig
from streams.transition_batch import BATCH_FORMAT
from streams.transitions import (
    ReceivedPositions,
    SentPositions,
    encode_transitions,
    owner_of,
)
from streams.window import Window
from tests.streams.pipeline_world import (
    BOTH,
    CLICK_STREAMS,
    CONFIG,
    LIMITED,
    NOW_MS,
    PARTITIONS,
    DictTable,
    FakeRecord,
    World,
    a_click,
)


@BOTH
@given(records=CLICK_STREAMS, data=st.data())
def test_how_a_stream_is_cut_into_batches_makes_no_difference(
    config: PipelineConfig, records: list[FakeRecord], data: st.DataObject
) -> None:
    whole, pieces = World(config), World(config)
    whole.run(records, SentPositions(0))
    sent = SentPositions(0)
    while records:
        size = data.draw(st.integers(1, len(records)))
        pieces.run(records[:size], sent)
        records = records[size:]
    assert pieces.blobs() == whole.blobs()


@BOTH
@given(records=CLICK_STREAMS, data=st.data())
def test_replaying_any_stretch_by_a_new_sender_changes_nothing(
    config: PipelineConfig, records: list[FakeRecord], data: st.DataObject
) -> None:
    world, once = World(config), World(config)
    once.run(records, SentPositions(0))
    world.run(records, SentPositions(0))
    start = data.draw(st.integers(0, len(records) - 1))
    world.run(records[start:], SentPositions(0))
    assert world.blobs() == once.blobs()


@BOTH
@given(records=CLICK_STREAMS, data=st.data())
def test_transitions_lost_with_a_killed_sender_are_made_good_by_the_replay(
    config: PipelineConfig, records: list[FakeRecord], data: st.DataObject
) -> None:
    """The windows survived, some transitions never left: the replay must send them again."""
    # Within one window's reach, as the shell makes sure of.
    reach = CONFIG.window.max_events - CONFIG.window.predecessors
    records = records[:reach]
    once, world = World(config), World(config)
    once.run(records, SentPositions(0))
    cut = data.draw(st.integers(0, len(records)))
    sent = SentPositions(0)
    if records[:cut]:
        world.run(records[:cut], sent)
    if records[cut:]:
        world.run(records[cut:], sent, lose=True)
        world.run(records[cut:], SentPositions(0))
    assert world.blobs() == once.blobs()


@BOTH
@given(records=CLICK_STREAMS)
def test_a_hole_is_never_passed_over(config: PipelineConfig, records: list[FakeRecord]) -> None:
    """A lost batch, a later one that arrives, then the replay of both: as if nothing happened."""
    reach = CONFIG.window.max_events - CONFIG.window.predecessors
    records = records[:reach]
    once, world = World(config), World(config)
    once.run(records, SentPositions(0))
    middle = len(records) // 2
    sent = SentPositions(0)
    if records[:middle]:
        world.run(records[:middle], sent, lose=True)
    world.run(records[middle:], sent)
    world.run(records, SentPositions(0))
    assert world.blobs() == once.blobs()


def test_a_click_reaches_every_owner_concerned_and_its_own_item_counts_once() -> None:
    effects = World().run([a_click(n, "u1", f"i{n}") for n in range(4)], SentPositions(0))
    told: dict[str, tuple[int, int]] = {}
    for partition, batch in effects.transitions.items():
        for click in batch.clicks():
            if click.offset == 3:
                told |= {item: (distance, partition) for item, distance in click.before}
    assert told == {f"i{3 - d}": (d, owner_of(f"i{3 - d}", PARTITIONS)) for d in (1, 2, 3)}
    counted = [
        (partition, click.item_id)
        for partition, batch in effects.transitions.items()
        for click in batch.clicks()
        if click.owned
    ]
    assert sorted(counted) == sorted((owner_of(f"i{n}", PARTITIONS), f"i{n}") for n in range(4))


def test_a_bad_record_is_handed_back_as_it_came_and_the_rest_goes_on() -> None:
    world = World()
    bad = FakeRecord(1, NOW_MS, b"u1", b"{not json", (("h", b"v"),))
    effects = world.run([a_click(0, "u1", "i1"), bad, a_click(2, "u1", "i2")], SentPositions(0))
    (letter,) = effects.dead_letters
    assert (letter.offset, letter.key, letter.value, letter.headers) == (
        1, b"u1", b"{not json", (("h", b"v"),),
    )  # fmt: skip
    assert letter.reject.reason is RejectReason.MALFORMED_JSON
    assert effects.events == {"click": 2}


@pytest.mark.parametrize("key", [None, b"", b"somebody else", b"\xff"])
def test_a_click_under_a_foreign_key_is_forwarded_and_not_folded(key: bytes | None) -> None:
    world = World()
    record = a_click(0, "u1", "i1")._replace(key=key)
    effects = world.run([record], SentPositions(0))
    assert effects.rekeyed == [Rekeyed(b"u1", b"u1", record.value, record.headers, record)]
    assert world.windows == {}
    assert not effects.changed


def test_a_forwarded_click_is_folded_whatever_its_key() -> None:
    windows = DictTable()
    record = a_click(0, "u1", "i1")._replace(key=None)
    ClickPipeline(CONFIG).process([record], windows, SentPositions(1), rekey=False)
    assert len(windows["u1"]) == 1


@given(CLICK_STREAMS)
def test_the_graph_is_the_same_whoever_clicked(records: list[FakeRecord]) -> None:
    """Under other names the same clicks leave the same bytes: nothing in them tells a user."""

    def renamed(record: FakeRecord) -> FakeRecord:
        body = json.loads(record.value or b"")
        user = {"u1": "zebediah", "u2": "u1", "u3": "ü" * 40}[body["user_id"]]
        value = json.dumps(body | {"user_id": user}).encode()
        return record._replace(key=user.encode(), value=value)

    one, other = World(), World()
    one.run(records, SentPositions(0))
    other.run([renamed(record) for record in records], SentPositions(0))

    def graph(world: World) -> dict[str, bytes]:
        return {key: blob for key, blob in world.blobs().items() if key.startswith("item")}

    assert graph(other) == graph(one)
    assert not any(b"zebediah" in blob for blob in graph(other).values())


@given(CLICK_STREAMS, st.data())
def test_an_erased_user_leaves_the_graph_as_it_was_and_no_window(
    records: list[FakeRecord], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(records)))
    world = World(LIMITED)
    sent = SentPositions(0)
    world.run(records, sent)
    before = {key: blob for key, blob in world.blobs().items() if key != "user u1"}
    world.run([FakeRecord(len(records), NOW_MS, b"u1", None)], sent)
    assert world.blobs() == before
    # The whole topic read again by new state: the same user is gone at its end, wherever the
    # requests stand.
    again = World(LIMITED)
    shifted = [
        record._replace(offset=record.offset + (n >= at)) for n, record in enumerate(records)
    ]
    request = FakeRecord(at, NOW_MS, b"u1", None)
    last = FakeRecord(len(records) + 1, NOW_MS, b"u1", None)
    again.run([*shifted[:at], request, *shifted[at:], last], SentPositions(0))
    assert "u1" not in again.windows
    assert set(again.windows) == {key.removeprefix("user ") for key in before if "user" in key}


def test_a_null_value_erases_the_window_and_a_later_click_starts_anew() -> None:
    world = World()
    erasure = FakeRecord(2, NOW_MS, b"u1", None)
    records = [a_click(0, "u1", "i1"), a_click(1, "u1", "i2"), erasure, a_click(3, "u1", "i3")]
    effects = world.run(records, SentPositions(0))
    assert effects.erased == {"u1": 2}
    window: Window = world.windows["u1"]
    assert len(window) == 1
    assert effects.changed["u1"].offset == 3


def test_a_list_is_asked_for_with_the_trace_of_its_newest_click_only() -> None:
    parents = [f"00-{n:032x}-{n:016x}-01".encode() for n in (1, 2)]
    records = [
        a_click(n, "ann", "lamp")._replace(headers=(("traceparent", parent),))
        for n, parent in enumerate(parents)
    ]
    changed = World().run(records, SentPositions(0)).changed
    assert changed["ann"].trace == (("traceparent", parents[1]),)
    records.append(a_click(2, "ann", "desk"))
    assert World().run(records, SentPositions(0)).changed["ann"].trace == ()


def test_an_erased_user_without_a_later_click_gets_no_list() -> None:
    world = World()
    effects = world.run(
        [a_click(0, "u1", "i1"), FakeRecord(1, NOW_MS, b"u1", None)], SentPositions(0)
    )
    assert effects.changed == {}
    assert world.windows == {}


@pytest.mark.parametrize("key", [None, b"", b"\xff\xfe", b"x" * 300])
def test_an_erasure_without_a_usable_user_id_is_a_dead_letter(key: bytes | None) -> None:
    effects = World().run([FakeRecord(0, NOW_MS, key, None)], SentPositions(0))
    assert [letter.reject.reason for letter in effects.dead_letters] == [RejectReason.BAD_ID]
    assert effects.erased == {}


def test_a_repeated_event_id_is_counted_and_changes_no_graph() -> None:
    world = World()
    first = [a_click(0, "u1", "i1", event_id="a"), a_click(1, "u1", "i2", event_id="b")]
    world.run(first, SentPositions(0))
    before = world.blobs()
    effects = world.run([a_click(2, "u1", "i2", event_id="b")], SentPositions(0))
    assert effects.duplicates == 1
    assert not effects.transitions
    after = world.blobs()
    assert {k: v for k, v in before.items() if k.startswith("item")} == {
        k: v for k, v in after.items() if k.startswith("item")
    }


def test_a_click_older_than_the_users_newest_is_used_and_counted_late() -> None:
    world = World()
    records = [a_click(5, "u1", "i1"), a_click(6, "u1", "i2", timestamp=NOW_MS)]
    effects = world.run(records, SentPositions(0))
    assert effects.late == 1
    assert effects.events == {"click": 2}


def test_a_dislike_asks_for_a_new_list_but_links_nothing() -> None:
    world = World()
    effects = world.run(
        [a_click(0, "u1", "i1"), a_click(1, "u1", "i2", event_type="dislike")], SentPositions(0)
    )
    assert effects.changed["u1"].offset == 1
    assert all(list(batch.offsets) == [0] for batch in effects.transitions.values())
    assert effects.trials == [("u1", "i1")]


def test_damaged_transition_records_are_counted_and_skipped() -> None:
    graph: dict[str, ItemState] = DictTable()
    records = [FakeRecord(0, NOW_MS, None, b"rubbish"), FakeRecord(1, NOW_MS, None, None)]
    effects = GraphPipeline(CONFIG).process(records, graph, ReceivedPositions())  # type: ignore[arg-type]
    assert effects.damaged == 2
    assert graph == {}


def test_transitions_of_another_version_end_the_fold_and_foreign_bytes_are_passed_over() -> None:
    world = World()
    number, batch = next(
        iter(world.run([a_click(0, "u1", "i1")], SentPositions(0), lose=True).transitions.items())
    )
    blob = encode_transitions(batch)
    other_version = frame(BATCH_FORMAT + 1, blob[HEADER_BYTES:])
    foreign = bytes([BATCH_FORMAT + 1]) + b"no frame of ours"

    def fold(value: bytes) -> int:
        record = FakeRecord(0, NOW_MS, None, value)
        pipeline = GraphPipeline(CONFIG)
        return pipeline.process([record], world.graph[number], ReceivedPositions()).damaged

    assert (fold(blob), fold(foreign), fold(blob[:-1])) == (0, 1, 1)
    with pytest.raises(FormatError, match=f"this version reads format {BATCH_FORMAT}"):
        fold(other_version)
