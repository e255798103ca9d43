"""Clicks under way: a user never has more of them than a replay can find again."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from streams.in_flight import InFlight

KEYS = st.sampled_from([b"u1", b"u2", b"u3", None])
COUNTS = st.lists(KEYS, min_size=1, max_size=12).map(Counter)


@given(st.lists(COUNTS, max_size=5), st.sets(st.integers(0, 4)), COUNTS, st.integers(0, 20))
def test_a_batch_fits_while_no_user_exceeds_the_limit(
    batches: list[Counter[bytes | None]],
    ended: set[int],
    keys: Counter[bytes | None],
    limit: int,
) -> None:
    in_flight = InFlight()
    for batch in batches:
        in_flight.begin(batch)
    for number in ended & set(range(len(batches))):
        in_flight.end(batches[number])
    left = [batch for number, batch in enumerate(batches) if number not in ended]
    under_way: Counter[bytes | None] = sum(left, Counter())
    assert len(in_flight) == len(left)
    assert all(in_flight.of(key) == under_way[key] for key in (b"u1", b"u2", b"u3", None))
    most = max((under_way + keys)[key] for key in keys)
    assert in_flight.fits(keys, limit) == (most <= limit)


def test_batches_that_look_alike_are_two() -> None:
    in_flight = InFlight()
    first, second = Counter([b"u"]), Counter([b"u"])
    in_flight.begin(first)
    in_flight.begin(second)
    in_flight.end(first)
    assert in_flight.of(b"u") == 1
