"""The job that all peers do."""

import json

import pytest

from benchmarks.peers.commands import COMMANDS, ONE_STORE
from benchmarks.peers.job import LIST_SIZE, WINDOW_EVENTS, folded, output
from benchmarks.peers.run import STORES, told_rate


def click(number: int) -> bytes:
    return json.dumps({"item_id": f"i{number}", "timestamp": number}).encode()


def test_a_window_keeps_the_newest_clicks():
    window: list[list[object]] = []
    for number in range(WINDOW_EVENTS + 5):
        window = folded(window, click(number))
    assert len(window) == WINDOW_EVENTS
    assert (window[0], window[-1]) == (["i5", 5], ["i54", 54])


def test_the_message_has_the_last_items_newest_first_and_each_once():
    window: list[list[object]] = []
    for number in [*range(12), 11, 3]:
        window = folded(window, click(number))
    items = output("ann", window)["items"]
    assert items[:3] == ["i3", "i11", "i10"]
    assert len(items) == len(set(items)) == LIST_SIZE


def test_a_peer_with_one_store_has_one_that_is_measured():
    assert set(ONE_STORE) < set(COMMANDS)
    assert set(ONE_STORE.values()) <= set(STORES)


def test_a_rate_is_told_by_two_commits_and_not_by_one_or_by_freshrecs_that_are_too_near():
    assert told_rate("freshrec", 100_000, 20_000, 2.0) == 40_000.0
    assert told_rate("confluent_consume", 100_000, 20_000, 0.1) == pytest.approx(800_000.0)
    for name, first, seconds in (("quixstreams", 100_000, 2.0), ("freshrec", 20_000, 0.1)):
        with pytest.raises(RuntimeError, match="take more with --clicks"):
            told_rate(name, 100_000, first, seconds)
