"""Transition batches as property tests draw them."""

from hypothesis import strategies as st

from streams.transitions import TransitionBatch


@st.composite
def batches(draw: st.DrawFn) -> TransitionBatch:
    """Clicks with sources in the partition, with their own item in it, or both."""
    batch = TransitionBatch.empty(draw(st.integers(0, 200)))
    offset = -1
    for _ in range(draw(st.integers(0, 8))):
        offset += draw(st.integers(1, 2**30))
        kind = draw(st.sampled_from(["click", "purchase", "view"]))
        row = batch.add(offset, draw(st.integers(0, 2**42)), draw(st.text(max_size=8)), kind)
        for item in draw(st.lists(st.text(max_size=3), max_size=5, unique=True)):
            batch.edges.setdefault(item, []).extend((row, draw(st.integers(1, 9))))
        if draw(st.booleans()):
            batch.owned.append(row)
    return batch
