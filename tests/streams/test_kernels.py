"""The kernels, in Python and compiled: one meaning, the same bits."""

import copy
import importlib
import math
import os
from array import array
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.edges import EDGE_REBASE_HALF_LIVES, TypeEdges
from streams.event_types import EventType, EventTypes
from streams.graph import following_clicks
from streams.kernels import COMPILED, pure
from streams.kernels.pure import FollowingClicks
from streams.popularity import Popularity, add
from streams.transitions import ToldClick, TransitionBatch

compiled: ModuleType = importlib.import_module("streams.kernels.compiled") if COMPILED else pure

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


def test_the_compiled_kernels_are_there_where_everything_is_to_be_tested() -> None:
    if os.environ.get("FRESHREC_REQUIRE_KAFKA") == "1":
        assert COMPILED, "install a C compiler and Python's headers, then: make install"
    elif not COMPILED:
        pytest.skip("the kernels were not compiled: install a C compiler and run make install")


def test_the_environment_can_ask_for_the_kernels_in_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import streams.kernels as kernels

    monkeypatch.setenv("FRESHREC_PURE_PYTHON", "1")
    try:
        assert importlib.reload(kernels).COMPILED is False
        assert kernels.add_links is pure.add_links
    finally:
        monkeypatch.undo()
        assert importlib.reload(kernels).COMPILED is COMPILED


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
    powers, mantissas = pure.decay_terms(*columns)
    assert compiled.decay_terms(*columns) == (powers, mantissas)
    for kind, power, mantissa in zip(order, powers, mantissas, strict=True):
        time_ms, weight, half_life_ms = rows[kind]
        if weight:
            age = math.log2(mantissa / weight) + power
            assert age == pytest.approx(time_ms / half_life_ms, rel=1e-9, abs=1e-9)


def following(rows: list[tuple[int, str, str]], links: list[tuple[int, int]]) -> FollowingClicks:
    """Clicks and links, as (row, distance), from one item to them."""
    told = [
        ToldClick(
            offset,
            time_ms,
            item,
            kind,
            owned=any(link == (offset, 0) for link in links),
            before=[("this", distance) for row, distance in links if row == offset and distance],
        )
        for offset, (time_ms, item, kind) in enumerate(rows)
    ]
    clicks = following_clicks(TransitionBatch.of(0, told), TYPES)
    rows_of_links = array("q", [row for row, _ in links])
    distances = array("q", [distance for _, distance in links])
    return clicks._replace(rows=rows_of_links, distances=distances)


def forgetting(groups: dict[str, TypeEdges], max_edges: int) -> int:
    """Forgets the oldest edge of every type, and types that have none left."""
    for event_type, edges in list(groups.items()):
        pure.keep_edges(edges, [place > 0 for place in range(len(edges))])
        if not len(edges):
            del groups[event_type]
    return max_edges


def opening(groups: dict[str, TypeEdges], clicks: FollowingClicks, row: int) -> TypeEdges:
    """As the graph's fold does it, for half-lives that change."""
    kind = clicks.kinds[row]
    edges = groups.setdefault(
        clicks.event_types[kind], TypeEdges(clicks.powers[row], clicks.half_lives_ms[kind])
    )
    edges.half_life_ms = clicks.half_lives_ms[kind]
    shift = clicks.powers[row] - edges.base
    if shift > EDGE_REBASE_HALF_LIVES:
        edges.rebase(shift)
    return edges


def added(
    kernels: ModuleType, clicks: FollowingClicks, cuts: list[int], max_edges: int
) -> tuple[dict[str, TypeEdges], list[tuple[int, int]]]:
    """All links, cut into parts; the edges, and what each call returned."""
    groups: dict[str, TypeEdges] = {}
    returned = [
        kernels.add_links(
            groups,
            clicks,
            first,
            end,
            max_edges,
            EDGE_REBASE_HALF_LIVES,
            opening,
            forgetting,
        )
        for first, end in zip([0, *cuts], [*cuts, len(clicks.rows)], strict=True)
    ]
    return groups, returned


LINKS = st.lists(st.tuples(st.integers(0, 39), st.integers(0, 5)), max_size=60, unique=True)


@given(CLICKS, LINKS, st.integers(0, 9), st.data())
def test_edges_are_the_same_bits_however_links_are_cut(
    rows: list[tuple[int, str, str]],
    links: list[tuple[int, int]],
    max_edges: int,
    data: st.DataObject,
) -> None:
    links = sorted((row % len(rows), distance) for row, distance in links)
    clicks = following(rows, links)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(links)), max_size=3)))
    in_python, returned = added(pure, clicks, cuts, max_edges)
    assert added(compiled, clicks, cuts, max_edges) == (in_python, returned)
    assert sum(visits for visits, _ in returned) == sum(not distance for _, distance in links)
    whole, at_once = added(pure, clicks, [], max_edges)
    assert whole == in_python
    assert at_once == [tuple(map(sum, zip(*returned, strict=True)))]


@given(
    CLICKS,
    LINKS,
    st.floats(1.0, 1e12),
    st.floats(1.0, 1e12),
    st.sampled_from([None, (1e9, 1e8), "same"]),
)
def test_popularity_is_the_same_bits(
    rows: list[tuple[int, str, str]],
    links: list[tuple[int, int]],
    long_ms: float,
    short_ms: float,
    before: tuple[float, float] | str | None,
) -> None:
    links = sorted((row % len(rows), distance) for row, distance in links)
    clicks = following(rows, links)
    known = Popularity()
    if before is not None:
        halves = (long_ms, short_ms) if isinstance(before, str) else before
        add(known, 2.0, rows[0][0], *halves)
    in_python, again = copy.copy(known), copy.copy(known)
    pure.count_visits(in_python, clicks, 0, len(links), long_ms, short_ms)
    compiled.count_visits(again, clicks, 0, len(links), long_ms, short_ms)
    assert repr(again) == repr(in_python)
    for row, distance in links:
        weight = TYPES.weight(rows[row][2])
        if not distance and weight:
            add(known, weight, rows[row][0], long_ms, short_ms)
    assert repr(in_python) == repr(known)


@given(CLICKS, st.integers(1, 8), st.data())
def test_the_same_edges_are_kept(
    rows: list[tuple[int, str, str]], kept: int, data: st.DataObject
) -> None:
    rows = [(time_ms // 10**12 * 10**12, item, "click") for time_ms, item, _ in rows]  # with ties
    clicks = following(rows, [(row, 1) for row in range(len(rows))])
    edges = added(pure, clicks, [], 100)[0]["click"]
    wanted = data.draw(st.lists(st.booleans(), min_size=len(edges), max_size=len(edges)))
    others = copy.deepcopy(edges)
    pure.keep_edges(others, wanted)
    again = copy.deepcopy(edges)
    compiled.keep_edges(again, wanted)
    assert again == others
    assert list(again) == [item for item, stays in zip(edges, wanted, strict=True) if stays]
    if kept < len(edges):
        strongest, others = copy.deepcopy(edges), copy.deepcopy(edges)
        pure.keep_strongest(strongest, kept)
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
        {"rows": array("q", [1])},
        {"rows": array("q", [-1])},
        {"kinds": array("q", [1])},
        {"items": array("q", [5])},
        {"distances": array("q")},
        {"mantissas": array("d")},
        {"powers": array("d", [1.0])},
        {"half_lives_ms": array("d")},
    ],
)
def test_links_to_what_is_not_there_are_not_read(change: dict[str, Any]) -> None:
    clicks = following([(1_000, "i1", "click")], [(0, 1)])._replace(**change)
    with pytest.raises((ValueError, IndexError)):
        compiled.add_links({}, clicks, 0, 1, 9, 64, opening, forgetting)
    for first, end in ((0, 2), (-1, 1), (1, 0)):
        with pytest.raises((ValueError, IndexError)):
            compiled.count_visits(Popularity(), clicks, first, end, 1.0, 1.0)
