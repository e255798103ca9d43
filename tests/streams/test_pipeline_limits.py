"""Pipelines and users who click too much: what is refused, and what reaches the graph."""

import msgspec

from streams.events import RejectReason
from streams.pipeline import PipelineConfig
from streams.snapshot import graph_snapshot
from streams.transitions import (
    SentPositions,
)
from streams.window import WindowConfig
from tests.streams.pipeline_world import CONFIG, NOW_MS, TYPES, FakeRecord, World, a_click


def _limits(**limits: int) -> PipelineConfig:
    window = WindowConfig(max_events=200, event_types=TYPES, **limits)
    return msgspec.structs.replace(CONFIG, window=window)


def _storm(seconds: float, start: int = 0, user: str = "bot", at_ms: int = 0) -> list[FakeRecord]:
    """A thousand clicks a second on two items in turn."""
    times = (at_ms + NOW_MS + start + n for n in range(round(1000 * seconds)))
    return [
        a_click(start + n, user, f"i{n % 2}", timestamp=time)._replace(timestamp=time)
        for n, time in enumerate(times)
    ]


def _weights(world: World) -> tuple[float, float]:
    """Total weight of all edges and of all popularity, at the time of the storm."""
    graph = graph_snapshot(
        [(item, state) for table in world.graph for item, state in table.items()],
        NOW_MS, CONFIG.graph,
    )  # fmt: skip
    edges = sum(weight for _, _, weight in graph.edges(data="weight"))
    return edges, sum(s.popularity.count for table in world.graph for s in table.values())


def test_a_user_beyond_the_rate_is_refused_until_the_bucket_has_filled_again() -> None:
    world = World(_limits(click_us=100_000, burst=20))
    effects = world.run(_storm(1), SentPositions(0))
    assert effects.events == {"click": 29}  # 20 at once and 10 a second
    refused = effects.dead_letters
    assert len(refused) == 971
    assert {letter.reject.reason for letter in refused} == {RejectReason.RATE_LIMITED}
    assert "10 a second, and 20 at once" in refused[0].reject.detail
    later, other = a_click(5000, "bot", "i5"), a_click(5001, "ann", "i5")
    assert world.run([later, other], SentPositions(0)).events == {"click": 2}


def test_a_replayed_click_that_was_refused_is_refused_again_and_changes_nothing() -> None:
    world = World(_limits(click_us=100_000, burst=20))
    records = _storm(0.15)
    first = world.run(records, SentPositions(0))
    before = world.blobs()
    again = world.run(records, SentPositions(0))
    assert [letter.offset for letter in again.dead_letters] == [
        letter.offset for letter in first.dead_letters
    ]
    assert again.replayed == sum(first.events.values())
    assert world.blobs() == before


def test_one_user_at_a_thousand_clicks_a_second_moves_the_graph_no_further_than_the_bound() -> None:
    a_day, seconds = 500, 20
    world = World(_limits(graph_click_ms=86_400_000 // a_day))
    sent = SentPositions(0)
    first = world.run(_storm(1), sent)
    assert first.screened == 1000 - a_day
    after_one_second = _weights(world)
    for second in range(1, seconds):
        world.run(_storm(1, 1000 * second), sent)
    edges, clicks = _weights(world)
    assert clicks == a_day
    assert edges <= a_day * sum(1 / d for d in range(1, CONFIG.window.predecessors + 1))
    assert (edges, clicks) == after_one_second
    # The user is served all the same, and others are not held up.
    assert len(world.windows["bot"]) == 200
    assert world.run(_storm(0.1, 10**6, "ann"), sent).screened == 0


def test_the_bound_holds_for_days_and_fills_again() -> None:
    a_day = 100
    world = World(_limits(graph_click_ms=86_400_000 // a_day))
    sent = SentPositions(0)
    day = 86_400_000
    for number in range(4):
        world.run(_storm(0.5, 1000 * number, at_ms=number * day), sent)
    assert _weights(world)[1] == a_day * 4
