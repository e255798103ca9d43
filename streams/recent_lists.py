"""Recent lists: what was published last, with scores and reasons, for whoever looks a user up.

The table of last lists holds their items alone, since every byte of it is written with every list.
The messages are kept in memory only, for the users who got a list most recently: it is their lists
that are looked at.
"""

from collections import OrderedDict

from streams.recommendation import Recommendation, decode_recommendation

MOST_LISTS = 1_000
"""Of a partition; a message of ten items is 2 to 3 kB."""


class RecentLists:
    """The encoded messages of the newest lists of one partition, by user."""

    __slots__ = ("_messages", "_most")

    def __init__(self, most: int = MOST_LISTS) -> None:
        self._most = most
        self._messages: OrderedDict[str, bytes] = OrderedDict()

    def put(self, user_id: str, message: bytes) -> None:
        """Keep a user's newest list; beyond the bound the list made longest ago is dropped."""
        messages = self._messages
        messages[user_id] = message
        messages.move_to_end(user_id)
        if len(messages) > self._most:
            messages.popitem(last=False)

    def get(self, user_id: str) -> Recommendation | None:
        """A user's newest list; None: not kept any more, or made before this process."""
        message = self._messages.get(user_id)
        return None if message is None else decode_recommendation(message)

    def forget(self, user_id: str) -> None:
        """Drop a user's list: the user was erased."""
        self._messages.pop(user_id, None)
