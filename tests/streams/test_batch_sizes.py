"""Batches of the engine: large where many wait, never all of them, and none that is late."""

from typing import Any

import pytest

from tests.streams.batcher_bench import Bench


async def _batches(bench: Bench, waiting: int) -> list[int]:
    """Sizes of the batches that serve so many who wait from the beginning."""
    sizes: list[int] = []
    take = bench.batcher._queue.take

    def taking(limit: int) -> list[Any]:
        taken = take(limit)
        sizes.append(len(taken))
        return taken

    bench.batcher._queue.take = taking  # type: ignore[method-assign]
    ticket = bench.clicks(**{f"u{number}": number for number in range(waiting)})
    bench.start(with_model=True)
    await ticket.published()
    await bench.stop()
    assert bench.failures == []
    return sizes


@pytest.mark.parametrize(
    ("waiting", "sizes"),
    [
        (50, [50]),
        (100, [64, 36]),
        (400, [200, 100, 64, 36]),
        (1_000, [256, 256, 244, 122, 64, 58]),
    ],
)
async def test_a_batch_takes_half_of_a_long_queue_and_leaves_the_rest_to_prepare_meanwhile(
    waiting: int, sizes: list[int]
) -> None:
    assert await _batches(Bench(list_deadline_seconds=30), waiting) == sizes


async def test_batches_are_no_larger_than_told() -> None:
    bench = Bench(batch_max_users=10, list_deadline_seconds=30)
    assert await _batches(bench, 25) == [10, 10, 5]


async def test_an_engine_that_is_slow_gets_batches_that_it_is_done_with_in_time() -> None:
    bench = Bench(list_deadline_seconds=4)
    bench.batcher._inference.users_within = lambda seconds: seconds * 20  # type: ignore[method-assign]
    assert await _batches(bench, 50) == [20, 20, 10]


async def test_an_engine_that_is_too_slow_for_one_gets_one_at_a_time() -> None:
    bench = Bench(list_deadline_seconds=4)
    bench.batcher._inference.users_within = lambda _: 0.2  # type: ignore[method-assign]
    assert await _batches(bench, 3) == [1, 1, 1]
