"""Transition batches as property tests draw them."""

from hypothesis import strategies as st

from streams.transitions import ToldClick, TransitionBatch


@st.composite
def batches(draw: st.DrawFn) -> TransitionBatch:
    """Clicks with sources in the partition, with their own item in it, or both."""
    source = draw(st.integers(0, 200))
    offset = -1
    clicks = []
    for _ in range(draw(st.integers(0, 8))):
        offset += draw(st.integers(1, 2**30))
        items = draw(st.lists(st.text(max_size=3), max_size=5, unique=True))
        clicks.append(
            ToldClick(
                offset,
                draw(st.integers(0, 2**42)),
                draw(st.text(max_size=8)),
                draw(st.sampled_from(["click", "purchase", "view"])),
                owned=draw(st.booleans()),
                before=[(item, draw(st.integers(1, 9))) for item in items],
            )
        )
    return TransitionBatch.of(source, clicks)
