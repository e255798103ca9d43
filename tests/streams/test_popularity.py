"""Forward-decayed popularity: equal to the decay it stands for, whatever the order and the age."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.popularity import (
    POPULARITY_BYTES,
    Popularity,
    add,
    decayed_value,
    pack,
    popularity_at,
    trending_at,
    unpack,
)

T0 = 1_769_860_800_000
LONG_MS = 7 * 86_400_000.0
SHORT_MS = 6 * 3_600_000.0
events = st.lists(
    st.tuples(st.integers(T0, T0 + 60 * 86_400_000), st.sampled_from([0.5, 1.0, 3.0])), max_size=30
)


def popularity_of(history: list[tuple[int, float]]) -> Popularity:
    popularity = Popularity()
    for time_ms, weight in history:
        add(popularity, weight, time_ms, LONG_MS, SHORT_MS)
    return popularity


@given(events, st.integers(0, 90 * 86_400_000))
def test_values_are_the_sum_of_the_decayed_events(
    history: list[tuple[int, float]], after_ms: int
) -> None:
    at_ms = T0 + 60 * 86_400_000 + after_ms
    popularity = popularity_of(history)
    for value, half_life_ms in (
        (popularity_at(popularity, at_ms), LONG_MS),
        (trending_at(popularity, at_ms), SHORT_MS),
    ):
        expected = math.fsum(weight * 2 ** ((t - at_ms) / half_life_ms) for t, weight in history)
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-300)
    assert popularity.count == len(history)
    assert popularity.last_ms == max((time_ms for time_ms, _ in history), default=0)


@given(events, st.randoms(use_true_random=False))
def test_late_events_weigh_what_they_would_have_weighed_in_time(
    history: list[tuple[int, float]], random: object
) -> None:
    shuffled = list(history)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    at_ms = T0 + 61 * 86_400_000
    for value in (popularity_at, trending_at):
        assert value(popularity_of(history), at_ms) == pytest.approx(
            value(popularity_of(shuffled), at_ms), rel=1e-9
        )


@given(st.floats(0.001, 1e6), st.integers(0, 100), st.integers(0, 10**9), st.integers(0, 10**9))
def test_decay_is_monotone_and_composable(
    weight: float, base: int, first_ms: int, second_ms: int
) -> None:
    half_life_ms = 3_600_000.0
    start_ms = base * half_life_ms
    at_first = decayed_value(weight, base, half_life_ms, start_ms + first_ms)
    at_both = decayed_value(weight, base, half_life_ms, start_ms + first_ms + second_ms)
    assert at_both <= at_first
    further = 2 ** (-second_ms / half_life_ms)
    assert at_both == pytest.approx(at_first * further, rel=1e-9)


def test_one_half_life_halves_the_value() -> None:
    popularity = popularity_of([(T0, 1.0)])
    assert popularity_at(popularity, T0) == pytest.approx(1.0)
    assert popularity_at(popularity, T0 + LONG_MS) == pytest.approx(0.5)
    assert trending_at(popularity, T0 + SHORT_MS) == pytest.approx(0.5)


def test_an_item_without_events_is_worth_nothing_at_any_time() -> None:
    assert popularity_at(Popularity(), T0) == 0.0
    assert trending_at(Popularity(), -T0) == 0.0


def test_years_of_events_stay_finite_and_exact() -> None:
    popularity = Popularity()
    day_ms = 86_400_000
    for day in range(3_650):
        add(popularity, 1.0, T0 + day * day_ms, LONG_MS, SHORT_MS)
    at_ms = T0 + 3_649 * day_ms
    assert popularity_at(popularity, at_ms) == pytest.approx(1 / (1 - 2 ** (-1 / 7)), rel=1e-9)
    assert trending_at(popularity, at_ms) == pytest.approx(1 / (1 - 2**-4), rel=1e-9)
    assert popularity.long_weight < 2.0**70


def test_a_value_long_before_its_events_is_a_number() -> None:
    assert math.isfinite(trending_at(popularity_of([(T0, 1.0)]), 0))


def test_other_half_lives_take_over_without_a_jump() -> None:
    popularity = popularity_of([(T0, 3.0)])
    add(popularity, 1.0, T0 + int(LONG_MS), LONG_MS / 2, SHORT_MS * 2)
    assert popularity_at(popularity, T0 + LONG_MS) == pytest.approx(2.5)
    assert popularity_at(popularity, T0 + 1.5 * LONG_MS) == pytest.approx(1.25)


@given(events)
def test_packing_has_a_fixed_size_and_loses_nothing(history: list[tuple[int, float]]) -> None:
    popularity = popularity_of(history)
    packed = pack(popularity)
    assert len(packed) == POPULARITY_BYTES == 64
    assert unpack(b"xxx" + packed, 3) == popularity
