"""Latency of an open loop: from a click's planned instant to the first list that includes it."""

import pytest

from streams.bench.open_loop import SeenList, SentClick, latencies, quantile


def test_a_list_of_a_later_click_includes_the_earlier_ones_of_its_user():
    clicks = [SentClick(0, 7, "ann", 1.0), SentClick(0, 9, "ann", 1.5)]
    lists = [SeenList(0, 9, "ann", 2.0)]
    assert latencies(clicks, lists) == [0.5, 1.0]


def test_neither_an_older_list_nor_another_partition_or_user_counts():
    click = SentClick(1, 5, "ann", 1.0)
    others = [
        SeenList(1, 4, "ann", 1.1),
        SeenList(0, 9, "ann", 1.2),
        SeenList(1, 9, "bob", 1.3),
        SeenList(1, 6, "ann", 3.0),
    ]
    assert latencies([click], others) == [2.0]


def test_a_list_that_comes_twice_counts_once_and_by_its_first_coming():
    lists = [SeenList(0, 5, "ann", 4.0), SeenList(0, 5, "ann", 3.0)]
    assert latencies([SentClick(0, 5, "ann", 1.0)], lists) == [2.0]


def test_a_click_without_a_list_fails_the_run():
    with pytest.raises(RuntimeError, match="1 of 2 clicks are on no list"):
        latencies(
            [SentClick(0, 1, "ann", 1.0), SentClick(0, 1, "bob", 1.0)],
            [SeenList(0, 1, "ann", 2.0)],
        )


def test_quantiles_are_values_that_occurred():
    values = [float(n) for n in range(1, 101)]
    assert [quantile(values, share) for share in (0.5, 0.99, 0.999)] == [51.0, 100.0, 100.0]
