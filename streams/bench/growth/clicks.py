"""Clicks for a shard: every item visited, then a simulated stream; and windows of long ago."""

import random
from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec
import numpy as np

from streams.click import Click
from streams.core import StreamRecord
from streams.simulate import Simulation, SimulationConfig
from streams.window import Window, WindowConfig, fold

_RATE = 1_000.0
_FIRST_OFFSET = 1_000_000
"""Offsets below it are those of the clicks that windows were made of."""
_TEMPLATES = 200
_STEP_MS = 3_600_000
_VISITS_OF_USER = 20
_SKEW = 3


def user_id(number: int) -> str:
    """As the simulation names its users."""
    return f"u{number:07d}"


class Clicks:
    """Records in offset order, a millisecond apart on average, that nothing repeats."""

    def __init__(self, users: int, items: Sequence[str], now_ms: int, seed: int = 7) -> None:
        self.now_ms = now_ms
        self._users = users
        self._items = items
        self._offset = _FIRST_OFFSET
        self._seed = seed
        self._stream: Iterator[StreamRecord] | None = None

    def visits(self, passes: int) -> Iterator[StreamRecord]:
        """Every item once in each pass, in random order, so that it leads somewhere."""
        chance = np.random.default_rng(self._seed)
        for _ in range(passes):
            for number, item in enumerate(chance.permutation(len(self._items)).tolist()):
                user = user_id(number // _VISITS_OF_USER % self._users)
                yield self._record(user, self._items[item], "click", self.now_ms + 1)

    def take(self, count: int) -> list[StreamRecord]:
        """The next of the simulated stream."""
        if self._stream is None:
            self._stream = self._simulated()
        return list(islice(self._stream, count))

    def windows(self, events: int, config: WindowConfig) -> Iterator[tuple[str, Window]]:
        """A window of so many events for every user, before all clicks.

        There are no more than 200 different ones.
        """
        chance = random.Random(self._seed)
        step_ms = min(_STEP_MS, config.max_age_ms // (2 * events))
        before_ms = self.now_ms - (events + 1) * step_ms
        templates = []
        for _ in range(min(_TEMPLATES, self._users)):
            window: Window | None = None
            for number in range(events):
                item = self._items[int(len(self._items) * chance.random() ** _SKEW)]
                at_ms = before_ms + number * step_ms
                event_id = f"{chance.getrandbits(64):x}"
                click = Click("", item, chance.choice(("view", "click")), at_ms, event_id)
                window, _, _ = fold(window, click, 0, number, at_ms, config)
            templates.append(window if window is not None else Window())
        for number in range(self._users):
            yield user_id(number), templates[number % len(templates)]

    def _simulated(self) -> Iterator[StreamRecord]:
        config = SimulationConfig(
            users=self._users, items=len(self._items), clicks_per_second=_RATE
        )
        for click in Simulation(config, self._seed, self.now_ms).clicks():
            item = self._items[int(click.item_id[1:])]
            yield self._record(click.user_id, item, click.event_type, click.timestamp_ms)

    def _record(self, user: str, item: str, event_type: str, at_ms: int) -> StreamRecord:
        self.now_ms = at_ms
        self._offset += 1
        value = {
            "user_id": user,
            "item_id": item,
            "timestamp": at_ms,
            "event_type": event_type,
            "event_id": f"e{self._offset:09d}",
        }
        return StreamRecord(self._offset, at_ms, user.encode(), msgspec.json.encode(value))
