"""Numbers of destination columns, read again only where they changed."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import CodecError
from streams.destinations import Destinations
from streams.edges import packed_size
from streams.item_index import ItemIndex

IDS = st.lists(st.text(min_size=1, max_size=6), unique=True, max_size=40)


def packed(ids: list[str]) -> tuple[bytes, int]:
    return b"".join(map(msgspec.msgpack.encode, ids)), len(ids)


@given(st.lists(IDS, min_size=1, max_size=5), st.integers(1, 3))
def test_numbers_are_those_of_the_column_whatever_it_was_before(
    columns: list[list[str]], kept: int
) -> None:
    index = ItemIndex()
    destinations = Destinations(index, kept)
    for number, ids in enumerate(columns):
        for item_id in ("a", "b"):
            grown = ids + [f"{item_id}-{other}" for other in range(number)]
            found = destinations.numbers(item_id, "click", *packed(grown))
            assert index.item_ids(found.tolist()) == grown


def test_of_a_column_that_grew_only_what_is_new_is_read() -> None:
    index = ItemIndex()
    destinations = Destinations(index, 10)
    first = destinations.numbers("i", "click", *packed([f"d{n}" for n in range(15)]))
    assert destinations.numbers("i", "click", *packed([f"d{n}" for n in range(15)])) is first
    # The head of the array takes more bytes from 16 entries on.
    grown = destinations.numbers("i", "click", *packed([f"d{n}" for n in range(16)]))
    assert index.item_ids(grown.tolist()) == [f"d{n}" for n in range(16)]
    assert len(first) == 15


def test_no_more_columns_are_kept_than_told() -> None:
    destinations = Destinations(ItemIndex(), 2)
    first = destinations.numbers("i0", "click", *packed(["d"]))
    for number in range(1, 3):
        destinations.numbers(f"i{number}", "click", *packed(["d"]))
    assert destinations.numbers("i0", "click", *packed(["d"])) is not first
    assert len(destinations._columns) == 2


@pytest.mark.parametrize(("body", "edges"), [(b"\xa1\xff", 1), (b"\x01", 1), (b"\xa1a", 2)])
def test_a_column_that_does_not_hold_text_is_damage(body: bytes, edges: int) -> None:
    with pytest.raises(CodecError, match="rebuild this state"):
        Destinations(ItemIndex(), 2).numbers("i", "click", body, edges)


@pytest.mark.parametrize(
    ("column", "size"),
    [(b"\x90", 0), (b"\x93", 3), (b"\xdc\x01\x02", 258), (b"\xdd\0\0\1\0", 256), (b"", -1),
     (b"\x80", -1), (b"\xa1a", -1)],
)  # fmt: skip
def test_the_head_of_a_packed_array_tells_its_size(column: bytes, size: int) -> None:
    assert packed_size(msgspec.Raw(column)) == size
