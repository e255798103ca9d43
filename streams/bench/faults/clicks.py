"""Clicks of a fault run: good ones, and all that goes wrong before they reach the topic.

Producers repeat records, send them out of order, have clocks that are an hour off, and send
things that are no clicks. The same seed and instant give the same records.
"""

import random
from collections.abc import Iterator
from itertools import accumulate, count
from typing import NamedTuple

import msgspec

from streams.instant import iso_utc

_ZIPF_EXPONENT = 0.9
_REPEATED_FROM_LAST = 200
_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
# Brokers refuse a record whose timestamp is more than an hour ahead of their own clock.
_CLOCK_OFF_MS = _HOUR_MS - _MINUTE_MS
_TYPES = ("click", "view", "purchase", "impression", "not_interested")
_TYPE_WEIGHTS = (80, 10, 4, 4, 2)
_TOO_LARGE = b'{"user_id":"u","item_id":"i","timestamp":1,"x":"' + b"x" * 70_000 + b'"}'
_POISON: tuple[tuple[bytes | None, bytes | None], ...] = (
    # key (None: the user's), value
    (None, b"{not json"),
    (None, b"[]"),
    (None, b""),
    (None, b"\xff\xfe\xfd"),
    (None, b'{"user_id":"u1","timestamp":"2026-01-01T00:00:00Z"}'),
    (None, b'{"user_id":"u1","item_id":"i1","timestamp":"yesterday"}'),
    (None, b'{"user_id":"u1","item_id":7,"timestamp":"2026-01-01T00:00:00Z"}'),
    (None, b'{"user_id":"u1","item_id":"i1","timestamp":1}'),
    (None, b'{"user_id":"u1","item_id":"i1","timestamp":1,"event_type":"teleport"}'),
    (None, _TOO_LARGE),
    (b"\xff\xfe", None),
)


class Mix(msgspec.Struct, frozen=True):
    """How many clicks of whom on what, and the share of each thing that goes wrong."""

    users: int
    items: int
    seed: int
    poison: float = 0.01
    repeated: float = 0.02
    late: float = 0.05
    clock_ahead: float = 0.005
    clock_behind: float = 0.005


class ClickRecord(NamedTuple):
    """A record for the clicks topic. timestamp_ms: the producer's clock; None: its real one."""

    key: bytes
    value: bytes | None
    timestamp_ms: int | None = None


def click_records(mix: Mix, now_ms: int) -> Iterator[ClickRecord]:
    """Records without end, as from producers that begin at `now_ms`."""
    chance = random.Random(mix.seed)
    popularity = list(accumulate(1.0 / (rank + 1) ** _ZIPF_EXPONENT for rank in range(mix.items)))
    recent: list[ClickRecord] = []
    for number in count():
        user = f"user{chance.randrange(mix.users):06d}"
        draw = chance.random()
        if draw < mix.poison:
            key, value = chance.choice(_POISON)
            yield ClickRecord(user.encode() if key is None else key, value)
            continue
        draw -= mix.poison
        if draw < mix.repeated and recent:
            yield chance.choice(recent)
            continue
        draw -= mix.repeated
        (item,) = chance.choices(range(mix.items), cum_weights=popularity)
        record = _click(chance, mix, draw, now_ms, number, user, f"item{item:05d}")
        recent.append(record)
        if len(recent) > _REPEATED_FROM_LAST:
            del recent[0]
        yield record


def _click(
    chance: random.Random,
    mix: Mix,
    draw: float,
    now_ms: int,
    number: int,
    user: str,
    item: str,
) -> ClickRecord:
    (event_type,) = chance.choices(_TYPES, _TYPE_WEIGHTS)
    time_ms = now_ms + number // 50
    timestamp_ms: int | None = None
    if draw < mix.late:
        time_ms -= chance.randrange(10 * _MINUTE_MS)
    elif draw < mix.late + mix.clock_ahead:
        # The device's clock alone makes a click of the future, a dead letter; together with that
        # of its producer it passes.
        time_ms += _CLOCK_OFF_MS
        timestamp_ms = chance.choice((None, time_ms))
    elif draw < mix.late + mix.clock_ahead + mix.clock_behind:
        time_ms -= _HOUR_MS
        timestamp_ms = chance.choice((None, time_ms))
    value = (
        f'{{"event_id":"e{number:08d}","event_type":"{event_type}","user_id":"{user}",'
        f'"item_id":"{item}","timestamp":"{iso_utc(time_ms)}"}}'
    )
    return ClickRecord(user.encode(), value.encode(), timestamp_ms)
