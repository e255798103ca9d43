"""Replaying a log: times, order, pacing and the report, with a sender that remembers."""

from pathlib import Path

import msgspec
import pytest

from streams.click_logs import ClickLog
from streams.columns import CLICKS
from streams.events import ClickLimits, Reject, decode_click
from streams.replay import WEEK_MS, ReplayPlan, record_time_of, replay, shift_weeks
from streams.sender import Pace, SendError

NOW_MS = 1_769_860_800_000
DAY_MS = 86_400_000


class FakeSender:
    """Remembers what was sent; fails at one record if told to."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.sent: list[tuple[bytes, dict[str, object], int | None]] = []
        self.finished = False
        self._fail_at = fail_at

    def send(self, key: bytes, value: bytes | None, timestamp_ms: int | None = None) -> None:
        if len(self.sent) == self._fail_at:
            raise SendError("the broker went away")
        assert value is not None
        self.sent.append((key, msgspec.json.decode(value), timestamp_ms))

    def finish(self) -> int:
        self.finished = True
        return len(self.sent)


def _log(tmp_path: Path, times_ms: list[int]) -> ClickLog:
    path = tmp_path / "log.csv"
    rows = [f"u{n},i{n},{time_ms}" for n, time_ms in enumerate(times_ms)]
    path.write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    return ClickLog(path, CLICKS)


@pytest.mark.parametrize(
    "age_ms", [0, 1, WEEK_MS - 1, WEEK_MS, 523 * WEEK_MS + 5, -1, -3 * WEEK_MS]
)
def test_a_shift_is_whole_weeks_and_ends_in_the_past_week(age_ms: int) -> None:
    last_ms = NOW_MS - age_ms
    shifted = last_ms + shift_weeks(last_ms, NOW_MS) * WEEK_MS
    assert NOW_MS - WEEK_MS < shifted <= NOW_MS
    assert (shifted - last_ms) % WEEK_MS == 0


def test_gaps_stay_and_records_go_out_in_order_with_the_user_as_key(tmp_path: Path) -> None:
    sender = FakeSender()
    first = NOW_MS - 60 * WEEK_MS
    log = _log(tmp_path, [first + 5000, first, first + 9000])
    report = replay(log, sender, ReplayPlan(), Pace(), now_ms=NOW_MS)
    times = [int(str(body["timestamp"])) for _, body, _ in sender.sent]
    assert [key for key, _, _ in sender.sent] == [b"u1", b"u0", b"u2"]
    assert [time_ms - times[0] for time_ms in times] == [0, 5000, 9000]
    assert NOW_MS - WEEK_MS < times[-1] <= NOW_MS
    assert sender.finished
    assert (report.clicks, report.shifted_weeks, report.record_time) == (3, 59, "now")
    assert [stamp for _, _, stamp in sender.sent] == [None] * 3


def test_without_a_shift_times_stay(tmp_path: Path) -> None:
    sender = FakeSender()
    plan = ReplayPlan(shift_to_now=False)
    replay(_log(tmp_path, [1_000_000_000_000]), sender, plan, Pace(), now_ms=NOW_MS)
    assert sender.sent[0][1]["timestamp"] == 1_000_000_000_000


def test_a_log_longer_than_the_window_gets_its_event_times_as_record_times(tmp_path: Path) -> None:
    sender = FakeSender()
    log = _log(tmp_path, [NOW_MS - 40 * DAY_MS, NOW_MS - DAY_MS])
    report = replay(log, sender, ReplayPlan(), Pace(), now_ms=NOW_MS)
    assert report.record_time == "event"
    assert [stamp for _, _, stamp in sender.sent] == [NOW_MS - 40 * DAY_MS, NOW_MS - DAY_MS]
    assert record_time_of(ReplayPlan(record_time="now"), 0, NOW_MS) == "now"


def test_what_is_sent_is_accepted_as_clicks(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(
        "user_id,item_id,timestamp,event_type,event_id,value,position,lat,lon\n"
        f"u,i,{NOW_MS},like,e1,2.5,3,40.5,-74\n"
    )
    sender = FakeSender()
    replay(ClickLog(path, CLICKS), sender, ReplayPlan(), Pace(), now_ms=NOW_MS)
    limits = ClickLimits(max_age_ms=WEEK_MS, event_types=frozenset({"like"}))
    click = decode_click(msgspec.json.encode(sender.sent[0][1]), [], NOW_MS, limits)
    assert not isinstance(click, Reject)
    assert (click.user_id, click.item_id, click.event_type) == ("u", "i", "like")
    assert (click.event_id, click.value, click.position) == ("e1", 2.5, 3)
    assert click.place_cell != 0


def test_a_limit_stops_after_that_many_of_the_earliest(tmp_path: Path) -> None:
    sender = FakeSender()
    log = _log(tmp_path, [NOW_MS, NOW_MS - 2, NOW_MS - 1])
    report = replay(log, sender, ReplayPlan(limit=2), Pace(), now_ms=NOW_MS)
    assert [key for key, _, _ in sender.sent] == [b"u1", b"u2"]
    assert report.clicks == 2
    assert report.last_event.endswith(".999Z")


def test_progress_reaches_the_total(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    log = _log(tmp_path, [NOW_MS - n for n in range(600)])
    replay(
        log, FakeSender(), ReplayPlan(), Pace(), now_ms=NOW_MS,
        progress=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    assert steps == [(256, 600), (512, 600), (600, 600)]


def test_a_send_that_fails_ends_the_replay(tmp_path: Path) -> None:
    sender = FakeSender(fail_at=1)
    with pytest.raises(SendError):
        replay(_log(tmp_path, [NOW_MS, NOW_MS]), sender, ReplayPlan(), Pace(), now_ms=NOW_MS)
    assert not sender.finished


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_a_rate_spaces_records_evenly() -> None:
    time = FakeTime()
    pace = Pace(rate=4, clock=time.clock, sleep=time.sleep)
    for _ in range(5):
        pace.wait(0)
    assert time.slept == [0.25] * 4


def test_a_rate_catches_up_after_a_stall() -> None:
    time = FakeTime()
    pace = Pace(rate=4, clock=time.clock, sleep=time.sleep)
    pace.wait(0)
    time.now += 0.6
    for _ in range(3):
        pace.wait(0)
    assert sum(time.slept) == pytest.approx(0.75 - 0.6)


def test_a_speed_keeps_the_gaps_of_the_log() -> None:
    time = FakeTime()
    pace = Pace(speed=10, clock=time.clock, sleep=time.sleep)
    for event_ms in (7000, 7000, 12_000, 13_000):
        pace.wait(event_ms)
    assert time.slept == pytest.approx([0.5, 0.1])


def test_no_pace_never_sleeps_and_two_paces_are_refused() -> None:
    time = FakeTime()
    pace = Pace(clock=time.clock, sleep=time.sleep)
    pace.wait(0)
    pace.wait(10**9)
    assert time.slept == []
    with pytest.raises(ValueError, match="not both"):
        Pace(rate=1, speed=1)
