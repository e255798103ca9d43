"""A fault run's clicks hold all that producers get wrong, in a way that can be repeated."""

import json
from collections import Counter
from itertools import islice, pairwise

from streams.bench.faults.clicks import ClickRecord, Mix, click_records
from streams.events import Reject, RejectReason, decode_click
from streams.settings import Settings

NOW_MS = 1_800_000_000_000
MIX = Mix(users=50, items=20, seed=3)


def take(count: int, mix: Mix = MIX) -> list[ClickRecord]:
    return list(islice(click_records(mix, NOW_MS), count))


def test_the_same_seed_gives_the_same_records() -> None:
    assert take(500) == take(500)
    assert take(500) != take(500, Mix(users=50, items=20, seed=4))


def test_most_are_good_and_the_rest_is_rejected_for_many_reasons() -> None:
    limits = Settings().click_limits()
    reasons: Counter[RejectReason | None] = Counter()
    for record in take(20_000):
        if record.value is None:
            continue
        now_ms = record.timestamp_ms or NOW_MS
        click = decode_click(record.value, [], now_ms, limits)
        reasons[click.reason if isinstance(click, Reject) else None] += 1
    assert reasons[None] > 0.97 * 20_000
    assert set(reasons) >= {
        RejectReason.MALFORMED_JSON,
        RejectReason.MISSING_FIELD,
        RejectReason.WRONG_TYPE,
        RejectReason.BAD_TIMESTAMP,
        RejectReason.TOO_OLD,
        RejectReason.IN_FUTURE,
        RejectReason.TOO_LARGE,
        RejectReason.UNKNOWN_EVENT_TYPE,
    }


def test_good_clicks_have_their_user_as_key() -> None:
    for record in take(2_000):
        if record.value is not None and record.value.startswith(b'{"event_id"'):
            assert record.key == json.loads(record.value)["user_id"].encode()


def test_records_are_repeated_and_come_out_of_order() -> None:
    records = take(5_000)
    good = [r.value for r in records if r.value and r.value.startswith(b'{"event_id"')]
    assert 0.01 < 1 - len(set(good)) / len(good) < 0.04
    times = [json.loads(value)["timestamp"] for value in good]
    assert sum(b < a for a, b in pairwise(times)) > 100


def test_clocks_are_off_by_up_to_an_hour_and_never_by_more_than_brokers_accept() -> None:
    stamps = [r.timestamp_ms for r in take(20_000) if r.timestamp_ms is not None]
    ahead = max(stamps) - NOW_MS
    behind = NOW_MS - min(stamps)
    assert 3_500_000 < ahead < 3_600_000
    assert 3_500_000 < behind <= 3_600_000
