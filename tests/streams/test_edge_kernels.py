"""Edges from stored items to the columns of a batch, in NumPy and compiled: the same bits."""

import itertools
from array import array
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import HEADER_BYTES, CodecError, frame
from streams.edges import TypeEdges
from streams.graph import (
    HEAD_BYTES,
    ITEM_FORMAT,
    decode_edges,
    decode_item_state,
    encode_item,
    new_item_state,
)
from streams.item_index import ItemIndex
from streams.kernels import COMPILED, pure_edges
from streams.kernels.pure_edges import ITEM_BITS, Segment, pack_edges, unpack_edges

if COMPILED:
    from streams.kernels import compiled_edges

KERNELS = [pure_edges, *([compiled_edges] if COMPILED else [])]
BOTH = pytest.mark.parametrize("kernels", KERNELS, ids=["numpy", "compiled"][: 1 + COMPILED])
needs_compiled = pytest.mark.skipif(not COMPILED, reason="the kernels were not compiled")
SEEDS = st.integers(0, 1 << 32)
NAMES = st.lists(st.text(max_size=40) | st.text("xé", min_size=250, max_size=300), unique=True)
TYPES = st.lists(st.text(max_size=20), unique=True, max_size=3)
START = HEADER_BYTES + HEAD_BYTES


def stored_item(names: list[str], types: list[str], watermark: int = 5) -> bytes:
    """An item with edges to some items by each of some event types."""
    state = new_item_state()
    state.watermarks = {watermark: watermark, 3: -1}
    for number, event_type in enumerate(types):
        group = state.edges[event_type] = TypeEdges(-number * 70_000, 0.5 + number)
        for place, name in enumerate(names):
            group.slots[name] = place
            group.weights.append(place / 3)
            group.last_seconds.append(1_769_860_800 - place**9)  # of every width
            group.counts.append((1 << 40) * place)
    return encode_item(state)


def packed_by_hand(blob: bytes, wanted: list[str], ids: ItemIndex) -> bytes:
    """What is to be read of an item, from its whole state."""
    return pack_edges(
        [
            Segment(
                group.base,
                group.half_life_ms,
                ids.index_all(list(group.slots)),
                np.array(group.weights),
                1000 * np.array(group.last_seconds),
            )
            for event_type, group in decode_item_state(blob).edges.items()
            if event_type in wanted
        ]
    )


def same_edges(one: bytes, other: bytes) -> None:
    assert bool(one) is bool(other)
    if one:
        for left, right in zip(unpack_edges(one), unpack_edges(other), strict=True):
            assert left.tobytes() == right.tobytes()


@given(NAMES, TYPES, st.integers(0, 1 << 62), st.data())
def test_edges_of_wanted_types_are_those_of_the_state(
    names: list[str], types: list[str], watermark: int, data: st.DataObject
) -> None:
    blob, ids = stored_item(names, types, watermark), ItemIndex()
    wanted = [*data.draw(st.lists(st.sampled_from(types))), "another"] if types else []
    same_edges(decode_edges(blob, wanted, ids.index_all), packed_by_hand(blob, wanted, ids))
    if COMPILED:  # and it was not left to Python
        assert compiled_edges.read_edges(blob, START, wanted, ids.index_all, None) is not None


@needs_compiled
@given(
    NAMES,
    TYPES,
    st.dictionaries(st.integers(0, 1 << 40), st.integers(-1, 1 << 63), max_size=20),
    st.lists(st.integers(-(1 << 62), 1 << 62) | st.integers(-200, 200), min_size=3, max_size=3),
)
def test_an_item_is_stored_in_the_same_bytes(
    names: list[str], types: list[str], watermarks: dict[int, int], bases: list[int]
) -> None:
    state = decode_item_state(stored_item(names, types))
    state.watermarks = {source: min(offset, (1 << 63) - 1) for source, offset in watermarks.items()}
    for group, base in zip(state.edges.values(), bases, strict=False):
        group.base = base
    stored = encode_item(state)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.graph.encode_edges", lambda *_: None)
        assert encode_item(state) == stored
    assert decode_item_state(stored) == state


@needs_compiled
@given(st.lists(NAMES | st.lists(st.booleans(), min_size=1), min_size=1, max_size=8))
def test_an_item_that_is_stored_again_and_again_is_stored_as_for_the_first_time(
    steps: list[list[Any]],
) -> None:
    """A step adds edges, or forgets some: True stays."""
    state = decode_item_state(stored_item(["a", "b"], ["click"]))
    edges = state.edges["click"]
    for step in steps:
        if step and isinstance(step[0], bool):
            edges.keep((step * len(edges))[: len(edges)])
        for name in step:
            if isinstance(name, str) and name not in edges:
                edges.slots[name] = len(edges)
                edges.weights.append(1.0)
                edges.last_seconds.append(0)
                edges.counts.append(1)
        stored = encode_item(state)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("streams.graph.encode_edges", lambda *_: None)
            assert encode_item(state) == stored


@needs_compiled
def test_columns_that_do_not_fit_together_are_not_stored() -> None:
    state = decode_item_state(stored_item(["a", "b"], ["click"]))
    state.edges["click"].weights.pop()
    with pytest.raises(ValueError, match="unequal"):
        encode_item(state)
    state.edges["click"].weights = array("d", [1.0, 2.0])
    with pytest.raises(ValueError, match="another type"):
        encode_item(state)


@given(st.lists(st.tuples(NAMES, TYPES), min_size=2, max_size=4))
def test_what_an_item_was_before_changes_nothing_of_what_is_read(
    states: list[tuple[list[str], list[str]]],
) -> None:
    ids = ItemIndex()
    before: tuple[bytes, bytes] | None = None
    names: list[str] = []
    for more, types in states:
        # Edges grow at their end, and once in a while many are forgotten.
        names = [*names, *(name for name in more if name not in names)][len(types) // 3 :]
        blob = stored_item(names, types)
        packed = decode_edges(blob, types, ids.index_all, before)
        same_edges(packed, packed_by_hand(blob, types, ids))
        before = (blob, packed)


@needs_compiled
def test_only_destinations_that_an_item_did_not_have_before_are_looked_up() -> None:
    ids, asked = ItemIndex(), []

    def index_all(names: list[str]) -> list[int]:
        asked.append(names)
        return ids.index_all(names)

    names = [f"d{number}" for number in range(15)]
    blob = stored_item(names, ["click", "view"])
    before = (blob, decode_edges(blob, ["click", "view"], index_all))
    assert asked == [names, names]
    asked.clear()
    # The head of the names takes more bytes from 16 on.
    decode_edges(stored_item([*names, "new"], ["view"]), ["view"], index_all, before)
    assert asked == [["new"]]
    asked.clear()
    decode_edges(stored_item(names[1:], ["view"]), ["view"], index_all, before)
    assert asked == [names[1:]]


@needs_compiled
@given(NAMES, st.data())
def test_what_is_not_stored_like_that_is_read_otherwise(
    names: list[str], data: st.DataObject
) -> None:
    types = ["click", "view"]
    blob = stored_item(names, types)

    def read(changed: bytes) -> bytes | None:
        found = compiled_edges.read_edges(changed, START, types, ItemIndex().index_all, None)
        assert found is None or isinstance(found, bytes)
        return found

    cut = data.draw(st.integers(0, len(blob) - 1))
    assert read(blob[:cut]) is None
    assert read(blob + b"\0") is None
    # Whatever stands there, nothing is read beyond the end.
    changed = bytearray(blob)
    changed[data.draw(st.integers(START, len(blob) - 1))] = data.draw(st.integers(0, 255))
    if packed := read(bytes(changed)):
        assert len(unpack_edges(packed).weights) <= len(blob)


def test_edges_of_very_many_types_are_read_too() -> None:
    types, ids = [f"type{number}" for number in range(100)], ItemIndex()
    blob = stored_item(["a", "b"], types)
    packed = decode_edges(blob, types, ids.index_all)
    assert len(unpack_edges(packed).segments) == 100
    same_edges(packed, packed_by_hand(blob, types, ids))


def test_destinations_that_are_no_text_are_damage() -> None:
    blob = stored_item(["ab", "cd"], ["click"])
    damaged = frame(ITEM_FORMAT, blob[HEADER_BYTES:].replace(b"\xa2cd", b"\xa2c\xff"))
    with pytest.raises(CodecError, match="rebuild this state"):
        decode_edges(damaged, ["click"], ItemIndex().index_all)


def random_edges(random: np.random.Generator) -> bytes:
    """Edges of one item, in one to four segments."""
    segments = []
    for _ in range(random.integers(1, 5)):
        size = int(random.integers(1, 9))
        segments.append(
            Segment(
                int(random.integers(0, 4_000)),
                10.0 ** random.uniform(3, 11),
                random.integers(0, 1 << 20, size).tolist(),
                random.random(size) + 0.01,
                random.integers(0, 1 << 41, size),
            )
        )
    return pack_edges(segments)


@needs_compiled
@given(SEEDS)
def test_edges_are_joined_to_the_same_bits(seed: int) -> None:
    random = np.random.default_rng(seed)
    users, count = int(random.integers(1, 6)), int(random.integers(1, 20))
    pairs = [random_edges(random) for _ in range(count)]
    rows = np.sort(random.integers(0, users, count))
    now_ms = random.integers(0, 1 << 41, users).astype(float)
    importance = random.random(count) + 0.01
    found: list[Any] = [
        kernels.join_edges(pairs, rows, now_ms, importance)
        for kernels in (pure_edges, compiled_edges)
    ]
    for one, other in zip(*found, strict=True):
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()


@BOTH
def test_a_pair_contributes_what_it_is_worth_to_its_user(kernels: Any) -> None:
    random = np.random.default_rng(3)
    pairs = [random_edges(random) for _ in range(6)]
    rows = np.array([0, 0, 1, 1, 1, 4])
    importance = np.array([0.7, 0.3, 0.5, 0.25, 0.25, 1.0])
    now_ms = np.full(5, 1e12)
    keys, contributions, last_ms, start = kernels.join_edges(pairs, rows, now_ms, importance)
    ends = [*start[1:].tolist(), len(keys)]
    for pair, (begin, end) in enumerate(zip(start.tolist(), ends, strict=True)):
        edges = unpack_edges(pairs[pair])
        assert contributions[begin:end].sum() == pytest.approx(importance[pair])
        assert (keys[begin:end] >> ITEM_BITS == rows[pair]).all()
        assert (keys[begin:end] & ((1 << ITEM_BITS) - 1) == edges.destinations).all()
        assert (last_ms[begin:end] == edges.last_ms).all()


@needs_compiled
def test_what_is_no_packed_edges_is_refused() -> None:
    random = np.random.default_rng(5)
    good = random_edges(random)
    one = np.zeros(1, np.int64), np.zeros(1), np.ones(1)
    for cut in itertools.chain(range(0, len(good), 7), [len(good) - 1]):
        with pytest.raises(ValueError, match="no packed edges"):
            compiled_edges.join_edges([good[:cut]], *one)
    with pytest.raises(ValueError, match="unequal"):
        compiled_edges.join_edges([good, good], *one)
    with pytest.raises(IndexError, match="nobody"):
        compiled_edges.join_edges([good], np.ones(1, np.int64), *one[1:])
