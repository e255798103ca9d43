"""Pipelines: what a batch of records does to state, and what it asks the shell to do."""

import json
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.event_types import EventTypes
from streams.events import ClickLimits, RejectReason
from streams.graph import GraphConfig, ItemState, encode_item
from streams.graph_pipeline import GraphPipeline
from streams.pipeline import ClickEffects, ClickPipeline, PipelineConfig, Rekeyed
from streams.pseudonym import Pseudonyms
from streams.snapshot import graph_snapshot
from streams.transitions import (
    ReceivedPositions,
    SentPositions,
    TransitionBatch,
    encode_transitions,
    owner_of,
)
from streams.window import Window, WindowConfig, encode_window

NOW_MS = 1_770_000_000_000
PARTITIONS = 3
TYPES = EventTypes()
CONFIG = PipelineConfig(
    window=WindowConfig(max_events=8, event_types=TYPES),
    graph=GraphConfig(max_neighbours=6, event_types=TYPES),
    limits=ClickLimits(max_age_ms=30 * 86_400_000, event_types=TYPES.names),
    event_types=TYPES,
    partitions=PARTITIONS,
)


LIMITED = msgspec.structs.replace(
    CONFIG,
    window=WindowConfig(
        max_events=8, event_types=TYPES, graph_click_ms=86_400_000 // 4, click_us=3_000_000, burst=3
    ),
)
BOTH = pytest.mark.parametrize("config", [CONFIG, LIMITED], ids=["unlimited", "limited"])


class FakeRecord(NamedTuple):
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class DictTable(dict[str, Any]):
    """A table partition that is only a dictionary."""

    def put(self, key: str, state: Any) -> None:
        self[key] = state

    def delete(self, key: str) -> None:
        self.pop(key, None)


def _click(offset: int, user: str, item: str, **more: Any) -> FakeRecord:
    body = {"user_id": user, "item_id": item, "timestamp": NOW_MS + offset * 1000, **more}
    return FakeRecord(offset, NOW_MS + offset * 1000, user.encode(), json.dumps(body).encode())


class World:
    """Windows and graph of a one-worker deployment, fed through the transitions' bytes."""

    def __init__(self, config: PipelineConfig = CONFIG) -> None:
        self.windows = DictTable()
        self.graph = [DictTable() for _ in range(PARTITIONS)]
        self.received = [ReceivedPositions() for _ in range(PARTITIONS)]
        self._clicks = ClickPipeline(config)
        self._graph = GraphPipeline(config)

    def run(
        self, records: list[FakeRecord], sent: SentPositions, *, lose: bool = False
    ) -> ClickEffects:
        effects = self._clicks.process(records, self.windows, sent, rekey=True)
        for number, batch in effects.transitions.items():
            if not lose:
                self.arrive(number, batch)
        return effects

    def arrive(self, number: int, batch: TransitionBatch) -> None:
        record = FakeRecord(0, NOW_MS, None, encode_transitions(batch))
        self._graph.process([record], self.graph[number], self.received[number])

    def blobs(self) -> dict[str, bytes]:
        """Every state, packed."""
        windows = {f"user {u}": encode_window(w) for u, w in self.windows.items()}
        for number, table in enumerate(self.graph):
            windows |= {f"item {number} {i}": encode_item(s) for i, s in table.items()}
        return windows


streams = st.lists(
    st.tuples(
        st.sampled_from(["u1", "u2", "u3"]),
        st.sampled_from([f"i{n}" for n in range(9)]),
        st.sampled_from(["click", "purchase", "view", "dislike"]),
        st.sampled_from([None, None, "e1", "e2"]),
    ),
    min_size=1,
    max_size=40,
).map(
    lambda rows: [
        _click(n, user, item, event_type=kind, **({"event_id": event} if event else {}))
        for n, (user, item, kind, event) in enumerate(rows)
    ]
)


@BOTH
@given(records=streams, data=st.data())
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
@given(records=streams, data=st.data())
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
@given(records=streams, data=st.data())
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
@given(records=streams)
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
    effects = World().run([_click(n, "u1", f"i{n}") for n in range(4)], SentPositions(0))
    told: dict[str, tuple[int, int]] = {}
    for partition, batch in effects.transitions.items():
        for item, flat in batch.edges.items():
            for row, distance in zip(flat[::2], flat[1::2], strict=True):
                if batch.offsets[row] == 3:
                    told[item] = (distance, partition)
    assert told == {f"i{3 - d}": (d, owner_of(f"i{3 - d}", PARTITIONS)) for d in (1, 2, 3)}
    counted = [
        (partition, batch.items[row])
        for partition, batch in effects.transitions.items()
        for row in batch.owned
    ]
    assert sorted(counted) == sorted((owner_of(f"i{n}", PARTITIONS), f"i{n}") for n in range(4))


def test_a_bad_record_is_handed_back_as_it_came_and_the_rest_goes_on() -> None:
    world = World()
    bad = FakeRecord(1, NOW_MS, b"u1", b"{not json", (("h", b"v"),))
    effects = world.run([_click(0, "u1", "i1"), bad, _click(2, "u1", "i2")], SentPositions(0))
    (letter,) = effects.dead_letters
    assert (letter.offset, letter.key, letter.value, letter.headers) == (
        1, b"u1", b"{not json", (("h", b"v"),),
    )  # fmt: skip
    assert letter.reject.reason is RejectReason.MALFORMED_JSON
    assert effects.events == {"click": 2}


@pytest.mark.parametrize("key", [None, b"", b"somebody else", b"\xff"])
def test_a_click_under_a_foreign_key_is_forwarded_and_not_folded(key: bytes | None) -> None:
    world = World()
    record = _click(0, "u1", "i1")._replace(key=key)
    effects = world.run([record], SentPositions(0))
    assert effects.rekeyed == [Rekeyed(b"u1", b"u1", record.value, record.headers, record)]
    assert world.windows == {}
    assert not effects.changed


def test_a_forwarded_click_is_folded_whatever_its_key() -> None:
    windows = DictTable()
    record = _click(0, "u1", "i1")._replace(key=None)
    ClickPipeline(CONFIG).process([record], windows, SentPositions(1), rekey=False)
    assert len(windows["u1"]) == 1


@given(streams)
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


@given(streams, st.data())
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
    records = [_click(0, "u1", "i1"), _click(1, "u1", "i2"), erasure, _click(3, "u1", "i3")]
    effects = world.run(records, SentPositions(0))
    assert effects.erased == {"u1": 2}
    window: Window = world.windows["u1"]
    assert len(window) == 1
    assert effects.changed["u1"].offset == 3


def test_an_erased_user_without_a_later_click_gets_no_list() -> None:
    world = World()
    effects = world.run(
        [_click(0, "u1", "i1"), FakeRecord(1, NOW_MS, b"u1", None)], SentPositions(0)
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
    first = [_click(0, "u1", "i1", event_id="a"), _click(1, "u1", "i2", event_id="b")]
    world.run(first, SentPositions(0))
    before = world.blobs()
    effects = world.run([_click(2, "u1", "i2", event_id="b")], SentPositions(0))
    assert effects.duplicates == 1
    assert not effects.transitions
    after = world.blobs()
    assert {k: v for k, v in before.items() if k.startswith("item")} == {
        k: v for k, v in after.items() if k.startswith("item")
    }


def test_a_click_older_than_the_users_newest_is_used_and_counted_late() -> None:
    world = World()
    records = [_click(5, "u1", "i1"), _click(6, "u1", "i2", timestamp=NOW_MS)]
    effects = world.run(records, SentPositions(0))
    assert effects.late == 1
    assert effects.events == {"click": 2}


def test_a_dislike_asks_for_a_new_list_but_links_nothing() -> None:
    world = World()
    effects = world.run(
        [_click(0, "u1", "i1"), _click(1, "u1", "i2", event_type="dislike")], SentPositions(0)
    )
    assert effects.changed["u1"].offset == 1
    assert all(batch.offsets == [0] for batch in effects.transitions.values())
    assert effects.trials == [("u1", "i1")]


def test_damaged_transition_records_are_counted_and_skipped() -> None:
    graph: dict[str, ItemState] = DictTable()
    records = [FakeRecord(0, NOW_MS, None, b"rubbish"), FakeRecord(1, NOW_MS, None, None)]
    effects = GraphPipeline(CONFIG).process(records, graph, ReceivedPositions())  # type: ignore[arg-type]
    assert effects.damaged == 2
    assert graph == {}


PSEUDONYMOUS = msgspec.structs.replace(CONFIG, pseudonym_key="k" * 32)


def test_with_a_pseudonym_key_no_effect_and_no_state_holds_a_user_id() -> None:
    pseudonym = Pseudonyms("k" * 32).of("zebediah")
    windows = DictTable()
    records = [
        _click(0, "zebediah", "i1", event_id="zebediah-0", session_id="of-zebediah"),
        _click(1, "zebediah", "i2"),
        _click(2, "zebediah", "i3", properties={"u": "zebediah"},
               place={"lat": 1.0, "lon": 2.0, "of": "zebediah"})
        ._replace(key=b"elsewhere", headers=(("ce_source", b"zebediah"),)),
        FakeRecord(3, NOW_MS, b"zebediah", b'{"user_id": "zebediah"}', (("u", b"zebediah"),)),
        FakeRecord(4, NOW_MS, b"other", None),
    ]  # fmt: skip
    effects = ClickPipeline(PSEUDONYMOUS).process(records, windows, SentPositions(0), rekey=True)
    assert set(windows) == {pseudonym}
    assert set(effects.changed) == {pseudonym}
    assert effects.changed[pseudonym].event_id is None
    assert set(effects.erased) == {Pseudonyms("k" * 32).of("other")}
    (letter,) = effects.dead_letters
    assert (letter.value, letter.headers, letter.offset) == (None, (), 3)
    assert letter.reject.reason is RejectReason.MISSING_FIELD
    (rekeyed,) = effects.rekeyed
    assert (rekeyed.user_key, rekeyed.key) == (b"zebediah", pseudonym.encode())
    for sent in (letter.key, letter.reject.detail.encode(), rekeyed.value, *rekeyed.headers):
        assert sent is not None
        assert b"zebediah" not in sent
    assert b"zebediah" not in encode_window(windows[pseudonym])


def test_a_click_forwarded_under_a_pseudonym_is_the_click_it_was() -> None:
    click = _click(0, "ann", "i1", event_type="purchase", event_id="e", place={"lat": 1, "lon": 2})
    pipeline = ClickPipeline(PSEUDONYMOUS)
    directly, forwarded = DictTable(), DictTable()
    pipeline.process([click], directly, SentPositions(1), rekey=True)
    effects = pipeline.process([click._replace(key=None)], forwarded, SentPositions(0), rekey=True)
    assert not forwarded
    (rekeyed,) = effects.rekeyed
    arrived = FakeRecord(0, click.timestamp, rekeyed.key, rekeyed.value)
    pipeline.process([arrived], forwarded, SentPositions(1), rekey=False)
    assert {u: encode_window(w) for u, w in forwarded.items()} == {
        u: encode_window(w) for u, w in directly.items()
    }


def test_a_forwarded_click_may_hold_anything_in_fields_of_no_use() -> None:
    click = _click(0, "ann", "i1")
    value = click.value[:-1] + b', "price": 1e999}'
    records = [click._replace(key=None, value=value)]
    pipeline = ClickPipeline(PSEUDONYMOUS)
    (rekeyed,) = pipeline.process(records, DictTable(), SentPositions(0), rekey=True).rekeyed
    assert rekeyed.key == Pseudonyms("k" * 32).of("ann").encode()
    assert b"price" not in rekeyed.value


def test_a_forwarded_click_that_is_refused_keeps_its_pseudonym() -> None:
    pseudonym = Pseudonyms("k" * 32).of("ann").encode()
    records = [FakeRecord(0, NOW_MS, pseudonym, b"{}")]
    pipeline = ClickPipeline(PSEUDONYMOUS)
    effects = pipeline.process(records, DictTable(), SentPositions(1), rekey=False)
    assert [letter.key for letter in effects.dead_letters] == [pseudonym]


def _limits(**limits: int) -> PipelineConfig:
    window = WindowConfig(max_events=200, event_types=TYPES, **limits)
    return msgspec.structs.replace(CONFIG, window=window)


def _storm(seconds: float, start: int = 0, user: str = "bot", at_ms: int = 0) -> list[FakeRecord]:
    """A thousand clicks a second on two items in turn."""
    times = (at_ms + NOW_MS + start + n for n in range(round(1000 * seconds)))
    return [
        _click(start + n, user, f"i{n % 2}", timestamp=time)._replace(timestamp=time)
        for n, time in enumerate(times)
    ]


def _weights(world: World) -> tuple[float, float]:
    """Total weight of all edges and of all popularity, at the time of the storm."""
    graph = graph_snapshot(
        [(item, state) for table in world.graph for item, state in table.items()],
        NOW_MS, CONFIG.graph,
    )  # fmt: skip
    edges = sum(weight for _, _, weight in graph.edges(data="weight"))
    return edges, sum(s.popularity.count for table in world.graph for s in table.values())


def test_a_user_beyond_the_rate_is_refused_until_the_bucket_has_filled_again() -> None:
    world = World(_limits(click_us=100_000, burst=20))
    effects = world.run(_storm(1), SentPositions(0))
    assert effects.events == {"click": 29}  # 20 at once and 10 a second
    refused = effects.dead_letters
    assert len(refused) == 971
    assert {letter.reject.reason for letter in refused} == {RejectReason.RATE_LIMITED}
    assert "10 a second, and 20 at once" in refused[0].reject.detail
    later, other = _click(5000, "bot", "i5"), _click(5001, "ann", "i5")
    assert world.run([later, other], SentPositions(0)).events == {"click": 2}


def test_a_replayed_click_that_was_refused_is_refused_again_and_changes_nothing() -> None:
    world = World(_limits(click_us=100_000, burst=20))
    records = _storm(0.15)
    first = world.run(records, SentPositions(0))
    before = world.blobs()
    again = world.run(records, SentPositions(0))
    assert [letter.offset for letter in again.dead_letters] == [
        letter.offset for letter in first.dead_letters
    ]
    assert again.replayed == sum(first.events.values())
    assert world.blobs() == before


def test_one_user_at_a_thousand_clicks_a_second_moves_the_graph_no_further_than_the_bound() -> None:
    a_day, seconds = 500, 20
    world = World(_limits(graph_click_ms=86_400_000 // a_day))
    sent = SentPositions(0)
    first = world.run(_storm(1), sent)
    assert first.screened == 1000 - a_day
    after_one_second = _weights(world)
    for second in range(1, seconds):
        world.run(_storm(1, 1000 * second), sent)
    edges, clicks = _weights(world)
    assert clicks == a_day
    assert edges <= a_day * sum(1 / d for d in range(1, CONFIG.window.predecessors + 1))
    assert (edges, clicks) == after_one_second
    # The user is served all the same, and others are not held up.
    assert len(world.windows["bot"]) == 200
    assert world.run(_storm(0.1, 10**6, "ann"), sent).screened == 0


def test_the_bound_holds_for_days_and_fills_again() -> None:
    a_day = 100
    world = World(_limits(graph_click_ms=86_400_000 // a_day))
    sent = SentPositions(0)
    day = 86_400_000
    for number in range(4):
        world.run(_storm(0.5, 1000 * number, at_ms=number * day), sent)
    assert _weights(world)[1] == a_day * 4
