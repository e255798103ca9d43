"""Noise in logs: as much as asked for, nothing of the log itself changed."""

import numpy as np
import pytest

from model.checks import findings
from model.data import Event, Sequences, leave_one_out, sequences
from model.noise import BOT_KINDS, NoisyLog, with_bots, with_random_clicks


def a_log(users: int = 50, events: int = 20, *, has_times: bool = True) -> Sequences:
    random = np.random.default_rng(0)
    rows = [
        Event(
            f"u{user}", f"i{random.integers(0, 30)}",
            int(random.integers(1, 40)) * 1000 if has_times else 0,
            "click" if n % 3 else "purchase", user + 1,
        )
        for user in range(users)
        for n in range(events)
    ]  # fmt: skip
    return sequences(rows, has_times=has_times)


def contains(noisy: NoisyLog, log: Sequences) -> None:
    """The log's own events are all there, in their order, among nothing but the noise."""
    found, place = noisy.log, noisy.place
    assert found.events == log.events + noisy.inserted.sum()
    assert np.array_equal(np.flatnonzero(~noisy.inserted), place)
    for name in ("item", "event_type", "time_ms", "place_cell", "user"):
        assert np.array_equal(getattr(found, name)[place], getattr(log, name)), name
    assert np.array_equal(np.argsort(found.rank[place]), np.argsort(log.rank))
    assert np.array_equal(np.sort(found.rank), np.arange(found.events))
    assert found.items == log.items
    assert found.users[: len(log.users)] == log.users


@pytest.mark.parametrize("has_times", [True, False])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_random_clicks_are_the_asked_share_and_leave_the_log_as_it_was(
    share: float, has_times: bool
):
    log = a_log(has_times=has_times)
    noisy = with_random_clicks(log, share, np.random.default_rng(1))
    contains(noisy, log)
    assert noisy.inserted.mean() == pytest.approx(share, abs=0.001)
    assert noisy.log.has_times is has_times


def test_each_users_events_stay_in_order_of_time_and_the_last_one_is_never_noise():
    log = a_log()
    noisy = with_random_clicks(log, 0.5, np.random.default_rng(1))
    starts = noisy.log.starts
    for user in range(len(log.users)):
        own = slice(starts[user], starts[user + 1])
        assert (np.diff(noisy.log.time_ms[own]) >= 0).all()
        assert (np.diff(noisy.log.rank[own]) > 0).all()
    assert not noisy.inserted[starts[1:] - 1].any()


def test_what_is_predicted_stays_the_same_event_with_noise_before_it():
    log = a_log()
    noisy = with_random_clicks(log, 0.5, np.random.default_rng(1))
    examples = leave_one_out(log).test
    there = noisy.place[examples]
    assert np.array_equal(noisy.log.item[there], log.item[examples])
    before = there - noisy.log.starts[noisy.log.user[there]]
    assert before.mean() > 1.5 * (examples - log.starts[log.user[examples]]).mean()


def test_random_clicks_are_uniform_over_the_items_and_spread_over_the_events():
    log = a_log(users=200)
    noisy = with_random_clicks(log, 0.5, np.random.default_rng(1))
    items = np.bincount(noisy.log.item[noisy.inserted], minlength=len(log.items))
    expected = noisy.inserted.sum() / len(log.items)
    assert np.abs(items - expected).max() < 6 * np.sqrt(expected)
    by_user = np.bincount(noisy.log.user[noisy.inserted], minlength=len(log.users))
    assert by_user.min() > 0


def test_random_clicks_fall_between_the_events_they_stand_between():
    log = sequences([Event("u", "a", 0), Event("u", "b", 1_000_000)])
    noisy = with_random_clicks(log, 0.99, np.random.default_rng(1)).log
    times = noisy.time_ms[(noisy.time_ms > 0) & (noisy.time_ms < 1_000_000)]
    assert len(np.unique(times)) > 80
    assert 300_000 < times.mean() < 700_000


def test_no_share_is_the_log_itself_and_the_fingerprint_says_so():
    log = a_log()
    assert with_random_clicks(log, 0.0, np.random.default_rng(1)).log.fingerprint == log.fingerprint
    assert with_bots(log, 0.0, np.random.default_rng(1)).log.fingerprint == log.fingerprint
    noisy = with_random_clicks(log, 0.1, np.random.default_rng(1)).log
    assert noisy.fingerprint != log.fingerprint


@pytest.mark.parametrize("kind", BOT_KINDS)
def test_bots_are_users_of_their_own_and_leave_the_log_as_it_was(kind: str):
    log = a_log()
    noisy = with_bots(log, 0.2, np.random.default_rng(1), kind=kind, events_per_bot=25)
    contains(noisy, log)
    assert noisy.inserted.sum() == 250
    assert len(noisy.log.users) == len(log.users) + 10
    assert (noisy.log.user[noisy.inserted] >= len(log.users)).all()
    assert noisy.log.time_ms.max() == log.time_ms.max()


def test_the_kinds_of_bots_differ_in_their_items():
    log = a_log()

    def of_bot(kind: str) -> np.ndarray:
        noisy = with_bots(log, 0.2, np.random.default_rng(1), kind=kind, events_per_bot=50).log
        return noisy.item[noisy.starts[-2] : noisy.starts[-1]]

    assert len(np.unique(of_bot("one-item"))) == 1
    assert np.array_equal(of_bot("loop")[:5], of_bot("loop")[5:10])
    assert len(np.unique(of_bot("random"))) > 10


def test_the_checks_of_a_log_find_the_bots():
    rows = [
        Event(f"u{u}", f"i{(u + n) % 29}", 1_750_000_000_000 + u * 77_777 + n * n * 911_000)
        for u in range(40)
        for n in range(30)
    ]
    log = sequences(rows)
    noisy = with_bots(log, 0.1, np.random.default_rng(1), kind="one-item", events_per_bot=40).log
    bots = len(noisy.users) - len(log.users)
    now_ms = 1_760_000_000_000
    before = {f.name: f.count for f in findings(log, now_ms=now_ms)}
    after = {f.name: f.count for f in findings(noisy, now_ms=now_ms)}
    for name in ("regular_users", "one_item_users"):
        assert (before[name], after[name]) == (0, bots)


def test_a_user_who_is_called_like_a_bot_keeps_the_name():
    log = sequences([Event("bot-0", "a", 1), Event("bot-0", "b", 2_000_000), Event("v", "a", 5)])
    users = with_bots(log, 0.9, np.random.default_rng(1), events_per_bot=9).log.users
    assert users == ["bot-0", "v", "bot-1", "bot-2", "bot-3"]


def test_the_same_seed_gives_the_same_noise():
    log = a_log()
    one, other = (with_random_clicks(log, 0.1, np.random.default_rng(3)).log for _ in range(2))
    assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_that_cannot_be_is_refused(share: float):
    with pytest.raises(ValueError, match="share of noise must be"):
        with_random_clicks(a_log(), share, np.random.default_rng(0))
    with pytest.raises(ValueError, match="share of noise must be"):
        with_bots(a_log(), share, np.random.default_rng(0))


def test_bots_of_no_known_kind_or_with_one_event_are_refused():
    with pytest.raises(ValueError, match="none of random, loop, one-item"):
        with_bots(a_log(), 0.1, np.random.default_rng(0), kind="evil")
    with pytest.raises(ValueError, match="two events"):
        with_bots(a_log(), 0.1, np.random.default_rng(0), events_per_bot=1)
