"""List queue: users who wait for a list, each of them once, until the list is on its way.

A user's entry is in the queue until a batch takes it, and among the taken ones until its list is
sent or not wanted any more, so that an erasure finds it wherever it is. Of two taken entries of
one user the older hands over to the newer: no list is followed by an older one.
"""

import asyncio
import time
from collections.abc import Mapping
from itertools import islice

import msgspec

from streams.effects import Change
from streams.partition import Partition


class Ticket:
    """What one batch of clicks waits for: the lists of its users, each published once or more."""

    __slots__ = ("_done", "_users")

    def __init__(self, users: int) -> None:
        self._users = users
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if users == 0:
            self._done.set_result(None)

    def settle(self) -> None:
        """One user's list is acknowledged, or not wanted any more."""
        self._users -= 1
        if self._users == 0 and not self._done.done():
            self._done.set_result(None)

    def fail(self, error: BaseException) -> None:
        """A list could not be published."""
        if not self._done.done():
            self._done.set_exception(error)

    async def published(self) -> None:
        """Wait for all of them; raises what `fail` was given."""
        await self._done


class Waiting(msgspec.Struct, gc=True, eq=False):
    """A user in the queue or being scored."""

    user_id: str
    partition: Partition
    topic: str
    change: Change
    since: float
    """Monotonic seconds at which the oldest unserved click came in."""
    arrived: float
    """Monotonic seconds at which that click began to wait, in Kafka or here."""
    tickets: list[Ticket]
    cancelled: bool = False
    settled: bool = False

    def settle(self) -> None:
        """Tell every batch that waits for this list."""
        self.settled = True
        for ticket in self.tickets:
            ticket.settle()

    def wanted(self) -> bool:
        """Whether a list may still be published; who is not wanted any more is settled."""
        if self.cancelled or self.partition.closed:
            self.settle()
            return False
        return True


def waited_ms(record_time_ms: int, now_ms: int, read_to_end_ms: int | None) -> int:
    """How long a click has waited in Kafka; 0 where it came just now.

    The record's own time is what its producer says, and may be wrong or of another year. It is
    believed where it lies between two instants of this worker's clock: now, and the last at which
    the partition held nothing unread (`read_to_end_ms`), since the click came after that. So a
    worker that keeps up never takes a click for old, whatever its producer's clock, and old clicks
    that are replayed are old until the partition is once read to its end (None: not yet).
    """
    if read_to_end_ms is not None and read_to_end_ms > record_time_ms:
        record_time_ms = read_to_end_ms
    return max(0, now_ms - record_time_ms)


class ListQueue:
    """Users in the order of their oldest unserved click, and those taken from it."""

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._taken: dict[str, list[Waiting]] = {}
        """Entries whose list is not out yet, oldest first."""
        self._arrived = asyncio.Event()

    def put(
        self,
        partition: Partition,
        topic: str,
        changed: Mapping[str, Change],
        *,
        now_ms: int,
        read_to_end_ms: int | None = None,
    ) -> Ticket:
        """Changed users; one who is waiting already is only brought up to date.

        now_ms, read_to_end_ms: see `waited_ms`.
        """
        ticket = Ticket(len(changed))
        waiting = self._waiting
        now = time.monotonic()
        for user_id, change in changed.items():
            entry = waiting.get(user_id)
            if entry is None:
                waited = waited_ms(change.record_time_ms, now_ms, read_to_end_ms) / 1000.0
                waiting[user_id] = Waiting(
                    user_id, partition, topic, change, now, now - waited, [ticket]
                )
            else:
                entry.partition = partition
                entry.topic = topic
                entry.change = change
                entry.tickets.append(ticket)
        if changed:
            self._arrived.set()
        return ticket

    def take(self, limit: int) -> list[Waiting]:
        """The users who have waited longest; from here on until `release` each is a taken one."""
        users = list(islice(self._waiting, limit))
        entries = [self._waiting.pop(user_id) for user_id in users]
        for entry in entries:
            self._taken.setdefault(entry.user_id, []).append(entry)
        return entries

    def release(self, entry: Waiting) -> None:
        """No list is on its way for this entry any more."""
        taken = self._taken[entry.user_id]
        taken.remove(entry)
        if not taken:
            del self._taken[entry.user_id]

    def supersede(self, entry: Waiting) -> None:
        """Release an entry whose list is made; older ones of its user hand over to it.

        There are some when a user who is being scored clicks again, and the second list is made
        without the engine because it is late.
        """
        taken = self._taken[entry.user_id]
        for older in taken[: taken.index(entry)]:
            if not older.cancelled:
                entry.tickets.extend(older.tickets)
                older.tickets = []
                older.cancelled = True
        self.release(entry)

    def cancel(self, user_id: str) -> None:
        """The user was erased: no list of theirs may be published from what is known now."""
        entry = self._waiting.pop(user_id, None)
        if entry is not None:
            entry.settle()
        for entry in self._taken.get(user_id, ()):
            entry.cancelled = True

    def abandon(self, partition: Partition) -> None:
        """The partition goes away: its users are served by whoever replays their clicks."""
        for user_id, entry in list(self._waiting.items()):
            if entry.partition is partition:
                del self._waiting[user_id]
                entry.settle()

    def __len__(self) -> int:
        """Users waiting to be taken."""
        return len(self._waiting)

    @property
    def oldest_wait_seconds(self) -> float:
        """How long the first user has waited."""
        first = next(iter(self._waiting.values()), None)
        return 0.0 if first is None else time.monotonic() - first.since

    @property
    def oldest_pending_seconds(self) -> float:
        """How long the oldest of all has waited, those included that a batch has taken."""
        taken = (entry.since for entries in self._taken.values() for entry in entries)
        oldest = min(taken, default=None)
        waited = 0.0 if oldest is None else time.monotonic() - oldest
        return max(waited, self.oldest_wait_seconds)

    async def someone(self) -> None:
        """Wait until there is a user to take."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
