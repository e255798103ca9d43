"""Items of the graph for tests: transitions one by one, and any that a test draws."""

import msgspec
from hypothesis import strategies as st

from streams.graph import (
    GraphConfig,
    ItemState,
    edge_value,
    new_item_state,
)
from tests.streams.item_folds import REPLAYED, fold_edge, fold_popularity

T0 = 1_769_860_800_000
DAY_MS = 86_400_000
CONFIG = GraphConfig()
ROUNDED = 2.0**-24
"""What a weight loses at most, relative to itself, whenever something is added to it."""


class Transition(msgspec.Struct, frozen=True):
    """One fold: an edge to dst, or an event on the item itself where dst is None."""

    source: int
    offset: int
    dst: str | None
    event_type: str
    distance: int
    time_ms: int


def apply(state: ItemState, step: Transition, config: GraphConfig = CONFIG) -> int:
    if step.dst is None:
        applied = fold_popularity(
            state, step.source, step.offset, step.event_type, step.time_ms, config
        )
        return 0 if applied else REPLAYED
    return fold_edge(
        state,
        step.source,
        step.offset,
        step.dst,
        step.event_type,
        step.distance,
        step.time_ms,
        config,
    )


def state_of(steps: list[Transition], config: GraphConfig = CONFIG) -> ItemState:
    state = new_item_state()
    for step in steps:
        apply(state, step, config)
    return state


def value(state: ItemState, event_type: str, dst: str, at_ms: float) -> float:
    group = state.edges[event_type]
    return edge_value(group[dst].weight, group.base, group.half_life_ms, at_ms)


@st.composite
def transitions(draw: st.DrawFn, max_size: int = 40) -> list[Transition]:
    next_offset = {0: 0, 3: 10**10}
    steps = []
    time_ms = T0
    for _ in range(draw(st.integers(0, max_size))):
        source = draw(st.sampled_from([0, 3]))
        offset = next_offset[source] + draw(st.integers(0, 5))
        next_offset[source] = offset + 1
        time_ms += draw(st.sampled_from([0, 1_000, DAY_MS, 400 * DAY_MS]))
        steps.append(
            Transition(
                source,
                offset,
                draw(st.none() | st.sampled_from("abcdefghijklmno")),
                draw(st.sampled_from(["click", "view", "purchase", "impression", "gone"])),
                draw(st.integers(1, 5)),
                time_ms - draw(st.sampled_from([0, 0, 5_000, 10 * DAY_MS])),
            )
        )
    return steps
