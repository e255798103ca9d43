"""The kernels of links, in Python and compiled: one meaning, the same bytes, and no reading beyond
what is there.
"""

from array import array
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.click import Click
from streams.instant import MAX_INSTANT_MS
from streams.kernels import COMPILED
from streams.kernels.pure_columns import OFFSET_LIMIT, Columns
from tests.streams.kernel_modules import kernels_of
from tests.streams.transition_samples import batches

pure = kernels_of("pure", "links", "columns")
compiled = kernels_of("compiled", "links", "columns") if COMPILED else pure
BOTH = pytest.mark.parametrize("kernels", [pure, compiled], ids=["python", "compiled"])
NOTHING = Columns(*(array("q") for _ in Columns._fields))
PARTITIONS = 3
ITEMS = st.sampled_from([f"i{number}" for number in range(9)])
ROWS = st.lists(
    st.none()
    | st.tuples(
        ITEMS,
        st.sampled_from(["click", "click", "purchase", "view"]),
        st.none() | st.lists(st.none() | ITEMS, max_size=5),
    ),
    max_size=30,
)
LONGS = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-2, 300)


class Owners(dict[str, int]):
    def __missing__(self, item_id: str) -> int:
        return int(item_id[1:]) % PARTITIONS


@given(ROWS)
def test_clicks_are_linked_alike(
    rows: list[tuple[str, str, list[str | None] | None] | None],
) -> None:
    offsets = [1_000 + 7 * number for number in range(len(rows))]
    clicks = [
        None if row is None else Click("u", row[0], row[1], 5_000 + number)
        for number, row in enumerate(rows)
    ]
    predecessors = [None if row is None else row[2] for row in rows]
    in_python = pure.link_clicks(offsets, clicks, predecessors, Owners())
    again = compiled.link_clicks(offsets, clicks, predecessors, Owners())
    assert again == in_python
    assert list(again) == list(in_python)
    for item_ids, event_types, columns in in_python.values():
        assert columns._fields == Columns._fields
        for kernels in (pure, compiled):
            assert kernels.columns_fit(columns, len(item_ids), len(event_types))


@st.composite
def columns(draw: st.DrawFn) -> Columns:
    """Any numbers."""
    rows, items, links = (draw(st.integers(0, 6)) for _ in range(3))

    def column(size: int) -> "array[int]":
        return array("q", draw(st.lists(LONGS, min_size=size, max_size=size)))

    return Columns(*map(column, (rows, rows, rows, rows, items, links, links)))


@given(columns())
@example(NOTHING._replace(ends=array("q", [0])))
@example(NOTHING._replace(ends=array("q", [0, 0])))
def test_any_columns_are_packed_and_judged_alike(drawn: Columns) -> None:
    packed = pure.pack_columns(drawn)
    assert compiled.pack_columns(drawn) == packed
    unpacked = pure.unpack_columns(packed)
    assert compiled.unpack_columns(packed) == unpacked
    natural = [number for column in drawn[2:] for number in column]
    based = [number for column in drawn[:2] for number in column]
    if min(natural, default=0) >= 0 and min(based, default=0) >= 0:
        assert unpacked == drawn
    else:
        assert unpacked is None
    for size in (0, 3, 200):
        fits = pure.columns_fit(drawn, size, size)
        assert compiled.columns_fit(drawn, size, size) == fits


@given(batches(), st.data())
def test_columns_that_were_changed_are_judged_alike(batch: Any, data: st.DataObject) -> None:
    sizes = (len(batch.item_ids), len(batch.event_types))
    assert pure.columns_fit(batch.columns, *sizes)
    assert compiled.columns_fit(batch.columns, *sizes)
    name = data.draw(st.sampled_from(Columns._fields))
    column = getattr(batch.columns, name)[:]
    if column:
        column[data.draw(st.integers(0, len(column) - 1))] = data.draw(
            st.integers(-1, 9) | st.sampled_from([MAX_INSTANT_MS, MAX_INSTANT_MS + 1, OFFSET_LIMIT])
        )
    changed = batch.columns._replace(**{name: column})
    fits = pure.columns_fit(changed, *sizes)
    assert compiled.columns_fit(changed, *sizes) == fits


@given(batches(), st.data())
def test_damaged_columns_are_read_alike(batch: Any, data: st.DataObject) -> None:
    packed = bytearray(pure.pack_columns(batch.columns))
    for _ in range(data.draw(st.integers(0, 3))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(packed[: data.draw(st.integers(0, len(packed)) | st.just(len(packed)))])
    unpacked = pure.unpack_columns(damaged)
    assert compiled.unpack_columns(damaged) == unpacked


@BOTH
def test_numbers_take_as_many_bytes_as_the_widest_needs(kernels: Any) -> None:
    def size(offsets: list[int], kinds: list[int]) -> int:
        zeros = array("q", bytes(8 * len(offsets)))
        packed = kernels.pack_columns(
            Columns(
                array("q", offsets),
                zeros,
                zeros,
                array("q", kinds),
                array("q"),
                array("q"),
                array("q"),
            )
        )
        return len(packed)

    base = 1 << 40
    narrow = size([base, base + 255], [0, 0])
    assert size([base, base + 256], [0, 0]) == narrow + 2
    assert size([base, base + 65_536], [0, 0]) == narrow + 6
    assert size([base, base + (1 << 32)], [0, 0]) == narrow + 14
    assert size([base, base + 255], [0, 1]) == narrow + 2


HUGE = st.sampled_from([b"\x00", b"\xff\xff\xff\xff\x0f", b"\xff" * 8 + b"\x7f", b"\xff" * 9])


@given(st.tuples(HUGE, HUGE, HUGE), HUGE, HUGE, st.sampled_from([b"\x00", b"\x01", b"\xff\x7f"]))
def test_sizes_that_are_only_claimed_take_no_memory(
    sizes: tuple[bytes, ...], offset: bytes, time_ms: bytes, shape: bytes
) -> None:
    head = b"".join((*sizes, offset, time_ms, shape))
    wanted = any(size != b"\x00" for size in sizes) or b"\xff" * 9 in (offset, time_ms)
    for kernels in (pure, compiled):
        for packed in (head, head + bytes(9)):
            unpacked = kernels.unpack_columns(packed)
            assert unpacked is None if wanted else unpacked in (None, NOTHING)


@pytest.mark.skipif(not COMPILED, reason="the kernels were not compiled")
def test_what_is_no_column_is_refused() -> None:
    with pytest.raises(ValueError, match="unequal length"):
        compiled.link_clicks([1], [], [], {})
    for wrong in (NOTHING[:6], [*NOTHING]):
        with pytest.raises(ValueError, match="not as many columns"):
            compiled.pack_columns(wrong)
    with pytest.raises(ValueError, match="another type"):
        compiled.columns_fit(NOTHING._replace(rows=array("b")), 1, 1)
