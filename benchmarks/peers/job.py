"""The job of one click, and what every Python peer is told: shared by those that are Python."""

import json
import os
from typing import Any, NamedTuple

WINDOW_EVENTS = 50
LIST_SIZE = 10


class Peer(NamedTuple):
    """What a peer is to work on, from its environment."""

    bootstrap: str
    group: str
    clicks: str
    output: str
    changelog: str
    store: str
    """`memory` or `rocksdb`, where it has the choice."""
    state_dir: str

    @classmethod
    def from_environment(cls) -> "Peer":
        """As `benchmarks.peers.run` sets it."""
        return cls(*(os.environ[f"PEER_{name.upper()}"] for name in cls._fields))


def folded(window: list[list[Any]], value: bytes | dict[str, Any]) -> list[list[Any]]:
    """The window with one click more: [item, timestamp], oldest first."""
    click = value if isinstance(value, dict) else json.loads(value)
    window.append([click["item_id"], click["timestamp"]])
    return window[-WINDOW_EVENTS:]


def output(user: str, window: list[list[Any]]) -> dict[str, Any]:
    """The message that goes out: the user's last items, newest first, each once."""
    items = list(dict.fromkeys(item for item, _ in reversed(window)))[:LIST_SIZE]
    return {"user_id": user, "items": items}
