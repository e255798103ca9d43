"""Evolution of behaviour: sessions, drift against chance, and interest now and before."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams import evolution as evolution_module
from streams.click import Click
from streams.event_types import EventTypes
from streams.evolution import (
    MAX_EVENTS,
    MAX_STEPS,
    MOST_CATEGORIES,
    TOP_OF_INTEREST,
    TOP_OF_SESSION,
    drift,
    evolution,
    jensen_shannon,
    sessions,
    timeline,
)
from streams.window import HistoryView, WindowConfig, fold
from tests.streams.list_world import NOW_MS

GAP_MS = 1_800_000
TYPES = EventTypes()
CATEGORIES = {"tent": ("outdoor",), "lamp": ("home", "light"), "desk": ("home",)}


def rng(seed=7):
    return np.random.default_rng(seed)


def view(*rows):
    """Clicks of (item, minutes before now), sorted by time."""
    rows = sorted(rows, key=lambda row: -row[1])
    return HistoryView(
        [item for item, _ in rows],
        ["click"] * len(rows),
        [NOW_MS - round(minutes * 60_000) for _, minutes in rows],
        [0] * len(rows),
    )


def evolved(events, categories=CATEGORIES, at_ms=NOW_MS):
    return evolution(
        events, lambda item: categories.get(item, ()), TYPES,
        gap_ms=GAP_MS, at_ms=at_ms, rng=rng(),
    )  # fmt: skip


histories = st.lists(
    st.tuples(st.sampled_from([*CATEGORIES, "unknown"]), st.integers(0, 5_000)), max_size=40
).map(lambda rows: view(*rows))
labelled = st.lists(
    st.lists(st.sampled_from("abcd"), max_size=3, unique=True), min_size=1, max_size=12
)
distributions = st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4).filter(any).map(
    lambda weights: np.array(weights) / sum(weights)
)  # fmt: skip


@given(st.lists(st.integers(0, 10**10)).map(sorted), st.integers(1, 10**9))
def test_sessions_cover_all_events_and_only_long_pauses_part_them(times, gap_ms):
    spans = sessions(times, gap_ms)
    assert [time for span in spans for time in times[span]] == times
    for span in spans:
        assert all(b - a <= gap_ms for a, b in pairwise(times[span]))
    for former, latter in pairwise(spans):
        assert times[latter.start] - times[former.stop - 1] > gap_ms


@given(distributions, distributions, distributions)
@example(np.array([1.0, 0.0]), np.array([0.75, 0.25]), np.array([1.0, 5e-324]))
def test_the_distance_is_a_metric_between_0_and_1(p, q, r):
    assert 0.0 <= jensen_shannon(p, q) <= 1.0
    assert jensen_shannon(p, p) == pytest.approx(0.0, abs=1e-7)
    assert jensen_shannon(p, q) == pytest.approx(jensen_shannon(q, p))
    assert jensen_shannon(p, r) <= jensen_shannon(p, q) + jensen_shannon(q, r) + 1e-7


def test_the_distance_of_a_coin_and_a_certainty_is_as_in_the_definition():
    # H(3/4, 1/4) - H(1/2, 1/2) / 2, in bits.
    divergence = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25)) - 0.5
    distance = jensen_shannon(np.array([0.5, 0.5]), np.array([1.0, 0.0]))
    assert distance == pytest.approx(np.sqrt(divergence))


@given(labelled, labelled)
def test_drift_is_within_its_bounds_and_none_where_a_session_has_no_label(former, latter):
    found = drift(former, latter, rng(), 20)
    if not any(former) or not any(latter):
        assert found is None
        return
    assert 0.0 <= found.distance <= 1.0
    assert 0.0 <= found.expected <= 1.0
    assert 0.0 < found.p_value <= 1.0
    assert found == drift(former, latter, rng(), 20)


def test_two_sessions_of_one_item_do_not_drift():
    assert drift([["a"]] * 3, [["a"]] * 5, rng()) == (0.0, 0.0, 1.0)


def test_a_change_of_taste_is_far_beyond_chance():
    found = drift([["a"]] * 15, [["b"]] * 15, rng())
    assert found.distance == pytest.approx(1.0)
    assert found.expected < 0.3
    assert found.p_value < 0.01


@given(labelled, labelled)
def test_labels_taken_in_parts_give_the_drift_of_all_at_once(former, latter):
    whole = drift(former, latter, rng(), 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evolution_module, "_MOST_CELLS", 1)
        parts = drift(former, latter, rng(), 20)
    if whole is None:
        assert parts is None
    else:
        assert parts == pytest.approx(whole, abs=1e-6)


def test_memory_does_not_grow_with_the_labels_of_an_item():
    former, latter = ([f"{session}{number}" for number in range(20_000)] for session in "ab")
    tracemalloc.start()
    try:
        found = drift([former], [latter], rng())
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.distance == pytest.approx(1.0)
    assert peak_bytes < 40 << 20


def test_of_an_item_with_very_many_categories_the_first_count():
    many = [f"c{number}" for number in range(20_000)]
    found = evolved(view(("lamp", 100), ("tent", 0)), {"lamp": many, "tent": ("outdoor",)})
    assert {row.label for row in found.interest} == {*many[:MOST_CATEGORIES], "outdoor"}
    assert found.sessions[0].categories[0] == ("c0", pytest.approx(1 / MOST_CATEGORIES))


def test_short_sessions_of_one_taste_lie_apart_and_no_further_than_by_chance():
    tastes = rng(1)
    steps = []
    for seed in range(200):
        events = [[str(label)] for label in tastes.integers(0, 6, 14)]
        steps.append(drift(events[:6], events[6:], rng(seed), 99))
    assert np.mean([step.distance for step in steps]) > 0.3
    excess = [step.distance - step.expected for step in steps]
    assert abs(np.mean(excess)) < 0.02
    # A test is right if chance alone is called unlikely as seldom as it says.
    assert np.mean([step.p_value <= 0.1 for step in steps]) <= 0.15


@given(histories, st.integers(0, 10**9))
def test_a_history_moved_in_time_evolves_the_same(events, later_ms):
    moved = events._replace(times_ms=[time + later_ms for time in events.times_ms])
    here, there = evolved(events), evolved(moved, at_ms=NOW_MS + later_ms)
    assert here.drift == there.drift
    assert [s.items for s in here.sessions] == [s.items for s in there.sessions]
    for a, b in zip(here.interest, there.interest, strict=True):
        assert a == pytest.approx(b)


@given(histories)
def test_shares_of_interest_and_of_a_session_add_up(events):
    found = evolved(events)
    assert len(found.drift) == max(0, len(found.sessions) - 1)
    assert sum(session.events for session in found.sessions) == len(events.items)
    if found.interest:
        assert sum(row.now for row in found.interest) == pytest.approx(1.0)
    for session in found.sessions:
        assert sum(share for _, share in session.categories) == pytest.approx(
            1.0 if session.categories else 0.0
        )


def test_interest_decays_by_half_lives_and_was_another_before_the_last_session():
    week = 7 * 24 * 60  # the half-life of a click, in minutes
    found = evolved(view(("tent", week), ("desk", 1), ("desk", 0)))
    interest = {row.label: row for row in found.interest}
    assert interest["outdoor"].before == 1.0
    assert interest["outdoor"].now == pytest.approx(0.5 / 2.5, abs=1e-3)
    assert interest["home"].before == 0.0


def test_without_categories_drift_and_interest_are_over_items():
    found = evolved(view(("x", 100), ("y", 0)), categories={})
    assert found.measured_on == "items"
    assert {row.label for row in found.interest} == {"x", "y"}
    assert found.drift[0].distance == 1.0
    assert found.drift[0].p_value == 1.0  # of one event each, any deal is as far apart


def test_of_many_sessions_the_newest_steps_are_compared():
    found = evolved(view(*(("tent", hours * 60) for hours in range(MAX_STEPS + 4))))
    assert found.drift == [None] * 3 + [(0.0, 0.0, 1.0)] * MAX_STEPS


def test_of_many_labels_those_with_most_are_told():
    items = [f"i{number:02}" for number in range(TOP_OF_INTEREST + 1)]
    rows = [(item, 0.1 * place) for place, item in enumerate(items)] + [("i03", 3), ("i03", 3)]
    found = evolved(view(*rows), {item: (item.upper(),) for item in items})
    assert [row.label for row in found.interest] == ["I03"] + [
        item.upper() for item in items[:TOP_OF_INTEREST] if item != "i03"
    ]
    (session,) = found.sessions
    assert session.items == [("i03", 3), *((item, 1) for item in ("i00", "i01", "i02", "i04"))]
    assert [label for label, _ in session.categories] == ["I03", "I00", "I01", "I02", "I04"]
    assert len(session.categories) == TOP_OF_SESSION


def test_an_empty_history_has_neither_sessions_nor_interest():
    found = evolved(view())
    assert (found.sessions, found.drift, found.interest) == ([], [], [])


def test_what_was_only_shown_or_disliked_is_no_interest():
    events = view(("tent", 2), ("lamp", 1), ("desk", 0))
    events = events._replace(event_types=["click", "impression", "dislike"])
    found = evolved(events)
    (session,) = found.sessions
    assert session.event_types == [("click", 1), ("dislike", 1), ("impression", 1)]
    assert session.items == [("tent", 1)]
    assert session.categories == [("outdoor", 1.0)]
    assert [row.label for row in found.interest] == ["outdoor"]


def test_a_timeline_has_every_event_whatever_its_type_in_order_of_time():
    window = None
    rows = [("lamp", "click", 3, 0), ("tent", "dislike", 1, 9), ("desk", "purchase", 2, 0)]
    for offset, (item, kind, minutes, place) in enumerate(rows):
        click = Click("u", item, kind, NOW_MS - minutes * 60_000, None, 1.0, None, None, place)
        window, _, _ = fold(window, click, 0, offset, NOW_MS, WindowConfig())
    events = timeline(window)
    assert events.items == ["lamp", "desk", "tent"]
    assert events.event_types == ["click", "purchase", "dislike"]
    assert events.place_cells == [0, 0, 9]


def test_of_a_long_window_the_newest_events_are_looked_at():
    window = None
    config = WindowConfig(max_events=MAX_EVENTS + 5)
    for offset in range(MAX_EVENTS + 5):
        click = Click("u", f"i{offset}", "click", NOW_MS + offset, None, 1.0, None, None, 0)
        window, _, _ = fold(window, click, 0, offset, NOW_MS, config)
    assert timeline(window).items == [f"i{offset}" for offset in range(5, MAX_EVENTS + 5)]
