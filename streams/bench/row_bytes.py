"""Row bytes: what the rows of a table take in its changelog, key and value."""

from collections.abc import Callable, Mapping
from statistics import mean

from streams.bench.oracle import latest, read_topic
from streams.graph import peek_item
from streams.settings import Settings
from streams.topics import changelog_topic
from streams.transitions import CHAIN_KEY

_NEARLY_FULL = 0.95


def table_rows(settings: Settings, table: str) -> dict[bytes, bytes]:
    """The rows of a table as its changelog has them, but for what the graph keeps beside items."""
    rows = latest(read_topic(settings, changelog_topic(settings, table)))
    rows.pop(CHAIN_KEY.encode(), None)
    return rows


def mean_bytes(
    rows: Mapping[bytes, bytes], is_meant: Callable[[bytes], bool] = lambda _: True
) -> float | None:
    """Of the rows whose value is meant; None where there are none."""
    sizes = [len(key) + len(value) for key, value in rows.items() if is_meant(value)]
    return round(mean(sizes), 1) if sizes else None


def has_all_neighbours(settings: Settings) -> Callable[[bytes], bool]:
    """Whether an item has as many neighbours as it may have, or nearly."""
    fewest = settings.graph_config().max_neighbours * _NEARLY_FULL
    return lambda item: peek_item(item)[1] >= fewest
