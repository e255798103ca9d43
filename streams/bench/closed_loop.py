"""Closed loop: so many users wait for a list all the time, for as long as it takes.

Whenever a list comes, the next user clicks. So the worker always has something to do, every click
asks for a list of its own (a backlog of many clicks a user does not: they get one list together),
and nobody waits so long that a list is made without the encoder.
"""

import logging
import random
import time
from collections.abc import Callable, Iterable
from itertools import cycle
from typing import NamedTuple

import msgspec
from confluent_kafka import Producer

from streams.bench.open_loop import Clicks, subscribe
from streams.settings import Settings

log = logging.getLogger(__name__)

_MOST_AT_ONCE = 1_000
_POLL_SECONDS = 0.005
_PATIENCE_SECONDS = 60.0

Values = Iterable[tuple[str, bytes]]
"""User and message of each list that came."""


class _Served(msgspec.Struct):
    """What is read of a list."""

    model: object | None


_decode = msgspec.json.Decoder(_Served).decode


class Throughput(NamedTuple):
    """What came while the worker was kept busy."""

    lists: int
    encoded: int
    """Of the lists, those that the encoder had a part in."""
    seconds: float


def saturate(
    clicks: Clicks,
    *,
    waiting: int,
    lists: int,
    click: Callable[[str], None],
    arrived: Callable[[], Values],
    began: Callable[[], None] = lambda: None,
    ended: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
) -> Throughput:
    """Keep `waiting` users waiting until `lists` have come that count, after twice as many as wait
    that do not; returns when nobody waits any more.

    click: send a click of a user; arrived: what has come since it was asked last; began, ended:
    called around the lists that count. RuntimeError when nothing comes for a minute, or when there
    are no more users than wait.
    """
    if waiting >= clicks.users:
        raise RuntimeError(
            f"{waiting} cannot wait while others click: give more than {clicks.users} users"
        )
    users = cycle(map(clicks.user, range(clicks.users)))
    pending: set[str] = set()
    for _ in range(waiting):
        user = next(users)
        pending.add(user)
        click(user)
    warm_up = 2 * waiting
    came, began_at, ended_at = 0, 0.0, 0.0
    counted: list[bytes] = []
    last = clock()
    while pending:
        answers = arrived()
        now = clock()
        for user, value in answers:
            last = now
            if user not in pending:  # a list can come twice
                continue
            pending.discard(user)
            came += 1
            if warm_up < came <= warm_up + lists:
                counted.append(value)
            if came == warm_up:
                began_at = now
                began()
            if came == warm_up + lists:
                ended_at = now
                ended()
            if came < warm_up + lists:
                other = next(users)
                pending.add(other)
                click(other)
        if now - last > _PATIENCE_SECONDS:
            raise RuntimeError(f"{len(pending)} users have waited for a list for a minute")
    encoded = sum(_decode(value).model is not None for value in counted)
    return Throughput(len(counted), encoded, ended_at - began_at)


class Crowd:
    """Sends the clicks and takes the lists of everybody."""

    def __init__(self, settings: Settings, clicks: Clicks) -> None:
        self._topic = settings.clicks
        self._clicks = clicks
        self._chance = random.Random(clicks.seed)
        self._producer = Producer(
            settings.librdkafka(**{"partitioner": "murmur2", "linger.ms": 1}), logger=log
        )
        self._consumer = subscribe(settings)
        self._consumer.poll(0.5)  # connected, before the first click leaves

    def click(self, user: str) -> None:
        """Send one click of that user, now."""
        key, value = self._clicks.of_user(user, self._chance)
        self._producer.produce(self._topic, value, key)
        self._producer.poll(0)

    def arrived(self) -> Values:
        """The lists that came since this was asked last; waits a moment for one."""
        return [
            ((message.key() or b"").decode(), message.value() or b"{}")
            for message in self._consumer.consume(_MOST_AT_ONCE, _POLL_SECONDS)
            if message.error() is None
        ]

    def close(self) -> None:
        """Disconnect."""
        self._producer.flush(10)
        self._consumer.close()
