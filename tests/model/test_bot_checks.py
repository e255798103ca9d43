"""Users that look like machines are found, and people who come near them are not."""

import numpy as np
import pytest

from model.data import Event
from model.time_checks import DAY_MS
from tests.model.checked_logs import START_MS, found, people


def test_a_scraper_is_busy_and_the_keenest_person_is_not():
    random = np.random.default_rng(1)
    times = np.sort(random.integers(0, DAY_MS // 2, 3000)) + START_MS // DAY_MS * DAY_MS
    bot = [Event("scraper", f"i{n % 40}", time) for n, time in enumerate(times.tolist())]
    finding = found([*people(), *bot], "busy_users")
    assert (finding.count, finding.severity) == (1, "warning")
    assert "scraper" in finding.detail
    assert finding.share == pytest.approx(3000 / (3000 + 3600))
    assert found([*people(), *bot[:400]], "busy_users").count == 0


def test_equal_gaps_are_a_machines_even_with_pauses_and_jitter():
    random = np.random.default_rng(2)
    gaps = 60_000 + random.integers(-1500, 1500, 50)
    gaps[[10, 30]] = 8 * 3_600_000
    times = START_MS + np.cumsum(gaps)
    monitor = [Event("monitor", f"i{n % 40}", time) for n, time in enumerate(times.tolist())]
    finding = found([*people(events=30), *monitor], "regular_users")
    assert (finding.count, finding.severity) == (1, "warning")
    assert "monitor" in finding.detail


def test_gaps_that_are_equal_by_rounding_are_no_machines():
    rows = [
        Event(f"u{user}", f"i{n % 40}", START_MS // 1000 * 1000 + (user * 100 + n) * 1000)
        for user in range(3)
        for n in range(30)
    ]
    assert found(rows, "regular_users").count == 0


def test_a_user_stuck_on_one_item_is_noticed():
    random = np.random.default_rng(3)
    times = START_MS + np.cumsum(1 + random.exponential(3_600_000, 40).astype(np.int64))
    stuck = [Event("stuck", "i1", time) for time in times.tolist()]
    assert found([*people(events=30), *stuck], "one_item_users").count == 1
    assert found(people(events=30), "one_item_users").count == 0
