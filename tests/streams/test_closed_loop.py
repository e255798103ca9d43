"""Closed loop: as many users wait as were asked for, and each click asks for one list."""

from collections import Counter

import pytest

from streams.bench.closed_loop import saturate
from streams.bench.open_loop import Clicks

_ENCODED = b'{"model":{"name":"m"},"items":[]}'
_LATE = b'{"model":null,"items":[]}'


class Lists:
    """Answers a few of those who wait, oldest first, one second a time."""

    def __init__(self, at_once: int, value: bytes = _ENCODED) -> None:
        self.at_once = at_once
        self.value = value
        self.waiting: list[str] = []
        self.clicks: Counter[str] = Counter()
        self.most = 0
        self.now = 0.0
        self.slow_until_click = 0

    def click(self, user: str) -> None:
        assert user not in self.waiting
        self.waiting.append(user)
        self.clicks[user] += 1
        self.most = max(self.most, len(self.waiting))

    def arrived(self) -> list[tuple[str, bytes]]:
        slow = sum(self.clicks.values()) <= self.slow_until_click
        self.now += 10.0 if slow else 1.0
        served, self.waiting = self.waiting[: self.at_once], self.waiting[self.at_once :]
        return [(user, self.value) for user in served]


def _run(lists: Lists, *, users: int = 20, waiting: int = 8, count: int = 40):
    return saturate(
        Clicks(users, ["i1"], seed=1),
        waiting=waiting,
        lists=count,
        click=lists.click,
        arrived=lists.arrived,
        clock=lambda: lists.now,
    )


def test_so_many_wait_at_a_time_and_nobody_at_the_end():
    lists = Lists(at_once=4)
    _run(lists)
    assert lists.most == 8
    assert not lists.waiting


def test_lists_count_after_as_many_as_wait_twice_over():
    lists = Lists(at_once=4)
    lists.slow_until_click = 8 + 3 * 4  # and so until 16 lists have come
    throughput = _run(lists)
    assert (throughput.lists, throughput.encoded) == (40, 40)
    assert throughput.seconds == 10.0


def test_users_click_in_turn():
    lists = Lists(at_once=4)
    _run(lists)
    assert max(lists.clicks.values()) - min(lists.clicks.values()) <= 1


def test_what_the_encoder_had_no_part_in_is_told():
    throughput = _run(Lists(at_once=4, value=_LATE))
    assert (throughput.lists, throughput.encoded) == (40, 0)


def test_a_list_that_comes_twice_counts_once():
    class Twice(Lists):
        def arrived(self) -> list[tuple[str, bytes]]:
            return [one for one in super().arrived() for _ in range(2)]

    assert _run(Twice(at_once=4)).seconds == 10.0


def test_lists_that_do_not_come_end_the_run():
    with pytest.raises(RuntimeError, match="8 users have waited"):
        _run(Lists(at_once=0))


def test_more_users_must_exist_than_wait():
    with pytest.raises(RuntimeError, match="give more than 8 users"):
        _run(Lists(at_once=4), users=8)
