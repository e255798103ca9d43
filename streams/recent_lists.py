"""Recent lists: what was published last, with scores and reasons, for whoever looks a user up.

The table of last lists holds their items alone, since every byte of it is written with every list.
The messages are kept in memory only, for the users who got a list most recently: it is their lists
that are looked at.
"""

from collections import OrderedDict

from streams.recommendation import Recommendation, decode_recommendation

MOST_BYTES = 2 << 20
"""Of the messages of a partition; one of ten items is 2 to 3 kB, one of 1,000 items 260 kB."""


class RecentLists:
    """The encoded messages of the newest lists of one partition, by user."""

    __slots__ = ("_bytes", "_messages", "_most_bytes")

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """`most_bytes`: of all messages together; 0 keeps none."""
        self._most_bytes = most_bytes
        self._bytes = 0
        self._messages: OrderedDict[str, bytes] = OrderedDict()

    def put(self, user_id: str, message: bytes) -> None:
        """Keep a user's newest list; beyond the bound the lists made longest ago are dropped."""
        self.forget(user_id)
        if not self._most_bytes:
            return
        self._messages[user_id] = message
        self._bytes += len(message)
        while self._bytes > self._most_bytes:
            _, oldest = self._messages.popitem(last=False)
            self._bytes -= len(oldest)

    def get(self, user_id: str) -> Recommendation | None:
        """A user's newest list; None: not kept any more, or made before this process."""
        message = self._messages.get(user_id)
        return None if message is None else decode_recommendation(message)

    def forget(self, user_id: str) -> None:
        """Drop a user's list: the user was erased."""
        self._bytes -= len(self._messages.pop(user_id, b""))
