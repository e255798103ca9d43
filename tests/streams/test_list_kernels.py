"""The kernels of lists, in NumPy and compiled: one meaning, the same bits."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.kernels import COMPILED
from streams.kernels.pure_edges import ITEM_BITS, EdgeColumns
from streams.kernels.pure_lists import Chosen, Encoded, Others, Places, Pool
from tests.streams.kernel_modules import kernels_of

pure = kernels_of("pure", "candidates", "lists")
compiled = kernels_of("compiled", "candidates", "lists") if COMPILED else None
BOTH = pytest.mark.parametrize(
    "kernels",
    [pure, *([compiled] if COMPILED else [])],
    ids=["numpy", "compiled"][: 1 + COMPILED],
)
needs_compiled = pytest.mark.skipif(not COMPILED, reason="the kernels were not compiled")
SEEDS = st.integers(0, 1 << 32)
NOTHING = np.empty(0, dtype=np.int64)


def same(one: Any, other: Any) -> None:
    """Equal to the bit, arrays and what holds them."""
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        assert one.tobytes() == np.ascontiguousarray(other).tobytes()
        return
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        same(left, right)


def pick(kernels: Any, rows: list[list[float]], ties: list[int], n: int) -> list[list[int]]:
    """Columns picked in each row of a rectangular or ragged table of scores."""
    start = np.cumsum([0, *map(len, rows)])
    scores = np.array([score for row in rows for score in row], dtype=float)
    tie_keys = np.array(ties, dtype=np.uint64)
    items = np.arange(len(scores))[::-1].copy()
    chosen = kernels.choose_top(scores, start, items, tie_keys[::-1].copy(), n)
    assert [column.shape for column in chosen] == [(len(rows), n)] * 3
    present = chosen.positions >= 0
    same(chosen.items[present], items[chosen.positions[present]])
    same(chosen.scores[present], scores[chosen.positions[present]])
    assert (chosen.items[~present] == -1).all()
    assert (chosen.scores[~present] == -np.inf).all()
    return [[c - start[r] for c in row if c >= 0] for r, row in enumerate(chosen.positions)]


@BOTH
def test_the_best_come_best_first(kernels: Any) -> None:
    rows = [[0.1, 0.9, 0.5], [3.0, 1.0, 2.0]]
    assert pick(kernels, rows, list(range(6)), 2) == [[1, 2], [0, 2]]


@BOTH
def test_users_may_have_different_numbers_of_candidates(kernels: Any) -> None:
    assert pick(kernels, [[1.0], [], [1.0, 5.0, 3.0]], list(range(4)), 2) == [[0], [], [1, 2]]


@BOTH
def test_equal_scores_are_ordered_by_tie_key_even_at_the_cut(kernels: Any) -> None:
    assert pick(kernels, [[1.0, 1.0, 1.0, 0.0]], [9, 3, 5, 0], 2) == [[1, 2]]


@BOTH
@pytest.mark.parametrize("low", [-np.inf, np.nan])
def test_what_has_no_score_is_never_picked(kernels: Any, low: float) -> None:
    assert pick(kernels, [[low, 2.0, low], [low, low, low]], list(range(6)), 2) == [[1], []]
    assert pick(kernels, [[low, 2.0, low]], list(range(3)), 9) == [[1]]


@BOTH
def test_empty_batches_give_empty_choices(kernels: Any) -> None:
    assert pick(kernels, [], [], 3) == []
    assert pick(kernels, [[], []], [], 3) == [[], []]


@BOTH
def test_selection_agrees_with_sorting_each_row(kernels: Any) -> None:
    random = np.random.default_rng(7)
    rows = [random.integers(0, 5, size=size).astype(float) for size in random.integers(0, 40, 50)]
    for row in rows:
        row[random.random(len(row)) < 0.2] = -np.inf
    ties = random.permutation(sum(map(len, rows))).tolist()
    start = np.cumsum([0, *map(len, rows)])
    lists = [row.tolist() for row in rows]
    for r, chosen in enumerate(pick(kernels, lists, ties, 10)):
        present = [c for c, score in enumerate(rows[r]) if score > -np.inf]
        expected = sorted(present, key=lambda c: (-rows[r][c], ties[start[r] + c]))[:10]
        assert chosen == expected


SPREADS = {
    "even": lambda random, size: random.random(size),
    "all equal": lambda random, size: np.full(size, 0.25),
    "a few values": lambda random, size: random.integers(0, 3, size) / 3,
    "one far away": lambda random, size: np.append(random.random(size - 1), 1e300),
    "two ends of the range": lambda random, size: random.choice([-1e308, 1e308, 0.5], size),
    "infinite": lambda random, size: random.choice([np.inf, 1.0, 2.0], size),
    "neighbours": lambda random, size: 1.0 + random.integers(0, 9, size) * 2.0**-52,
    "tiny": lambda random, size: random.integers(0, 9, size) * 5e-324,
}


@BOTH
@pytest.mark.parametrize("spread", SPREADS.values(), ids=SPREADS)
@pytest.mark.parametrize(("size", "wanted"), [(300, 100), (300, 299), (40, 60), (1, 1)])
def test_many_are_chosen_in_order_however_their_scores_are_spread(
    kernels: Any, spread: Any, size: int, wanted: int
) -> None:
    random = np.random.default_rng(7)
    scores = spread(random, size)
    ties = random.permutation(size).tolist()
    expected = sorted(range(size), key=lambda c: (-scores[c], ties[c]))[:wanted]
    assert pick(kernels, [scores.tolist()], ties, wanted) == [expected]


def blended(
    kernels: Any,
    log_probs: list[float],
    best: list[int],
    best_log_probs: list[float],
    *,
    size: int = 3,
    **others: Any,
) -> Places:
    """A ranking of one user with the candidates 10, 11 and 12, whose priors are 1, 2 and 3."""
    places = Places(
        np.full((1, size), -1), np.full((1, size), -np.inf), np.full((1, size), -1),
        np.zeros((1, size)),
    )  # fmt: skip
    chosen = Chosen(
        np.array([[2, 1, 0, -1]]),
        np.array([[12, 11, 10, -1]]),
        np.array([[3.0, 2.0, 1.0, -np.inf]]),
    )
    kernels.blend_top(
        Pool(np.array([0, 3]), np.array([10, 11, 12]), np.array([1.0, 2.0, 3.0]), chosen),
        Others(
            **{
                "popular_score": np.full(25, 0.5),
                "repeated_keys": NOTHING,
                "repeat_penalty": 4.0,
                "excluded_keys": NOTHING,
                "unavailable": np.zeros(30, dtype=np.bool_),
                "tie_keys": np.arange(30, dtype=np.uint64),
                **others,
            }
        ),
        Encoded(
            np.array([0]),
            np.array([[*log_probs, -np.inf]], dtype=np.float32),
            np.array([best]),
            np.array([best_log_probs], dtype=np.float32),
            0.5,
            -0.25,
        ),
        places,
    )
    return places


@BOTH
def test_an_item_that_the_encoder_does_not_know_counts_as_the_worst_of_its_best(
    kernels: Any,
) -> None:
    found = blended(kernels, [-1.0, np.nan, -np.inf], [20, 21], [-2.0, -4.0], size=5)
    assert found.items.tolist() == [[12, 11, 20, 10, 21]]
    assert found.scores.tolist() == [[2.5, 2 - 0.25 - 2.0, -0.5, 1 - 0.25 - 2.0, -1.5]]
    assert found.positions.tolist() == [[2, 1, -1, 0, -1]]
    # Counted from the worst: 1.5 of 4.5 are the encoder's, then nothing, 1.0 of 1.5, nothing.
    assert found.sequence[0, [0, 1, 3, 4]].tolist() == [1.5 / 4.5, 0.0, 0.0, 0.0]
    assert found.sequence[0, 2] == 1.0 / 1.5


@BOTH
def test_an_encoder_without_any_number_leaves_the_priors(kernels: Any) -> None:
    found = blended(kernels, [-np.inf] * 3, [-1], [-np.inf])
    assert found.items.tolist() == [[12, 11, 10]]
    assert found.scores.tolist() == [[2.75, 1.75, 0.75]]


@BOTH
def test_the_encoders_best_obey_what_may_be_on_a_list(kernels: Any) -> None:
    unavailable = np.zeros(30, dtype=np.bool_)
    unavailable[21] = True
    found = blended(
        kernels, [-9.0] * 3, [20, 21, 22, 23, 26, 12], [-1.0] * 5 + [-9.0], size=6,
        excluded_keys=np.array([20]), repeated_keys=np.array([22]), unavailable=unavailable,
    )  # fmt: skip
    assert found.items.tolist() == [[23, 26, 12, 11, 10, 22]]
    assert found.scores.tolist() == [[0.0, -0.5, -1.5, -2.5, -3.5, -4.0]]


def random_pool(random: np.random.Generator, users: int) -> Pool:
    """Candidates of some users among 40 items."""
    per_user = [np.unique(random.integers(0, 40, random.integers(0, 30))) for _ in range(users)]
    start = np.cumsum([0, *map(len, per_user)])
    items = np.concatenate([*per_user, NOTHING])
    keys = items | np.repeat(np.arange(users) << ITEM_BITS, np.diff(start))
    prior = random.integers(0, 6, len(items)) / 4
    prior[random.random(len(items)) < 0.2] = -np.inf
    ties = np.arange(50, dtype=np.uint64)
    return Pool(start, keys, prior, pure.choose_top(prior, start, items, ties, 8))


@needs_compiled
@given(SEEDS)
def test_blends_are_the_same_bits(seed: int) -> None:
    random = np.random.default_rng(seed)
    users = int(random.integers(1, 6))
    pool = random_pool(random, users)
    rows = np.flatnonzero(random.random(users) < 0.7)
    # Numbers of one octave, so that equal scores are common.
    log_probs = -random.integers(1, 9, (len(rows), 8)).astype(np.float32)
    best_log_probs = -random.integers(1, 9, (len(rows), 6)).astype(np.float32)
    for column in (log_probs, best_log_probs):
        column[random.random(column.shape) < 0.2] = random.choice([-np.inf, np.nan, np.inf])
    best_items = np.stack([random.permutation(50)[:6] for _ in rows] or [np.zeros(6, np.int64)])
    best_items = best_items[: len(rows)].astype(np.int64)
    best_items[random.random(best_items.shape) < 0.2] = -1
    any_keys = np.sort(random.choice(users << 32, 5) | random.integers(0, 50, 5))
    others = Others(
        random.random(35),
        np.unique(any_keys),
        0.75,
        np.unique(np.append(any_keys[:2], random.integers(0, 50, 6))),
        random.random(50) < 0.1,
        random.permutation(50).astype(np.uint64),
    )
    weight, unknown = random.choice([0.5, 0.3136]), random.choice([0.0, 0.3])
    encoded = Encoded(rows, log_probs, best_items, best_log_probs, float(weight), float(unknown))
    found = []
    for kernels in (pure, compiled):
        places = Places(
            np.full((users, 5), -1), np.full((users, 5), -np.inf), np.full((users, 5), -1),
            np.zeros((users, 5)),
        )  # fmt: skip
        kernels.blend_top(pool, others, encoded, places)
        found.append(places)
    same(*found)


@needs_compiled
@given(SEEDS)
def test_paths_are_the_same_bits(seed: int) -> None:
    random = np.random.default_rng(seed)
    pairs = int(random.integers(0, 12))
    degrees = random.integers(1, 9, pairs)
    count = int(degrees.sum())
    edges = EdgeColumns(
        random.integers(0, 3, count) / 7,
        random.integers(0, 1 << 41, count),
        np.cumsum(degrees) - degrees,
        random.integers(0, 4, pairs),
        random.random(pairs) + 0.1,
    )
    keys = np.sort(random.integers(0, 9, count + 5))
    grouped = pure.group_entries(keys, random.permutation(count + 5), [])
    positions = random.integers(-1, len(grouped.keys), 10)
    same(
        pure.strongest_paths(positions, grouped.start, grouped.entries, edges),
        compiled.strongest_paths(positions, grouped.start, grouped.entries, edges),
    )


@needs_compiled
def test_what_would_be_read_beyond_its_end_is_refused() -> None:
    three = np.zeros(3)
    with pytest.raises(IndexError, match="outside"):
        compiled.choose_top(three, np.array([0, 4]), np.arange(3), np.zeros(9, np.uint64), 2)
    with pytest.raises(IndexError):
        compiled.choose_top(three, np.array([0, 3]), np.arange(3), np.zeros(2, np.uint64), 2)
