"""The oracle hands the replayed transitions over in the pieces that the workers sent."""

from hypothesis import given
from hypothesis import strategies as st

from streams.bench.oracle import BatchRows
from streams.transitions import TransitionBatch
from tests.streams.transition_samples import batches


@given(batches(), st.data())
def test_the_parts_of_a_batch_say_what_the_batch_says(
    batch: TransitionBatch, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(batch.offsets)))
    rows = BatchRows(batch)
    parts = [rows.part(0, cut), rows.part(cut, len(batch.offsets))]
    assert [o for part in parts for o in part.offsets] == batch.offsets
    assert [t for part in parts for t in part.row_types()] == batch.row_types()
    assert [part.owned for part in parts] == [
        [row for row in batch.owned if row < cut],
        [row - cut for row in batch.owned if row >= cut],
    ]
    joined: dict[str, list[int]] = {}
    for start, part in zip((0, cut), parts, strict=True):
        for item, flat in part.edges.items():
            shifted = [n + start if k % 2 == 0 else n for k, n in enumerate(flat)]
            joined.setdefault(item, []).extend(shifted)
    assert joined == batch.edges
