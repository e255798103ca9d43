"""The kernel of listed items, in Python and compiled: one meaning, the same bytes."""

from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.kernels import COMPILED, pure_reasons
from streams.kernels.pure_reasons import Known, Listed, Paths, Reader, Written
from streams.recommendation import Reason, ReasonCode, RecommendedItem
from tests.streams.test_list_kernels import SEEDS, needs_compiled

if COMPILED:
    from streams.kernels import compiled_reasons

KERNELS = [pure_reasons, *([compiled_reasons] if COMPILED else [])]
BOTH = pytest.mark.parametrize("kernels", KERNELS, ids=["python", "compiled"][: 1 + COMPILED])
NOW_MS = 1_769_860_800_000
DAY_MS = 86_400_000.0
NONE = np.empty(0)


def listed(places: int = 1, **changed: object) -> Listed:
    """Items 0, 1, 2 … that nothing is told of."""
    zeros, absent = np.zeros(places, dtype=np.int64), np.full(places, -1)
    paths = Paths(absent, np.zeros(places), zeros)
    nothing = np.zeros(places)
    return Listed(np.arange(places), absent, paths, nothing, nothing, None)._replace(**changed)


def known(items: int = 3, **changed: object) -> Known:
    """Nothing of any item."""
    return Known(NONE, NONE, np.zeros(items, dtype=np.int64), None)._replace(**changed)


def reader(*names: str, **changed: object) -> Reader:
    titles = [""] * len(names)
    return Reader(names, titles, ["s", "t"], {}, "last", NOW_MS)._replace(**changed)


def reasons_of(written: Written) -> list[Any]:
    """The reasons of each item."""
    return [item["reasons"] for item in msgspec.json.decode(written.json)]


@BOTH
def test_what_put_an_item_on_the_list_is_told_first_then_what_else_there_is(
    kernels: ModuleType,
) -> None:
    one = listed(
        positions=np.array([0]),
        paths=Paths(np.array([1]), np.array([0.33335]), np.array([NOW_MS - 1_500])),
        sequence=np.array([0.25]),
        from_text=np.array([True]),
    )
    about = known(trends=np.array([2.0]), own=np.array([0.66666]))
    (written,) = kernels.write_items(
        one, about, [reader("x", last_seen_ms={"x": NOW_MS + 5})], DAY_MS
    )
    (reasons,) = reasons_of(written)
    assert reasons == [
        {"code": "CO_CLICKED", "item_id": "t", "weight": 0.3334, "age_seconds": 1.5},
        {"code": "SEQUENCE", "item_id": "last", "delta": 0.25},
        {"code": "OWN_HISTORY", "item_id": "x", "weight": 0.6667, "age_seconds": 0.0},
        {"code": "TRENDING"},
        {"code": "NEW_ITEM"},
    ]


@BOTH
def test_an_item_with_no_other_reason_is_popular_and_may_be_new(kernels: ModuleType) -> None:
    about = known(
        popularity=np.array([0.1234567, 0.5]),
        announced_ms=np.array([NOW_MS - 1_000, NOW_MS + 1, NOW_MS - int(DAY_MS)]),
    )
    (written,) = kernels.write_items(listed(3), about, [reader("x", "y", "z")], DAY_MS)
    assert reasons_of(written) == [
        [{"code": "POPULAR", "weight": 0.123457}, {"code": "NEW_ITEM", "age_seconds": 1.0}],
        [{"code": "POPULAR", "weight": 0.5}],
        [{"code": "POPULAR", "weight": 0.0}],
    ]


@BOTH
def test_an_item_is_written_as_its_message_has_it(kernels: ModuleType) -> None:
    (written, nothing) = kernels.write_items(
        listed(4, scores=np.array([1.5, -0.25, 0.0, 0.0])),
        known(4),
        [reader("x", 'ö"\\\n', titles=["A title", "\x1f/"]), reader()],
        DAY_MS,
    )
    popular = [Reason(ReasonCode.POPULAR, weight=0.0)]
    expected = [
        RecommendedItem("x", 1, 1.5, "A title", popular),
        RecommendedItem('ö"\\\n', 2, -0.25, "\x1f/", popular),
    ]
    assert written == (msgspec.json.encode(expected), False)
    assert nothing == (b"[]", False)


@BOTH
def test_a_list_is_personal_if_any_item_is_there_for_what_the_user_did(
    kernels: ModuleType,
) -> None:
    sources = np.array([-1, 0, -1, -1])
    paths = Paths(sources, np.ones(4), np.zeros(4, dtype=np.int64))
    by_graph = listed(4, paths=paths, positions=np.array([-1, -1, 0, -1]))
    readers = [reader("a", "b"), reader("c", "d")]
    told = kernels.write_items(by_graph, known(4), readers, DAY_MS)
    assert [of_user.personal for of_user in told] == [True, False]
    told = kernels.write_items(by_graph, known(4, own=np.ones(1)), readers, DAY_MS)
    assert [of_user.personal for of_user in told] == [True, True]


NUMBERS = st.one_of(
    st.floats(allow_nan=False),
    st.builds(
        lambda whole, digits: round(whole, digits),
        st.floats(-1e7, 1e7),
        st.integers(0, 7),
    ),
)


@needs_compiled
@given(st.lists(st.tuples(NUMBERS, st.text()), min_size=1, max_size=9))
def test_any_number_and_any_text_is_written_the_same(told: list[tuple[float, str]]) -> None:
    names = [text for _, text in told]
    items = listed(len(told), scores=np.array([number for number, _ in told]))
    of_user = reader(*names, titles=names[::-1])
    written = [
        kernels.write_items(items, known(9), [of_user], DAY_MS)
        for kernels in (pure_reasons, compiled_reasons)
    ]
    assert written[0] == written[1]


@needs_compiled
@given(SEEDS)
def test_items_are_the_same_to_the_byte(seed: int) -> None:
    random = np.random.default_rng(seed)
    lists, places = int(random.integers(0, 5)), int(random.integers(1, 6))
    count = lists * places
    some = random.choice([0.0, 1e-5, 0.12345, 0.5, 1.0], count)
    times_ms = NOW_MS + random.integers(-(10**9), 10**6, count)
    of_text = random.random(count) < 0.5
    items = Listed(
        random.integers(-1, 9, count),
        random.integers(-1, 7, count),
        Paths(random.integers(-1, 2, count), random.random(count), times_ms),
        (random.normal(size=count) * 10).round(4),
        some * random.random(),
        of_text if random.random() < 0.5 else None,
    )
    about = Known(
        random.random(int(random.integers(0, 9))),
        random.random(int(random.integers(0, 9))) * 4,
        (NOW_MS - random.integers(-10, 10**8, 9)) * random.integers(0, 2, 9),
        random.random(7) if random.random() < 0.5 else None,
    )
    readers = []
    for row in items.items.reshape(lists, places).tolist():
        names = [f"i{item}" for item in row[: row.index(-1) if -1 in row else places]]
        seen = {name: NOW_MS - int(random.integers(0, 99)) for name in names[::2]}
        readers.append(reader(*names, last_seen_ms=seen, last_item=None if seed % 2 else "last"))
    told = [
        kernels.write_items(items, about, readers, DAY_MS / 2)
        for kernels in (pure_reasons, compiled_reasons)
    ]
    assert told[0] == told[1]


@needs_compiled
def test_what_would_be_read_beyond_its_end_is_refused() -> None:
    far = np.array([5])
    for items, about in (
        (listed(items=far), known()),
        (listed(positions=far), known(own=np.zeros(2))),
        (listed(paths=Paths(far, np.ones(1), far)), known()),
    ):
        with pytest.raises(IndexError):
            compiled_reasons.write_items(items, about, [reader("x")], DAY_MS)
    with pytest.raises(ValueError, match="more names"):
        compiled_reasons.write_items(listed(), known(), [reader("x", "y")], DAY_MS)
    with pytest.raises(ValueError, match="unequal"):
        compiled_reasons.write_items(listed(), known(), [reader("x", titles=[])], DAY_MS)
    for part in ("positions", "scores", "sequence", "from_text"):
        short = listed(2)._replace(**{part: getattr(listed(1, from_text=np.ones(1, bool)), part)})
        with pytest.raises(ValueError, match="unequal"):
            compiled_reasons.write_items(short, known(), [reader("x")], DAY_MS)
