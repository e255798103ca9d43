"""The windows of the benchmark of many users: as many events as asked for, whoever writes them."""

import pytest

from streams.bench.large_state import LargeState, changes, window_of
from streams.window import decode_window
from tests.streams.window_model import T0


@pytest.mark.parametrize("events", [1, 100, 700])
def test_a_window_holds_every_event_and_none_is_too_old(events: int) -> None:
    window = window_of(3, LargeState(users=10, events=events), T0)
    assert len(window) == events
    assert window.watermarks == {0: 3 * events + events - 1}
    assert window.newest_ms < T0


def test_the_writers_share_the_users_and_each_user_is_written_once() -> None:
    plan = LargeState(users=7, events=5, writers=3)
    shares = [list(changes(plan, writer, T0)) for writer in range(3)]
    keys = [key for share in shares for key, _ in share]
    assert sorted(keys) == [f"user{user:07d}".encode() for user in range(7)]
    windows = {key: decode_window(blob) for share in shares for key, blob in share}
    assert windows[b"user0000004"].items == window_of(4, plan, T0).items
    assert len({tuple(window.items) for window in windows.values()}) == 7
