"""Row bytes: what the rows of a table take in its changelog, key and value."""

from collections.abc import Callable
from statistics import mean

from streams.bench.oracle import latest, read_topic
from streams.graph import peek_item
from streams.settings import Settings
from streams.topics import changelog_topic
from streams.transitions import CHAIN_KEY

_CHAIN = CHAIN_KEY.encode()
_NEARLY_FULL = 0.95


def mean_bytes(
    settings: Settings, table: str, is_meant: Callable[[bytes], bool] = lambda _: True
) -> float | None:
    """Of the rows of a table whose value is meant; None where there are none."""
    rows = latest(read_topic(settings, changelog_topic(settings, table)))
    sizes = [
        len(key) + len(value) for key, value in rows.items() if key != _CHAIN and is_meant(value)
    ]
    return round(mean(sizes), 1) if sizes else None


def has_all_neighbours(settings: Settings) -> Callable[[bytes], bool]:
    """Whether an item has as many neighbours as it may have, or nearly."""
    fewest = settings.graph_config().max_neighbours * _NEARLY_FULL
    return lambda item: peek_item(item)[1] >= fewest
