"""The kernels, in Python and compiled: one meaning, the same bits."""

import copy
import importlib
import math
import os
from collections.abc import Callable
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.click import Click
from streams.edges import EDGE_REBASE_HALF_LIVES, TypeEdges
from streams.event_types import EventType, EventTypes
from streams.graph import FollowingClicks
from streams.kernels import COMPILED, pure
from streams.transitions import TransitionBatch

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
        assert kernels.add_run is pure.add_run
    finally:
        monkeypatch.undo()
        assert importlib.reload(kernels).COMPILED is COMPILED


@given(
    st.lists(
        st.tuples(TIMES_MS, st.just(0.0) | st.floats(1e-3, 1e6), st.floats(1.0, 1e12)),
        max_size=30,
    )
)
def test_powers_and_mantissas_are_the_same_bits(rows: list[tuple[int, float, float]]) -> None:
    columns: tuple[list[int], list[float], list[float]] = (
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
    )
    powers, mantissas = pure.decay_terms(*columns)
    assert compiled.decay_terms(*columns) == (powers, mantissas)
    for (time_ms, weight, half_life_ms), power, mantissa in zip(
        rows, powers, mantissas, strict=True
    ):
        if weight:
            age = math.log2(mantissa / weight) + power
            assert age == pytest.approx(time_ms / half_life_ms, rel=1e-9, abs=1e-9)


Place = tuple[TransitionBatch, list[int], list[int]]


def following(rows: list[tuple[int, str, str]]) -> FollowingClicks:
    times_ms = [row[0] for row in rows]
    items = [row[1] for row in rows]
    types = [row[2] for row in rows]
    return FollowingClicks(list(range(len(rows))), times_ms, items, types, TYPES)


def run_to_the_end(
    add_run: Callable[..., int], clicks: FollowingClicks, followers: list[int], max_edges: int
) -> tuple[dict[str, TypeEdges], list[int]]:
    """As the graph's fold calls it, without forgetting; where each call stopped, too."""
    groups: dict[str, TypeEdges] = {}
    stops = []
    position = 0
    while position < len(followers):
        row = followers[position]
        if not clicks.mantissas[row]:
            position += 2
            continue
        edges = groups.setdefault(
            clicks.event_types[row], TypeEdges(clicks.powers[row], clicks.half_lives_ms[row])
        )
        shift = clicks.powers[row] - edges.base
        if shift > EDGE_REBASE_HALF_LIVES:
            edges.rebase(shift)
        position = add_run(edges, clicks, followers, position, max_edges, EDGE_REBASE_HALF_LIVES)
        stops.append(position)
    return groups, stops


@given(CLICKS, st.data(), st.integers(0, 9))
def test_edges_are_the_same_bits_and_every_run_ends_at_the_same_place(
    rows: list[tuple[int, str, str]], data: st.DataObject, max_edges: int
) -> None:
    clicks = following(rows)
    numbers = sorted(data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=60)))
    followers = [number for row in numbers for number in (row, data.draw(st.integers(1, 5)))]
    in_python = run_to_the_end(pure.add_run, clicks, followers, max_edges)
    assert run_to_the_end(compiled.add_run, clicks, followers, max_edges) == in_python


@given(CLICKS, st.integers(1, 8), st.data())
def test_the_same_edges_are_kept(
    rows: list[tuple[int, str, str]], kept: int, data: st.DataObject
) -> None:
    rows = [(time_ms // 10**12 * 10**12, item, "click") for time_ms, item, _ in rows]  # with ties
    clicks = following(rows)
    followers = [number for row in range(len(rows)) for number in (row, 1)]
    edges = run_to_the_end(pure.add_run, clicks, followers, 100)[0]["click"]
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


@given(
    st.lists(
        st.none()
        | st.tuples(
            ITEMS,
            st.sampled_from(["click", "click", "purchase"]),
            st.none() | st.lists(st.none() | ITEMS, max_size=5),
        ),
        max_size=30,
    )
)
def test_clicks_are_linked_alike(
    rows: list[tuple[str, str, list[str | None] | None] | None],
) -> None:
    offsets = [1_000 + 7 * number for number in range(len(rows))]
    clicks = [
        None if row is None else Click("u", row[0], row[1], 5_000 + number)
        for number, row in enumerate(rows)
    ]
    predecessors = [None if row is None else row[2] for row in rows]

    def linked(link_clicks: Callable[..., None]) -> dict[str, Place]:
        batches = [TransitionBatch.empty(2), TransitionBatch.empty(2)]
        places: dict[str, Place] = {}

        def place_of(item_id: str) -> Place:
            batch = batches[int(item_id[1:]) % 2]
            return batch, batch.offsets, []

        link_clicks(offsets, clicks, predecessors, places, place_of)
        return places

    in_python = linked(pure.link_clicks)
    again = linked(compiled.link_clicks)
    assert again == in_python
    assert list(again) == list(in_python)


@pytest.mark.skipif(not COMPILED, reason="the kernels were not compiled")
def test_columns_that_do_not_fit_together_are_refused_and_not_read_beyond() -> None:
    with pytest.raises(ValueError, match="unequal length"):
        compiled.decay_terms([1, 2], [1.0], [1.0])
    with pytest.raises(ValueError, match="unequal length"):
        compiled.link_clicks([1], [], [], {}, lambda _: None)
    with pytest.raises(ValueError, match="unequal length"):
        compiled.keep_edges(TypeEdges(0, 1.0), [True])
    with pytest.raises(ValueError, match="nothing to forget"):
        compiled.keep_strongest(TypeEdges(0, 1.0), 1)
