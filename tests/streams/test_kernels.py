"""The kernels, in Python and compiled: one meaning, the same bits."""

import copy
import math
from array import array
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.edges import EDGE_REBASE_HALF_LIVES, TypeEdges
from streams.event_types import EventType, EventTypes
from streams.graph import ItemState, following_clicks, new_item_state
from streams.kernels import COMPILED, pure_folds, pure_forgetting
from streams.kernels.pure_folds import Bounds, FollowingClicks
from streams.popularity import add
from streams.transitions import ToldClick, TransitionBatch
from tests.streams.kernel_modules import kernels_of

compiled = kernels_of("compiled" if COMPILED else "pure", "forgetting", "folds")

TYPES = EventTypes(
    [
        EventType("click", weight=1.0, half_life_seconds=3_600.0, polarity=1),
        EventType("purchase", weight=3.0, half_life_seconds=86_400.0, polarity=1),
        EventType("view", weight=0.0, half_life_seconds=60.0, polarity=1),
    ]
)
ITEMS = st.sampled_from([f"i{number}" for number in range(9)])
TIMES_MS = st.integers(-10_000_000_000, 10_000_000_000) | st.integers(0, 253_402_300_799_999)
CLICKS = st.lists(
    st.tuples(TIMES_MS, ITEMS, st.sampled_from(["click", "click", "purchase", "view"])),
    min_size=1,
    max_size=40,
)


@given(
    st.lists(
        st.tuples(TIMES_MS, st.just(0.0) | st.floats(1e-3, 1e6), st.floats(1.0, 1e12)),
        max_size=30,
    ),
    st.data(),
)
def test_powers_and_mantissas_are_the_same_bits(
    rows: list[tuple[int, float, float]], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(rows))))
    columns = (
        array("q", [rows[kind][0] for kind in order]),
        array("q", order),
        array("d", [row[1] for row in rows]),
        array("d", [row[2] for row in rows]),
    )
    powers, mantissas = pure_folds.decay_terms(*columns)
    assert compiled.decay_terms(*columns) == (powers, mantissas)
    for kind, power, mantissa in zip(order, powers, mantissas, strict=True):
        time_ms, weight, half_life_ms = rows[kind]
        if weight:
            age = math.log2(mantissa / weight) + power
            assert age == pytest.approx(time_ms / half_life_ms, rel=1e-9, abs=1e-9)


def following(rows: list[tuple[int, str, str]], links: list[tuple[int, int]]) -> TransitionBatch:
    """What a partition that owns two items is told: links, as (row, distance), of one after the
    other.
    """
    told = [
        ToldClick(offset, time_ms, item, kind, owned=False, before=[])
        for offset, (time_ms, item, kind) in enumerate(rows)
    ]
    batch = TransitionBatch.of(0, told)
    half = len(links) // 2
    ordered = sorted(links[:half]) + sorted(links[half:])
    columns = batch.columns._replace(
        ends=array("q", [half, len(links)]),
        rows=array("q", [row for row, _ in ordered]),
        distances=array("q", [distance for _, distance in ordered]),
    )
    columns = columns._replace(items=array("q", [2 + item for item in columns.items]))
    item_ids = ["this", "that", *batch.item_ids]
    return msgspec.structs.replace(batch, item_ids=item_ids, columns=columns)


def forgetting(groups: dict[str, TypeEdges], max_edges: int) -> int:
    """Forgets the oldest edge of every type, and types that have none left."""
    for event_type, edges in list(groups.items()):
        pure_forgetting.keep_edges(edges, [place > 0 for place in range(len(edges))])
        if not len(edges):
            del groups[event_type]
    return max_edges


def opening(groups: dict[str, TypeEdges], clicks: FollowingClicks, row: int) -> TypeEdges:
    """As the graph does it, but that a new half-life leaves weights as they are."""
    kind = clicks.kinds[row]
    edges = groups.setdefault(
        clicks.event_types[kind], TypeEdges(clicks.powers[row], clicks.half_lives_ms[kind])
    )
    edges.half_life_ms = clicks.half_lives_ms[kind]
    shift = clicks.powers[row] - edges.base
    if shift > EDGE_REBASE_HALF_LIVES:
        edges.rebase(shift)
    return edges


def folded(
    kernels: Any,
    clicks: FollowingClicks,
    ends: "array[int]",
    states: dict[str, ItemState],
    bounds: Bounds,
) -> tuple[int, int, int]:
    table = (states.get, states.__setitem__, new_item_state)
    result: tuple[int, int, int] = kernels.fold_items(
        clicks, ends, 0, table, bounds, opening, forgetting
    )
    return result


LINKS = st.lists(st.tuples(st.integers(0, 39), st.integers(0, 5)), max_size=60, unique=True)
HALF_LIVES_MS = st.floats(1.0, 1e12)


@given(CLICKS, LINKS, st.integers(0, 9), HALF_LIVES_MS, HALF_LIVES_MS, st.data())
def test_items_are_the_same_bits(
    rows: list[tuple[int, str, str]],
    links: list[tuple[int, int]],
    max_edges: int,
    long_ms: float,
    short_ms: float,
    data: st.DataObject,
) -> None:
    links = list(dict.fromkeys((row % len(rows), distance) for row, distance in links))
    batch = following(rows, links)
    clicks = following_clicks(batch, TYPES)
    bounds = Bounds(max_edges, EDGE_REBASE_HALF_LIVES, long_ms, short_ms)
    known = new_item_state()
    applied = known.watermarks[0] = data.draw(st.integers(-1, len(rows)))
    half_lives = data.draw(st.sampled_from([(long_ms, short_ms), (1e9, 1e8)]))
    if data.draw(st.booleans()):
        add(known.popularity, 2.0, rows[0][0], *half_lives)
    expected = copy.deepcopy(known.popularity)
    in_python, again = {"this": copy.deepcopy(known)}, {"this": known}
    told = folded(pure_folds, clicks, batch.columns.ends, in_python, bounds)
    assert folded(compiled, clicks, batch.columns.ends, again, bounds) == told
    assert again == in_python
    assert list(again) == list(in_python) == ["this", "that"]
    assert repr(again["this"].popularity) == repr(in_python["this"].popularity)
    replayed = 0
    for place in range(batch.columns.ends[0]):
        row, distance = batch.columns.rows[place], batch.columns.distances[place]
        weight = TYPES.weight(rows[row][2])
        if row <= applied:
            replayed += 1
        elif not distance and weight:
            add(expected, weight, rows[row][0], long_ms, short_ms)
    assert repr(expected) == repr(in_python["this"].popularity)
    assert told[1] == replayed


@given(CLICKS, st.integers(1, 8), st.data())
def test_the_same_edges_are_kept(
    rows: list[tuple[int, str, str]], kept: int, data: st.DataObject
) -> None:
    rows = [(time_ms // 10**12 * 10**12, item, "click") for time_ms, item, _ in rows]  # with ties
    states: dict[str, ItemState] = {}
    batch = following(rows, [(row, 1) for row in range(len(rows))] * 2)
    bounds = Bounds(100, EDGE_REBASE_HALF_LIVES, 1.0, 1.0)
    folded(pure_folds, following_clicks(batch, TYPES), batch.columns.ends, states, bounds)
    edges = states["this"].edges["click"]
    wanted = data.draw(st.lists(st.booleans(), min_size=len(edges), max_size=len(edges)))
    others = copy.deepcopy(edges)
    pure_forgetting.keep_edges(others, wanted)
    again = copy.deepcopy(edges)
    compiled.keep_edges(again, wanted)
    assert again == others
    assert list(again) == [item for item, stays in zip(edges, wanted, strict=True) if stays]
    if kept < len(edges):
        strongest, others = copy.deepcopy(edges), copy.deepcopy(edges)
        pure_forgetting.keep_strongest(strongest, kept)
        compiled.keep_strongest(others, kept)
        assert others == strongest
        assert len(others) == kept
        assert others.slots == {item: slot for slot, item in enumerate(others)}
        assert min(others.weights) >= max(
            (edges[item].weight for item in edges if item not in others), default=0.0
        )


@pytest.mark.skipif(not COMPILED, reason="the kernels were not compiled")
def test_columns_that_do_not_fit_together_are_refused_and_not_read_beyond() -> None:
    one, two, weight = array("q", [0]), array("q", [0, 0]), array("d", [1.0])
    with pytest.raises(ValueError, match="unequal length"):
        compiled.decay_terms(two, one, weight, weight)
    with pytest.raises(ValueError, match="another type"):
        compiled.decay_terms(one, one, one, weight)
    with pytest.raises(IndexError, match="event type"):
        compiled.decay_terms(one, array("q", [1]), weight, weight)
    with pytest.raises(ValueError, match="unequal length"):
        compiled.keep_edges(TypeEdges(0, 1.0), [True])
    with pytest.raises(ValueError, match="nothing to forget"):
        compiled.keep_strongest(TypeEdges(0, 1.0), 1)


@pytest.mark.skipif(not COMPILED, reason="the kernels were not compiled")
@pytest.mark.parametrize(
    "change",
    [
        {"rows": array("q", [0, 1])},
        {"rows": array("q", [0, -1])},
        {"kinds": array("q", [1])},
        {"items": array("q", [5])},
        {"distances": array("q")},
        {"mantissas": array("d")},
        {"offsets": array("q")},
        {"powers": array("d", [1.0])},
        {"half_lives_ms": array("d")},
    ],
)
def test_links_to_what_is_not_there_are_not_read(change: dict[str, Any]) -> None:
    batch = following([(1_000, "i1", "click")], [(0, 1), (0, 1)])
    clicks = following_clicks(batch, TYPES)
    bounds = Bounds(9, 64, 1.0, 1.0)
    assert folded(compiled, clicks, array("q", [1, 2]), {}, bounds) == (2, 0, 0)
    with pytest.raises((ValueError, IndexError)):
        folded(compiled, clicks._replace(**change), array("q", [1, 2]), {}, bounds)
    for ends in ([3], [-1], [1, 0], [0, 1, 2, 2]):
        with pytest.raises(IndexError):
            folded(compiled, clicks, array("q", ends), {}, bounds)
